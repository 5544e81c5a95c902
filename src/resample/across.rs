//! The pass along rows: they become as wide as the output. Here the form for every processor, and the choice between it and `across_avx2`.

use super::Image;
use super::taps::{BITS, HALF, Taps};

/// Bytes behind a row's last pixel that a writer of four bytes a pixel may touch.
pub(super) const BEYOND: usize = 1;

/// Memory that the vector form needs.
#[derive(Default)]
pub(super) struct Spare {
    pub first: Vec<usize>,
    pub weights: Vec<i32>,
    pub lines: Vec<u8>,
}

/// Every row of `image` filtered by `taps` into `rows`, `stride` bytes apart, mirrored if `flip`.
pub(super) fn filter(image: Image<'_>, taps: &Taps, flip: bool, rows: &mut [u8], stride: usize, spare: &mut Spare, plain: bool) {
    #[cfg(target_arch = "x86_64")]
    if !plain && let Some(v3) = pulp::x86::V3::try_new() {
        return super::across_avx2::filter(v3, image, taps, flip, rows, stride, spare);
    }
    let _ = (spare, plain);
    let count = taps.first.len();
    for (source, row) in image.pixels.chunks(image.stride).zip(rows.chunks_exact_mut(stride)).take(image.height) {
        for (i, &first) in taps.first.iter().enumerate() {
            let at = if flip { count - 1 - i } else { i };
            pixel(&source[3 * first..], taps.weights(i), &mut row[3 * at..]);
        }
    }
}

fn pixel(source: &[u8], weights: &[i32], out: &mut [u8]) {
    let mut sums = [HALF; 3];
    for (pixel, &weight) in source.chunks_exact(3).zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(pixel) {
            *sum += weight * i32::from(value);
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = (sum >> BITS).clamp(0, 255) as u8;
    }
}
