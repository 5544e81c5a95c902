//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! A number is a pure function of (key, counter), so there is no generator state to save, and the n-th draw of picture i in
//! epoch e is the same whoever asks, in whatever order, on the CPU or in a CUDA kernel.

/// What a stream is for. Part of the counter, so that two uses never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    Order = 1,
    Augment = 2,
    Init = 3,
    Synthetic = 4,
    Test = 5,
    OrderBlocks = 6,
    OrderWindow = 7,
}

const M0: u64 = 0xD251_1F53;
const M1: u64 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;

/// Ten rounds of Philox4x32: 128 random bits for one counter under one key.
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let [mut k0, mut k1] = key;
    let mut c = counter;
    for _ in 0..10 {
        let p0 = M0 * u64::from(c[0]);
        let p1 = M1 * u64::from(c[2]);
        c = [(p1 >> 32) as u32 ^ c[1] ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k1, p0 as u32];
        k0 = k0.wrapping_add(W0);
        k1 = k1.wrapping_add(W1);
    }
    c
}

/// The numbers of one (seed, purpose, epoch, item): `word(i)` for any i, or drawn one after the other.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    item: u64,
    purpose_epoch: u32,
    block: u32,
    buffer: [u32; 4],
    used: usize,
}

impl Stream {
    /// `epoch` must be below 2^28; the counter's last word holds purpose and epoch.
    pub fn new(seed: u64, purpose: Purpose, epoch: u32, item: u64) -> Self {
        debug_assert!(epoch < 1 << 28);
        let purpose_epoch = (purpose as u32) << 28 | epoch;
        Self { key: [seed as u32, (seed >> 32) as u32], item, purpose_epoch, block: 0, buffer: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            let counter = [self.block, self.item as u32, (self.item >> 32) as u32, self.purpose_epoch];
            self.buffer = philox(self.key, counter);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.buffer[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in [0, 1) with 24 random bits: exact in f32.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [0, 1) with 53 random bits.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform integer in [0, bound), bound > 0, by Lemire's multiply-shift (bias below bound / 2^32).
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// Standard normal by Box-Muller, in f64.
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform_f64(); // (0, 1]: the logarithm is finite
        let v = self.uniform_f64();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123's kat_vectors file for philox4x32 with 10 rounds.
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0, !0], [!0; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn streams_differ_by_every_coordinate() {
        let first = |seed, purpose, epoch, item| Stream::new(seed, purpose, epoch, item).next_u64();
        let base = first(1, Purpose::Augment, 2, 3);
        assert_eq!(base, first(1, Purpose::Augment, 2, 3));
        for other in [
            first(2, Purpose::Augment, 2, 3),
            first(1 << 32 | 1, Purpose::Augment, 2, 3),
            first(1, Purpose::Order, 2, 3),
            first(1, Purpose::Augment, 3, 3),
            first(1, Purpose::Augment, 2, 4),
            first(1, Purpose::Augment, 2, 1 << 32 | 3),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn moments_of_uniform_and_normal() {
        let mut s = Stream::new(7, Purpose::Test, 0, 0);
        let n = 100_000;
        let (mut u, mut g, mut g2) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            u += s.uniform_f64();
            let x = s.normal();
            g += x;
            g2 += x * x;
        }
        let n = f64::from(n);
        assert!((u / n - 0.5).abs() < 0.005 && (g / n).abs() < 0.015 && (g2 / n - 1.0).abs() < 0.02);
    }
}
