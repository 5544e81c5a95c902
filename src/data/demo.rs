//! The built-in picture set that `train` learns without any download: drawn shapes, eight classes, 32x32.
//!
//! Disc, ring, square, triangle, cross, star, stripes and checks; each at a random place, size and turn, in random colours lighter or
//! darker than a noisy, sloping background. No pixel says anything about the class on its own (bright and dark shapes are equally
//! frequent, everywhere), so a linear model fails while a small convolutional network learns it in minutes. Picture i is a pure
//! function of (seed, i): the shards are the same on every machine.

use super::made::Made;
use super::manifest::Split;
use crate::error::Result;
use crate::rng::{Purpose, Stream};
use std::path::Path;

/// Side of a picture in pixels.
pub const SIDE: u32 = 32;
/// Class names, sorted; the index is the label.
pub const CLASSES: [&str; 8] = ["checks", "cross", "disc", "ring", "square", "star", "stripes", "triangle"];
/// Points per pixel and axis: edges are drawn smooth.
const SAMPLES: u32 = 2;

/// Writes `count` pictures as a packed folder of one shard. `dir` is made if missing. Train and val of one seed share no picture.
///
/// # Errors
/// `Write` when `dir` holds a data set already or cannot be written.
pub fn write(dir: &Path, split: Split, count: usize, seed: u64) -> Result<()> {
    Made {
        split,
        source: "demo",
        options: serde_json::json!({ "source": "demo", "version": 1, "seed": seed, "count": count, "side": SIDE, "split": split }),
        classes: CLASSES.map(str::to_owned).to_vec(),
        count,
        side: SIDE as u16,
        records_per_shard: count,
        name: &|i| format!("{}/{i:06}.png", CLASSES[label(i)]),
        label: &|i| label(i) as u32,
        pixels: &|i| Ok(picture(seed, split, i)),
    }
    .write(dir)
}

/// The label of picture `i`: all classes equally often.
pub fn label(i: usize) -> usize {
    i % CLASSES.len()
}

/// Picture `i`: `SIDE * SIDE * 3` bytes.
pub fn picture(seed: u64, split: Split, i: usize) -> Vec<u8> {
    let mut s = Stream::new(seed, Purpose::Synthetic, 1 + split as u32, i as u64);
    let between = |s: &mut Stream, low: f32, high: f32| low + (high - low) * s.uniform_f32();
    // A base brightness for the ground, and a shape that differs from it by at least 0.35 either way, tinted.
    let dark = between(&mut s, 0.1, 0.4);
    let bright = between(&mut s, dark + 0.4, 0.95);
    let (ground, figure) = if s.below(2) == 0 { (dark, bright) } else { (bright, dark) };
    let tint = |s: &mut Stream, base: f32| -> [f32; 3] { std::array::from_fn(|_| base + between(s, -0.12, 0.12)) };
    let (ground, figure) = (tint(&mut s, ground), tint(&mut s, figure));
    let slope = [between(&mut s, -0.12, 0.12), between(&mut s, -0.12, 0.12)];
    let radius = between(&mut s, 0.22, 0.38);
    let room = 0.5 - radius;
    let (cx, cy) = (0.5 + between(&mut s, -room, room), 0.5 + between(&mut s, -room, room));
    let (sin, cos) = between(&mut s, 0.0, std::f32::consts::TAU).sin_cos();
    let mut out = Vec::with_capacity((SIDE * SIDE * 3) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let mut inside = 0;
            for k in 0..SAMPLES * SAMPLES {
                let at = |pixel: u32, k: u32| (pixel as f32 + (k as f32 + 0.5) / SAMPLES as f32) / SIDE as f32;
                let (dx, dy) = ((at(x, k % SAMPLES) - cx) / radius, (at(y, k / SAMPLES) - cy) / radius);
                inside += u32::from(contains(label(i), cos * dx + sin * dy, cos * dy - sin * dx));
            }
            let cover = inside as f32 / (SAMPLES * SAMPLES) as f32;
            let shade = slope[0] * (x as f32 / SIDE as f32 - 0.5) + slope[1] * (y as f32 / SIDE as f32 - 0.5);
            for c in 0..3 {
                let noise = between(&mut s, -0.06, 0.06);
                let v = ground[c] + shade + (figure[c] - ground[c] - shade) * cover + noise;
                out.push((v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
            }
        }
    }
    out
}

/// Whether the point (in units of the shape's radius, turned) belongs to the shape.
fn contains(label: usize, x: f32, y: f32) -> bool {
    let r = (x * x + y * y).sqrt();
    let in_square = x.abs().max(y.abs()) < 0.8;
    match CLASSES[label] {
        "disc" => r < 0.95,
        "ring" => r < 1.0 && r > 0.55,
        "square" => in_square,
        "triangle" => y > -0.5 && y < 1.0 - 3f32.sqrt() * x.abs(),
        "cross" => r < 1.0 && x.abs().min(y.abs()) < 0.22,
        "star" => {
            // Five points: between angles, the edge runs straight from the outer radius 1 to the inner one.
            let fifth = std::f32::consts::TAU / 5.0;
            let angle = (y.atan2(x).rem_euclid(fifth) - fifth / 2.0).abs();
            let (tip, dent) = (1.0f32, 0.4f32);
            // The line from the tip (at fifth/2) to the dent (at 0), as a half-plane.
            let (px, py) = (r * angle.cos(), r * angle.sin());
            let (tx, ty) = (tip * (fifth / 2.0).cos(), tip * (fifth / 2.0).sin());
            (tx - dent) * py - ty * (px - dent) > 0.0
        }
        "stripes" => in_square && (x * 2.5).rem_euclid(1.0) < 0.5,
        _ => in_square && ((x / 0.4).floor() + (y / 0.4).floor()).rem_euclid(2.0) < 0.5,
    }
}
