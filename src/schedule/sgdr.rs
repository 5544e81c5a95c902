//! Cosine annealing with warm restarts (Loshchilov and Hutter, "SGDR", ICLR 2017), as `CosineAnnealingWarmRestarts`.
//!
//! Cycles are counted in integers: torch's `step(epoch)` and timm take a floored logarithm instead and land in the wrong cycle at
//! exact restarts, such as T0 = 1, mul = 3, t = 121.

use super::cosine;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgdr {
    /// Updates of the first cycle.
    pub first: u64,
    /// Each cycle is so many times as long as the one before.
    pub mul: u64,
    /// Each cycle's peak is so many times as high as the one before, but never below the floor.
    pub decay: f64,
}

/// Where a position lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub cycle: u64,
    /// Updates since the cycle began.
    pub t: u64,
    /// Updates of the cycle.
    pub len: u64,
}

impl Sgdr {
    /// `min + (peak*decay^cycle - min) * (1 + cos(pi*Tcur/Ti)) / 2`, `t` updates after the warm-up.
    pub fn lr(&self, peak: f64, min: f64, t: u64) -> f64 {
        let at = self.position(t);
        let top = (peak * self.decay.powf(at.cycle as f64)).max(min);
        cosine(top, min, at.t as f64, at.len as f64)
    }

    pub(super) fn position(&self, t: u64) -> Position {
        let (mut cycle, mut begin, mut len) = (0, 0u64, self.first);
        if self.mul == 1 {
            return Position { cycle: t / len, t: t % len, len };
        }
        // At most 64 turns: the length at least doubles.
        while t - begin >= len {
            begin += len;
            len = len.saturating_mul(self.mul);
            cycle += 1;
        }
        Position { cycle, t: t - begin, len }
    }

    /// Positions at which the second, third, ... cycle begins.
    pub(super) fn restarts(&self) -> impl Iterator<Item = u64> {
        let (mut begin, mut len, mul) = (0u64, self.first, self.mul);
        std::iter::from_fn(move || {
            begin = begin.checked_add(len)?;
            len = len.saturating_mul(mul);
            Some(begin)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cycle found by counting one update at a time, for every combination in which a floored logarithm goes wrong.
    #[test]
    fn cycles_are_those_of_counting() {
        for first in 1..60 {
            for mul in [1, 2, 3, 4, 5, 10] {
                let sgdr = Sgdr { first, mul, decay: 1.0 };
                let (mut cycle, mut since, mut len) = (0, 0, first);
                for t in 0..2000 {
                    assert_eq!(sgdr.position(t), Position { cycle, t: since, len }, "T0 {first}, mul {mul}, t {t}");
                    since += 1;
                    if since == len {
                        (cycle, since, len) = (cycle + 1, 0, len * mul);
                    }
                }
            }
        }
        // The two published traps; the logarithm says one cycle less.
        assert_eq!(Sgdr { first: 1, mul: 3, decay: 1.0 }.position(121), Position { cycle: 5, t: 0, len: 243 });
        assert_eq!(Sgdr { first: 1, mul: 10, decay: 1.0 }.position(111), Position { cycle: 3, t: 0, len: 1000 });
        let floored_logarithm = (f64::from(121 * (3 - 1) + 1).ln() / 3f64.ln()).floor();
        assert_eq!(floored_logarithm, 4.0, "the trap is real on this machine");
    }

    #[test]
    fn far_positions_neither_overflow_nor_hang() {
        assert_eq!(Sgdr { first: 1, mul: 1, decay: 1.0 }.position(u64::MAX - 1).len, 1);
        assert!(Sgdr { first: 3, mul: 7, decay: 0.5 }.position(u64::MAX - 1).t < u64::MAX);
        assert!(Sgdr { first: 1 << 40, mul: 1 << 40, decay: 1.0 }.restarts().take_while(|t| *t < u64::MAX).count() < 4);
    }
}
