//! Fills the structs that kernels take by value.

use super::handles::{ConvShape, FastDiv, LinearShape};
use crate::error::{Error, Result};
use crate::shape::{ConvProblem, LinearProblem};

/// Extents of pictures, with padding, are below: coordinates are kept in 16 bits (kernels/include/operands.cuh).
const MOST_EXTENT: usize = 1 << 14;
/// Largest count of elements that kernels index by 32 bits.
const MOST_ELEMENTS: usize = (1 << 31) - 1;

impl FastDiv {
    /// For dividends below 2^31; see kernels/include/index.cuh. `divisor` must be in 1..2^31.
    pub fn by(divisor: u32) -> Self {
        let divisor = divisor.max(1);
        let shift = divisor.next_power_of_two().trailing_zeros();
        let multiplier = ((1u64 << 32) * ((1u64 << shift) - u64::from(divisor)) / u64::from(divisor) + 1) as u32;
        Self { divisor, multiplier, shift }
    }

    /// What the kernel computes.
    pub fn divide(&self, n: u32) -> u32 {
        let high = (u64::from(n) * u64::from(self.multiplier)) >> 32;
        ((high as u32).wrapping_add(n)) >> self.shift
    }
}

/// `count`, if kernels can index that many elements.
pub(super) fn index(op: &str, count: usize) -> Result<i32> {
    if count > MOST_ELEMENTS {
        return Err(Error::usage(format!("{count} elements are more than the kernels index"))
            .at(op.to_owned())
            .because("the batch is too large for one array")
            .next("a smaller --batch-size with --grad-accum"));
    }
    Ok(count as i32)
}

impl ConvShape {
    /// # Errors
    /// If the filter does not fit, or an array is too large.
    pub fn of(op: &str, g: &ConvProblem) -> Result<Self> {
        g.check()?;
        for count in [g.x_len(), g.w_len(), g.y_len()] {
            index(op, count)?;
        }
        if g.h.max(g.w).max(g.r).max(g.s) + 2 * g.pad >= MOST_EXTENT {
            return Err(Error::usage(format!("pictures of {MOST_EXTENT} pixels and more are not supported")).at(format!("{op}, {g:?}")));
        }
        let small = |v: usize| v as i32; // each is at most one of the counts above, or checked by `check`
        let (p, q) = (g.p(), g.q());
        Ok(Self {
            n: small(g.n),
            h: small(g.h),
            w: small(g.w),
            c: small(g.c),
            k: small(g.k),
            r: small(g.r),
            s: small(g.s),
            stride: small(g.stride),
            pad: small(g.pad),
            p: small(p),
            q: small(q),
            by_p: FastDiv::by(p as u32),
            by_q: FastDiv::by(q as u32),
        })
    }
}

impl LinearShape {
    /// # Errors
    /// If a count is zero, or an array is too large.
    pub fn of(op: &str, g: &LinearProblem) -> Result<Self> {
        if g.n == 0 || g.c == 0 || g.k == 0 {
            return Err(Error::internal(format!("nothing to do in {g:?}")).at(op.to_owned()));
        }
        for count in [g.n * g.c, g.n * g.k, g.k * g.c] {
            index(op, count)?;
        }
        Ok(Self { n: g.n as i32, c: g.c as i32, k: g.k as i32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_division_is_division() {
        let mut divisors: Vec<u32> = (1..=300).collect();
        for bit in 0..31 {
            divisors.extend([1u32 << bit, (1u32 << bit) + 1, (1u32 << bit).saturating_sub(1).max(1)]);
        }
        divisors.extend([3136, 12544, 50176, 802_816, i32::MAX as u32, i32::MAX as u32 - 1]);
        for d in divisors {
            let by = FastDiv::by(d);
            let near = (0..40u64).flat_map(|i| {
                let multiple = (u64::from(i32::MAX as u32) / u64::from(d)) * i / 39 * u64::from(d);
                [multiple.saturating_sub(1), multiple, multiple + 1, i]
            });
            for n in near.filter(|&n| n < 1 << 31).map(|n| n as u32).chain([i32::MAX as u32]) {
                assert_eq!(by.divide(n), n / d, "{n} / {d}");
            }
        }
    }
}
