//! Sums over the pixels of pictures, kept with each shard and data set.

/// Exact sums over pixels, from which mean and standard deviation follow without depending on the order of addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChannelSums {
    pub pixels: u64,
    pub sum: [u64; 3],
    pub sum_of_squares: [u64; 3],
}

impl ChannelSums {
    /// The sums of one HWC RGB picture.
    pub fn of(rgb: &[u8]) -> Self {
        let (sum, sum_of_squares) = pulp::Arch::new().dispatch(SumsOf(rgb));
        Self { pixels: (rgb.len() / 3) as u64, sum, sum_of_squares }
    }

    pub fn add(&mut self, other: &Self) {
        self.pixels = self.pixels.saturating_add(other.pixels);
        for c in 0..3 {
            self.sum[c] = self.sum[c].saturating_add(other.sum[c]);
            self.sum_of_squares[c] = self.sum_of_squares[c].saturating_add(other.sum_of_squares[c]);
        }
    }

    /// Mean and standard deviation per channel, in [0, 1]; zeros where there is no pixel.
    pub fn mean_std(&self) -> ([f64; 3], [f64; 3]) {
        let n = self.pixels.max(1) as f64;
        let mean = self.sum.map(|s| s as f64 / n / 255.0);
        let std = std::array::from_fn(|c| {
            let square = self.sum_of_squares[c] as f64 / n / (255.0 * 255.0);
            (square - mean[c] * mean[c]).max(0.0).sqrt()
        });
        (mean, std)
    }
}

/// Sums and sums of squares, for the widest vectors of the machine.
struct SumsOf<'a>(&'a [u8]);

impl pulp::WithSimd for SumsOf<'_> {
    type Output = ([u64; 3], [u64; 3]);

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
        // Sixteen pixels, added byte by byte: vectors then never have to take the channels apart.
        const N: usize = 48;
        let (mut sum, mut squares) = ([0u64; 3], [0u64; 3]);
        // As many bytes as u32 can hold the sums of.
        for block in self.0.chunks(N * 65_536) {
            let (mut s, mut q) = ([0u32; N], [0u32; N]);
            let (whole, rest) = block.as_chunks::<N>();
            for bytes in whole {
                for i in 0..N {
                    let v = u32::from(bytes[i]);
                    s[i] += v;
                    q[i] += v * v;
                }
            }
            for i in 0..N {
                sum[i % 3] += u64::from(s[i]);
                squares[i % 3] += u64::from(q[i]);
            }
            for p in rest.as_chunks::<3>().0 {
                for c in 0..3 {
                    let v = u64::from(p[c]);
                    sum[c] += v;
                    squares[c] += v * v;
                }
            }
        }
        (sum, squares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact() {
        let mixed: Vec<u8> = (0..3 * 70_001u32).map(|i| (i * 7919 % 256) as u8).collect();
        // Second: more of the brightest pixels than one block of u32 sums can take.
        for rgb in [mixed, vec![255; 3 * 1_200_000]] {
            let sums = ChannelSums::of(&rgb);
            for c in 0..3 {
                let of = |f: fn(u64) -> u64| rgb.iter().skip(c).step_by(3).map(|&v| f(u64::from(v))).sum::<u64>();
                assert_eq!((sums.sum[c], sums.sum_of_squares[c]), (of(|v| v), of(|v| v * v)));
            }
        }
        let (mean, std) = ChannelSums::of(&[255, 0, 128, 255, 0, 0]).mean_std();
        assert_eq!((mean[0], std[0], mean[1]), (1.0, 0.0, 0.0));
        assert!((std[2] - 64.0 / 255.0).abs() < 1e-12);
    }
}
