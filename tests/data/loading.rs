//! The loader: what each batch holds, wherever it starts and however many threads make it.

use super::common::*;
use imagenet_engine::data::order::{Order, Shuffle};
use imagenet_engine::data::synthetic::Synthetic;
use imagenet_engine::data::{Batch, Dataset, Loader, LoaderOptions, Source};
use std::sync::Arc;

fn packed(tmp: &std::path::Path) -> Arc<Dataset> {
    let (input, out) = (tmp.join("in"), tmp.join("out"));
    tree(&input, 5, 11, 40, 3);
    run(&options(&input, &out)).unwrap();
    Arc::new(Dataset::open(&out).unwrap())
}

fn batches(source: &Arc<Dataset>, options: &LoaderOptions) -> Vec<Batch> {
    Loader::new(source.clone(), options).unwrap().map(Result::unwrap).collect()
}

#[test]
fn batches_are_the_order_and_the_crops_say() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let options = LoaderOptions::train(8, 24, (0.08, 1.0), 42, 3);
    let all = batches(&dataset, &options);
    assert_eq!(all.len(), 3 * 6, "55 pictures make 6 full batches of 8");
    let order = Order::new(55, 42, Shuffle::Full);
    for (number, batch) in all.iter().enumerate() {
        let (epoch, index) = ((number / 6) as u32, (number % 6) as u64);
        assert_eq!((batch.epoch, batch.index, batch.len()), (epoch, index, 8));
        for k in 0..8 {
            let picture = dataset.record(order.at(epoch, index * 8 + k as u64) as usize).unwrap();
            let view = batch.views[k];
            assert_eq!((batch.labels[k], batch.ids[k]), (picture.label, picture.global_id));
            assert_eq!((view.width, view.height), (picture.width, picture.height));
            assert_eq!(&batch.pixels[view.offset..][..picture.pixels.len()], &picture.pixels[..]);
            assert_eq!(view.crop, options.policy.crop(picture.width, picture.height, 24, 42, epoch, picture.global_id));
        }
    }
    // Order is compared in order: two epochs hold the same pictures in another sequence.
    let ids = |epoch: usize| all[epoch * 6..(epoch + 1) * 6].iter().flat_map(|b| b.ids.clone()).collect::<Vec<_>>();
    assert_ne!(ids(0), ids(1));
}

#[test]
fn starting_anywhere_and_any_number_of_threads_give_the_same_batches() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let base = LoaderOptions::train(8, 24, (0.08, 1.0), 7, 4);
    let all = batches(&dataset, &base);
    for (epoch, first_batch) in [(0, 0), (0, 1), (1, 5), (2, 3), (3, 5), (3, 6)] {
        for threads in [1, 2, 3] {
            let options = LoaderOptions { epochs: epoch..4, first_batch, threads, prefetch: threads, ..base.clone() };
            let rest = batches(&dataset, &options);
            assert!(
                rest == all[(u64::from(epoch) * 6 + first_batch) as usize..],
                "from epoch {epoch} batch {first_batch}, {threads} threads"
            );
        }
    }
    // The comparison can fail: another seed.
    assert!(batches(&dataset, &LoaderOptions { seed: 8, ..base }) != all);
}

#[test]
fn evaluation_sees_each_picture_once() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let all = batches(&dataset, &LoaderOptions::eval(8, 32));
    assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 7]);
    assert_eq!(all.iter().flat_map(|b| b.ids.clone()).collect::<Vec<_>>(), (0..55).collect::<Vec<u64>>());
    assert!(all.iter().flat_map(|b| &b.views).all(|v| (v.crop.width, v.crop.height, v.crop.flip) == (32, 32, false)));
}

#[test]
fn dropping_stops() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let options = LoaderOptions { threads: 2, ..LoaderOptions::train(8, 24, (0.08, 1.0), 7, 4) };
    for taken in 0..3 {
        let mut loader = Loader::new(dataset.clone(), &options).unwrap();
        for _ in 0..taken {
            loader.next();
        }
        drop(loader); // must return although the threads wait for room
    }
    assert_eq!(Arc::strong_count(&dataset), 1, "a thread still holds the data");
}

#[test]
fn an_error_comes_out_of_the_loader() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let entry = dataset.shards()[2].entries[1];
    let path = dataset.shards()[2].path().to_owned();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[entry.offset as usize] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let results: Vec<_> = Loader::new(Arc::new(Dataset::open(dataset.dir()).unwrap()), &LoaderOptions::eval(4, 32)).unwrap().collect();
    assert_eq!(results.len(), 5, "batches 0 to 3 and the error; nothing after it");
    let error = results.into_iter().last().unwrap().unwrap_err().to_string();
    assert!(error.contains("record 1") && error.contains(&format!("global {}", entry.global_id)), "{error}");
}

#[test]
fn too_little_data_is_a_usage_error() {
    let source: Arc<dyn Source> = Arc::new(Synthetic::new(10, 8, 8, 3, 1));
    assert_eq!(Loader::new(source.clone(), &LoaderOptions::train(11, 8, (0.08, 1.0), 1, 1)).err().unwrap().exit_code(), 2);
    let made: Vec<Batch> = Loader::new(source, &LoaderOptions::train(5, 8, (0.08, 1.0), 1, 1)).unwrap().map(Result::unwrap).collect();
    assert!(made.len() == 2 && made[0].pixels.len() == 5 * 8 * 8 * 3 && made[0].labels.iter().all(|&l| l < 3));
}
