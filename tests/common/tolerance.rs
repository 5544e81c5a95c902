//! One way to compare: every element within `bound`, which is computed from the problem, never tuned.

/// Unit roundoff of f32.
pub const U32: f64 = 1.0 / 16_777_216.0;
/// Unit roundoff of f64.
pub const U64: f64 = 1.0 / 9_007_199_254_740_992.0;

/// Err with the worst element unless `|got - want| <= bound` everywhere. NaN agrees with NaN alone.
pub fn close(got: &[f64], want: &[f64], bound: impl Fn(usize) -> f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements instead of {}", got.len(), want.len()));
    }
    let mut worst: Option<(f64, usize)> = None;
    for i in 0..got.len() {
        let excess = match (got[i].is_nan(), want[i].is_nan()) {
            (true, true) => continue,
            (false, false) if got[i] == want[i] => continue,
            (false, false) => (got[i] - want[i]).abs() / bound(i),
            _ => f64::INFINITY,
        };
        let excess = if excess.is_nan() { f64::INFINITY } else { excess }; // a bound that is NaN allows nothing
        if excess > 1.0 && worst.is_none_or(|w| excess > w.0) {
            worst = Some((excess, i));
        }
    }
    match worst {
        None => Ok(()),
        Some((excess, i)) => {
            Err(format!("element {i} of {}: {} instead of {}, {excess:.1} times the bound {:e}", got.len(), got[i], want[i], bound(i)))
        }
    }
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
