//! Crop, antialiased bilinear resize, flip and normalise. Pictures go in parallel.
//!
//! The filter is Pillow's (`Resample.c`, precompute_coeffs with the bilinear kernel): scale = crop/size, support = max(scale, 1),
//! centre of output pixel i at (i + 0.5) * scale, taps from the window truncated to the crop, weights of the triangle at the taps'
//! centres divided by their sum. Rows are filtered first, then columns; nothing is rounded in between. Cost: width taps for each of
//! the crop's rows, then height taps for each output pixel.

use super::memory::expect_len;
use super::{Cpu, Real, wide};
use crate::backend::{Augment, PictureView, StoredBatch};
use crate::error::Result;
use rayon::prelude::*;

/// For every output coordinate: its first tap and its weights, `taps` of them (zero beyond the window).
struct Filter {
    first: Vec<usize>,
    weights: Vec<f32>,
    taps: usize,
}

/// The filter from `from` to `to` samples, of which `count` from `start` on are wanted.
fn filter(from: usize, to: usize, start: usize, count: usize) -> Filter {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let taps = (support.ceil() as usize * 2 + 1).min(from);
    let (mut first, mut weights) = (Vec::with_capacity(count), vec![0.0; count * taps]);
    for (i, row) in weights.chunks_exact_mut(taps).enumerate() {
        let centre = ((start + i) as f64 + 0.5) * scale;
        let begin = ((centre - support + 0.5).max(0.0) as usize).min(from - 1); // truncation towards zero, as Pillow's
        let end = ((centre + support + 0.5) as usize).clamp(begin + 1, from).min(begin + taps);
        let weight = |tap: usize| (1.0 - ((tap as f64 - centre + 0.5) / support).abs()).max(0.0);
        let total: f64 = (begin..end).map(weight).sum();
        row.iter_mut().zip(begin..end).for_each(|(w, tap)| *w = (weight(tap) / total) as f32);
        first.push(begin);
    }
    Filter { first, weights, taps }
}

impl<T: Real> Augment for Cpu<T> {
    type Batch = StoredBatch;

    fn batch(&self) -> Result<StoredBatch> {
        Ok(StoredBatch::default())
    }

    fn load(&self, stored: StoredBatch, batch: &mut StoredBatch) -> Result<bool> {
        *batch = stored;
        Ok(true)
    }

    fn labels(batch: &StoredBatch) -> &Vec<u32> {
        &batch.labels
    }

    fn augment(&self, batch: &StoredBatch, size: usize, mean: [f32; 3], std: [f32; 3], out: &mut [T]) -> Result<()> {
        const OP: &str = "augment";
        let StoredBatch { pixels, views: pictures, .. } = batch;
        expect_len(OP, "out", out.len(), pictures.len() * size * size * 3)?;
        if out.is_empty() {
            return Ok(());
        }
        for view in pictures {
            view.check(pixels.len())?;
            view.check_window(size)?;
        }
        out.par_chunks_exact_mut(size * size * 3).zip(pictures).for_each(|(out, view)| {
            let mut scratch = Scratch::default();
            one(&mut scratch, &pixels[view.offset..], view, size, mean, std, out);
        });
        Ok(())
    }
}

#[derive(Default)]
struct Scratch {
    /// The crop's rows filtered horizontally: crop.height x size x 3.
    rows: Vec<f32>,
    line: Vec<f32>,
}

fn one<T: Real>(scratch: &mut Scratch, pixels: &[u8], view: &PictureView, size: usize, mean: [f32; 3], std: [f32; 3], out: &mut [T]) {
    let crop = view.crop;
    let (width, height) = (crop.width as usize, crop.height as usize);
    let stride = view.width as usize * 3;
    let source = |y: usize| {
        let at = (crop.y as usize + y) * stride + crop.x as usize * 3;
        &pixels[at..at + width * 3]
    };
    let across = filter(width, crop.to_width as usize, crop.left as usize, size);
    let down = filter(height, crop.to_height as usize, crop.top as usize, size);
    scratch.rows.resize(height * size * 3, 0.0);
    for (y, row) in scratch.rows.chunks_exact_mut(size * 3).enumerate() {
        wide(|| horizontal(source(y), &across, row));
    }
    scratch.line.resize(size * 3, 0.0);
    for (i, out) in out.chunks_exact_mut(size * 3).enumerate() {
        let line = &mut scratch.line[..];
        let weights = &down.weights[i * down.taps..(i + 1) * down.taps];
        wide(|| {
            line.fill(0.0);
            for (&weight, row) in weights.iter().zip(scratch.rows[down.first[i] * size * 3..].chunks_exact(size * 3)) {
                if weight != 0.0 {
                    line.iter_mut().zip(row).for_each(|(l, &v)| *l += weight * v);
                }
            }
        });
        wide(|| normalise(line, crop.flip, mean, std, out));
    }
}

#[inline(always)]
fn horizontal(source: &[u8], across: &Filter, row: &mut [f32]) {
    for ((out, &first), weights) in row.chunks_exact_mut(3).zip(&across.first).zip(across.weights.chunks_exact(across.taps)) {
        let mut sum = [0.0f32; 3];
        for (pixel, &weight) in source[first * 3..].chunks_exact(3).zip(weights) {
            sum[0] += weight * f32::from(pixel[0]);
            sum[1] += weight * f32::from(pixel[1]);
            sum[2] += weight * f32::from(pixel[2]);
        }
        out.copy_from_slice(&sum);
    }
}

#[inline(always)]
fn normalise<T: Real>(line: &[f32], flip: bool, mean: [f32; 3], std: [f32; 3], out: &mut [T]) {
    let value = |pixel: &[f32], channel: usize| T::of_f32((pixel[channel] / 255.0 - mean[channel]) / std[channel]);
    let set = |(out, pixel): (&mut [T], &[f32])| (0..3).for_each(|channel| out[channel] = value(pixel, channel));
    if flip {
        out.chunks_exact_mut(3).zip(line.chunks_exact(3).rev()).for_each(set);
    } else {
        out.chunks_exact_mut(3).zip(line.chunks_exact(3)).for_each(set);
    }
}
