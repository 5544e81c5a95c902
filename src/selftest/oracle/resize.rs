//! The antialiased triangle filter.

/// Triangle filter with antialias from `from` to `to` samples as a dense matrix: every weight from its distance, no windows.
pub fn triangle(from: usize, to: usize) -> Vec<Vec<f64>> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let row: Vec<f64> = (0..from).map(|t| (1.0 - ((t as f64 + 0.5 - centre) / support).abs()).max(0.0)).collect();
            let total: f64 = row.iter().sum();
            row.iter().map(|w| w / total).collect()
        })
        .collect()
}

/// HWC u8 crop to `size` x `size` x 3, in f64, values still 0..255.
pub fn resize(crop: &[u8], width: usize, height: usize, size: usize) -> Vec<f64> {
    let taps = |from| -> Vec<Vec<(usize, f64)>> {
        let dense = triangle(from, size);
        dense.into_iter().map(|row| row.into_iter().enumerate().filter(|w| w.1 != 0.0).collect()).collect()
    };
    let (across, down) = (taps(width), taps(height));
    let mut out = Vec::new();
    for row in &down {
        for column in &across {
            for channel in 0..3 {
                let mut sum = 0.0;
                for (y, wy) in row {
                    for (x, wx) in column {
                        sum += wy * wx * f64::from(crop[(y * width + x) * 3 + channel]);
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}
