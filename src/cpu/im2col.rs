//! The gather of implicit GEMM: rows of a tile are output positions, columns are filter taps x channels.
//!
//! One geometry serves both directions. Position `(n, i, j)` with tap `(r, s)` reads source pixel
//! `(n, i*stride + row + r, j*stride + column + s)`, zeros outside. fprop has row = column = -pad; a parity class of dgrad has
//! stride 1 and an origin of its own. In NHWC the taps of one filter row are one run of `s*c` elements, so a row of the tile is `r`
//! copies.

use super::Real;
use crate::shape::ConvProblem;
use std::ops::Range;

/// Run of a 7x7 filter over RGB. A copy of known length is a few vector moves instead of a call, which for runs this short is a
/// third of the stem's time.
const STEM: usize = 21;

#[inline(always)]
fn copied<T: Real, const N: usize>(from: &[T], to: &mut [T]) -> bool {
    match (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        (Some(from), Some(to)) => {
            *to = *from;
            true
        }
        _ => false,
    }
}

/// How output positions see the source picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gather {
    /// Source picture.
    pub h: usize,
    pub w: usize,
    pub c: usize,
    /// Output positions per picture.
    pub p: usize,
    pub q: usize,
    /// Taps.
    pub r: usize,
    pub s: usize,
    pub stride: usize,
    /// Source coordinate of tap 0 at position 0.
    pub row: isize,
    pub column: isize,
}

impl Gather {
    /// What a forward convolution (or its gradient by the filters) reads of `x`.
    pub fn of_fprop(problem: &ConvProblem) -> Self {
        let ConvProblem { h, w, c, r, s, stride, pad, .. } = *problem;
        let origin = -(pad as isize);
        Self { h, w, c, p: problem.p(), q: problem.q(), r, s, stride, row: origin, column: origin }
    }

    /// The same with only `count` filter rows from `first`.
    pub fn rows_of_filter(&self, first: usize, count: usize) -> Self {
        Self { r: count, row: self.row + first as isize, ..*self }
    }

    /// The same with the one tap `(r, s)`.
    pub fn tap(&self, r: usize, s: usize) -> Self {
        Self { r: 1, s: 1, row: self.row + r as isize, column: self.column + s as isize, ..*self }
    }

    /// Columns of the tile.
    pub fn depth(&self) -> usize {
        self.r * self.s * self.c
    }

    /// Whether the tile is the source itself, row for row.
    pub fn is_identity(&self) -> bool {
        (self.r, self.s, self.stride, self.row, self.column) == (1, 1, 1, 0, 0) && (self.p, self.q) == (self.h, self.w)
    }

    /// Fills `tile` (`positions.len()` x depth) from `source`, positions counted over the whole batch.
    #[inline(always)]
    pub fn fill<T: Real>(&self, source: &[T], positions: Range<usize>, tile: &mut [T]) {
        let run = self.s * self.c;
        let (mut n, rest) = (positions.start / (self.p * self.q), positions.start % (self.p * self.q));
        let (mut i, mut j) = (rest / self.q, rest % self.q);
        for row in tile.chunks_exact_mut(self.depth()).take(positions.len()) {
            let x = (j * self.stride) as isize + self.column;
            // taps before, inside and after the picture
            let before = (-x).clamp(0, self.s as isize) as usize;
            let end = (self.w as isize - x).clamp(before as isize, self.s as isize) as usize;
            for (r, out) in row.chunks_exact_mut(run).enumerate() {
                let y = (i * self.stride + r) as isize + self.row;
                if y < 0 || y >= self.h as isize || before == end {
                    out.fill(T::ZERO);
                    continue;
                }
                let from = ((n * self.h + y as usize) * self.w + (x + before as isize) as usize) * self.c;
                if run == STEM && before == 0 && end == self.s && copied::<T, STEM>(&source[from..], out) {
                    continue;
                }
                let (inside, after) = out.split_at_mut(end * self.c);
                let (outside, inside) = inside.split_at_mut(before * self.c);
                outside.fill(T::ZERO);
                inside.copy_from_slice(&source[from..from + inside.len()]);
                after.fill(T::ZERO);
            }
            j += 1;
            if j == self.q {
                (i, j) = (i + 1, 0);
                if i == self.p {
                    (n, i) = (n + 1, 0);
                }
            }
        }
    }
}
