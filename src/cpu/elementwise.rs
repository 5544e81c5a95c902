//! Element by element, at the speed of memory: pieces of 32 Ki elements, one per work item.

use super::memory::expect_len;
use super::{Cpu, Real, wide};
use crate::backend::Elementwise;
use crate::error::Result;
use rayon::prelude::*;

/// Elements of one work item.
const PIECE: usize = 1 << 15;

impl<T: Real> Elementwise for Cpu<T> {
    fn relu(&self, x: &[T], y: &mut [T]) -> Result<()> {
        expect_len("relu", "y", y.len(), x.len())?;
        y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(y, x)| {
            wide(|| {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = if x < T::ZERO { T::ZERO } else { x }; // NaN compares false and passes
                }
            });
        });
        Ok(())
    }

    fn relu_backward(&self, y: &[T], dy: &[T], dx: &mut [T], accumulate: bool) -> Result<()> {
        expect_len("relu_backward", "dy", dy.len(), y.len())?;
        expect_len("relu_backward", "dx", dx.len(), y.len())?;
        dx.par_chunks_mut(PIECE).zip(y.par_chunks(PIECE).zip(dy.par_chunks(PIECE))).for_each(|(dx, (y, dy))| {
            wide(|| {
                for (dx, (&y, &dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
                    let d = if y > T::ZERO { dy } else { T::ZERO };
                    *dx = if accumulate { *dx + d } else { d };
                }
            });
        });
        Ok(())
    }

    fn add(&self, a: &[T], b: &[T], out: &mut [T]) -> Result<()> {
        expect_len("add", "b", b.len(), a.len())?;
        expect_len("add", "out", out.len(), a.len())?;
        out.par_chunks_mut(PIECE).zip(a.par_chunks(PIECE).zip(b.par_chunks(PIECE))).for_each(|(out, (a, b))| {
            wide(|| {
                for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
                    *out = a + b;
                }
            });
        });
        Ok(())
    }

    fn add_assign(&self, x: &[T], into: &mut [T]) -> Result<()> {
        expect_len("add_assign", "x", x.len(), into.len())?;
        into.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(into, x)| {
            wide(|| {
                for (into, &x) in into.iter_mut().zip(x) {
                    *into += x;
                }
            });
        });
        Ok(())
    }
}
