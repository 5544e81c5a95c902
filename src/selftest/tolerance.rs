//! How far a result may lie from the f64 reference: one table, computed from the problem and never tuned to a result.
//!
//! | results | bound |
//! |---|---|
//! | integers small enough to be exact in f32 | equal |
//! | sums of products rounded to T (fprop, dgrad, linear) | the rounding to T of the result, and `Sums::activations` of the sum of magnitudes |
//! | sums of products kept in f32 (wgrad) | `Sums::filters` of the sum of magnitudes |
//! | mean; variance of batch norm | 1e-5 sigma; 1e-5 relative |
//! | dgamma, dbeta | 1e-5 of the sum of magnitudes |
//! | batch norm applied, and its gradient | one ulp of T, and what f32 loses in terms that cancel (see norm.rs) |
//! | loss; gradient by the logits; ranks | 1e-6 relative; one ulp of T, and what f32 loses in p - t (see loss.rs); equal |
//! | averages | the rounding to T, and Higham's bound of the f32 sum |
//! | augmentation | 40 roundings of f32 of value / 255, plus the rounding to T: a fiftieth of half a level |
//! | ReLU, sums, conversions, max-pooling, masks, positions | equal |

use crate::cuda::Element;

/// Unit roundoff of f32.
pub const U32: f64 = 1.0 / 16_777_216.0;
/// Unit roundoff of f64.
pub const U64: f64 = 1.0 / 9_007_199_254_740_992.0;

/// Err with the worst element unless `|got - want| <= bound` everywhere. NaN agrees with NaN alone.
pub fn close(got: &[f64], want: &[f64], bound: impl Fn(usize) -> f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements instead of {}", got.len(), want.len()));
    }
    let worst = (0..got.len()).map(|i| (ratio(got[i], want[i], bound(i)), i)).filter(|(excess, _)| *excess > 1.0);
    match worst.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))) {
        None => Ok(()),
        Some((excess, i)) => {
            Err(format!("element {i} of {}: {} instead of {}, {excess:.1} times the bound {:e}", got.len(), got[i], want[i], bound(i)))
        }
    }
}

/// The error over its bound; infinite if one of the two alone is no number, or if the bound is none.
pub fn ratio(got: f64, want: f64, bound: f64) -> f64 {
    let excess = match (got.is_nan(), want.is_nan()) {
        (true, true) => 0.0,
        (false, false) if got == want => 0.0,
        (false, false) => (got - want).abs() / bound,
        _ => f64::INFINITY,
    };
    if excess.is_nan() { f64::INFINITY } else { excess }
}

/// Equal bit for bit (but for the sign of zero).
pub fn equal(got: &[f64], want: &[f64]) -> Result<(), String> {
    close(got, want, |_| 0.0)
}

/// The bound of a sum of `terms` products in precision `unit`, whatever the order: `(terms + 2) * unit * sum |a*b|` (Higham,
/// Accuracy and Stability of Numerical Algorithms, section 3.1), `magnitude` being the sum of absolute products.
pub fn sum_bound(unit: f64, terms: usize, magnitude: &[f64]) -> impl Fn(usize) -> f64 + '_ {
    move |i| (terms as f64 + 2.0) * unit * magnitude[i] + f64::MIN_POSITIVE
}

/// Unit roundoff of `T`: half an ulp of a number just above a power of two, relative to it.
pub fn unit<T: Element>() -> f64 {
    if T::IS_BF16 { 1.0 / 256.0 } else { U32 }
}

/// The distance between neighbours of `v` in `T`.
pub fn ulp<T: Element>(v: f64) -> f64 {
    if v == 0.0 || !v.is_finite() {
        return 0.0;
    }
    let exponent = v.abs().log2().floor().max(-126.0); // both types have f32's exponents
    2.0 * unit::<T>() * exponent.exp2()
}

/// How a device accumulates sums of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// In f64, rounded once.
    Double,
    /// The emulator's tensor cores: exact products, f32 sums one after the other.
    EmulatedTensorCores,
    /// A GPU's tensor cores, which truncate what they add. To be calibrated on the first GPU.
    TensorCores,
    /// f32 in an order we do not choose (a GEMM library): Higham's bound.
    Single,
}

impl Sums {
    /// Of the sum of magnitudes of `terms` products, for a result that is rounded to an activation.
    pub fn activations(self, terms: usize) -> f64 {
        match self {
            Self::Double => 1e-12,
            Self::EmulatedTensorCores => 1e-6,
            Self::TensorCores => 2.0 * U32 * (terms as f64 / 64.0).max(4.0),
            Self::Single => (terms as f64 + 2.0) * U32,
        }
    }

    /// The same for a gradient by the filters, kept in f32.
    pub fn filters(self, terms: usize) -> f64 {
        match self {
            Self::EmulatedTensorCores => 6e-7,
            Self::TensorCores => 4.0 * 6e-7,
            Self::Double | Self::Single => self.activations(terms),
        }
    }

    /// Whether the result in f32 is the sum of f64 rounded: then its rounding counts beside `filters`.
    pub fn rounds_once(self) -> bool {
        self == Self::Double
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn an_ulp_is_the_distance_to_the_next() {
        for v in [1.0, 1.5, 1.9921875, -2.0, 0.3, 1e-20, 3e38] {
            let here = bf16::from_f64(v);
            let next = bf16::from_bits(here.to_bits() + 1);
            assert_eq!(ulp::<bf16>(here.to_f64()), (next.to_f64() - here.to_f64()).abs(), "{v}");
        }
        assert_eq!((ulp::<f32>(1.0), ulp::<f32>(0.0)), (2.0 * U32, 0.0));
    }

    #[test]
    fn the_comparison_sees_nan_and_the_worst() {
        assert!(equal(&[f64::NAN], &[f64::NAN]).is_ok());
        assert!(equal(&[f64::NAN], &[0.0]).is_err() && equal(&[0.0], &[f64::NAN]).is_err());
        assert!(close(&[1.0, 2.0], &[1.5, 4.0], |_| 0.1).unwrap_err().starts_with("element 1 of 2: 2 instead of 4, 20.0 times"));
        assert!(close(&[1.0], &[2.0], |_| f64::NAN).is_err() && equal(&[1.0], &[]).is_err());
    }
}
