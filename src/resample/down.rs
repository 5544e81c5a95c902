//! The pass down columns: an output row is a weighted sum of rows. A loop over blocks of columns whose sums stay in registers.

use super::taps::{BITS, HALF};

/// Columns at once, bytes.
const BLOCK: usize = 32;

struct Row<'a> {
    rows: &'a [u8],
    stride: usize,
    weights: &'a [i32],
    out: &'a mut [u8],
}

/// `out` from the first of `rows` on, one row a weight. Weights of nothing are not looked at.
pub(super) fn filter(rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8], plain: bool) {
    let used = weights.iter().rposition(|&w| w != 0).map_or(0, |last| last + 1);
    let row = Row { rows, stride, weights: &weights[..used], out };
    if plain { row.run() } else { pulp::Arch::new().dispatch(row) }
}

impl pulp::NullaryFnOnce for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.run();
    }
}

impl Row<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { rows, stride, weights, out } = self;
        let length = out.len();
        let mut at = 0;
        while at + BLOCK <= length {
            block(rows, stride, weights, at, out);
            at += BLOCK;
        }
        if at < length && length >= BLOCK {
            return block(rows, stride, weights, length - BLOCK, out); // some columns twice
        }
        for (i, out) in out.iter_mut().enumerate().skip(at) {
            let column = rows.get(i..).unwrap_or(&[]).iter().step_by(stride);
            let sum = column.zip(weights).fold(HALF, |sum, (&p, &w)| sum + w * i32::from(p));
            *out = (sum >> BITS).clamp(0, 255) as u8;
        }
    }
}

/// The columns from `at` on.
#[inline(always)]
fn block(rows: &[u8], stride: usize, weights: &[i32], at: usize, out: &mut [u8]) {
    let mut sums = [HALF; BLOCK];
    for (row, &weight) in weights.iter().enumerate() {
        let from = row * stride + at;
        let Some(Ok(pixels)) = rows.get(from..from + BLOCK).map(<&[u8; BLOCK]>::try_from) else { return };
        for i in 0..BLOCK {
            sums[i] += weight * i32::from(pixels[i]);
        }
    }
    let Some(out) = out.get_mut(at..at + BLOCK) else { return };
    for i in 0..BLOCK {
        out[i] = (sums[i] >> BITS).clamp(0, 255) as u8;
    }
}
