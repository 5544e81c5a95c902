//! The built-in picture set: the same everywhere, balanced, and beyond a linear model.

use imagenet_engine::data::demo::{CLASSES, SIDE, label, picture, write};
use imagenet_engine::data::sheet;
use imagenet_engine::data::{Dataset, Split};

#[test]
fn it_is_written_as_an_ordinary_data_set() {
    let tmp = tempfile::tempdir().unwrap();
    write(tmp.path(), Split::Train, 803, 1).unwrap();
    let dataset = Dataset::open(tmp.path()).unwrap();
    assert_eq!((dataset.len(), dataset.classes().len(), dataset.split()), (803, CLASSES.len(), Split::Train));
    for i in [0, 5, 802] {
        let p = dataset.record(i).unwrap();
        assert_eq!((p.width, p.height, p.label as usize), (SIDE, SIDE, label(i)));
        assert_eq!(p.pixels, picture(1, Split::Train, i));
    }
    assert_ne!(picture(1, Split::Train, 3), picture(1, Split::Val, 3));
    assert_eq!(write(tmp.path(), Split::Train, 8, 1).unwrap_err().exit_code(), 73);
    if let Some(file) = std::env::var_os("IE_DEMO_SHEET") {
        sheet::write(&dataset, std::path::Path::new(&file)).unwrap();
    }
}

/// Softmax regression on the raw pixels, trained by plain gradient steps: its held-out accuracy.
fn linear_accuracy(features: impl Fn(Split, usize) -> Vec<f32>, train: usize, val: usize) -> f64 {
    let classes = CLASSES.len();
    let data: Vec<Vec<f32>> = (0..train).map(|i| features(Split::Train, i)).collect();
    let n = data[0].len();
    let mut w = vec![vec![0f32; n + 1]; classes];
    let scores = |w: &[Vec<f32>], x: &[f32]| -> Vec<f32> {
        w.iter().map(|row| row[n] + row[..n].iter().zip(x).map(|(a, b)| a * b).sum::<f32>()).collect()
    };
    for epoch in 0..25 {
        let rate = 0.004 / (1.0 + epoch as f32 * 0.3);
        for (i, x) in data.iter().enumerate() {
            let s = scores(&w, x);
            let top = s.iter().copied().fold(f32::MIN, f32::max);
            let e: Vec<f32> = s.iter().map(|v| (v - top).exp()).collect();
            let sum: f32 = e.iter().sum();
            for (c, row) in w.iter_mut().enumerate() {
                let g = rate * (e[c] / sum - f32::from(u8::from(c == label(i))));
                row[..n].iter_mut().zip(x).for_each(|(a, b)| *a -= g * b);
                row[n] -= g;
            }
        }
    }
    let right = (0..val).filter(|&i| {
        let s = scores(&w, &features(Split::Val, i));
        s.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).is_some_and(|(c, _)| c == label(i))
    });
    right.count() as f64 / val as f64
}

#[test]
fn a_linear_model_cannot_learn_it() {
    let pixels = |split, i| picture(1, split, i).iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect::<Vec<f32>>();
    let accuracy = linear_accuracy(pixels, 2000, 400);
    assert!(accuracy < 0.5, "softmax regression reached {accuracy}");
    // The same learner learns what is linear: the pixels with the label written into them.
    let told = |split, i| {
        let mut x = pixels(split, i);
        x[label(i)] = 5.0;
        x
    };
    let accuracy = linear_accuracy(told, 400, 200);
    assert!(accuracy > 0.9, "the learner of this test is too weak to show anything: {accuracy}");
}
