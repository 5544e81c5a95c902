//! YCbCr to RGB with libjpeg's integer arithmetic (16-bit fractions), as pixels or as nothing but their sums. This is the form for every
//! processor; `colours_avx2` is the same in vector instructions. Cost there: less than a cycle a pixel.

use super::idct::Plain;
use crate::data::sums::ChannelSums;

/// Samples that are converted at once.
pub const N: usize = 32;

/// `N` samples of each of three planes.
pub type Planes = [[u8; N]; 3];

/// Sums of R, G and B, and of their squares, in parts; a line of the longest side fits.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    pub sum: [[u64; 4]; 3],
    pub squares: [[u32; 8]; 3],
}

/// One way to compute it.
pub trait Colours: Copy {
    /// Y, Cb and Cr to R, G and B.
    fn convert(self, ycc: &Planes) -> Planes;

    /// R, G and B in turn.
    fn pixels(self, rgb: &Planes) -> [[u8; 3]; N];

    fn add(self, rgb: &Planes, sums: &mut Sums);
}

/// One pixel, not yet bounded.
#[inline(always)]
pub fn ycc(y: u8, cb: u8, cr: u8) -> [i32; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let r = y + ((91_881 * cr + 32768) >> 16);
    let g = y + ((-22554 * cb - 46802 * cr + 32768) >> 16);
    let b = y + ((116_130 * cb + 32768) >> 16);
    [r, g, b]
}

impl Colours for Plain {
    fn convert(self, [y, cb, cr]: &Planes) -> Planes {
        let mut rgb = [[0; N]; 3];
        for i in 0..N {
            for (plane, value) in rgb.iter_mut().zip(ycc(y[i], cb[i], cr[i])) {
                plane[i] = value.clamp(0, 255) as u8;
            }
        }
        rgb
    }

    fn pixels(self, [r, g, b]: &Planes) -> [[u8; 3]; N] {
        std::array::from_fn(|i| [r[i], g[i], b[i]])
    }

    fn add(self, rgb: &Planes, sums: &mut Sums) {
        for (plane, (sum, squares)) in rgb.iter().zip(sums.sum.iter_mut().zip(&mut sums.squares)) {
            for (i, &v) in plane.iter().enumerate() {
                sum[i % 4] += u64::from(v);
                squares[i % 8] += u32::from(v) * u32::from(v);
            }
        }
    }
}

/// `N` samples of each from `at` on.
#[inline(always)]
fn samples(ycc: [&[u8]; 3], at: usize) -> Planes {
    ycc.map(|plane| plane.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N]))
}

/// The last few samples, at the start of room for `N`.
fn few(ycc: [&[u8]; 3]) -> Planes {
    ycc.map(|plane| std::array::from_fn(|i| plane.get(i).copied().unwrap_or(0)))
}

/// One line; all of the same length.
#[inline(always)]
pub fn line<C: Colours>(colours: C, ycc: [&[u8]; 3], out: &mut [[u8; 3]]) {
    let width = out.len();
    for (i, pixels) in out.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        *pixels = colours.pixels(&colours.convert(&samples(ycc, i * N)));
    }
    if width.is_multiple_of(N) {
        return;
    }
    // The last ones, with some of those before them once more.
    if let Some(last) = out.last_chunk_mut() {
        *last = colours.pixels(&colours.convert(&samples(ycc, width - N)));
    } else {
        out.copy_from_slice(&colours.pixels(&colours.convert(&few(ycc)))[..width]);
    }
}

/// The sums of one line.
#[inline(always)]
pub fn add_line<C: Colours>(colours: C, ycc: [&[u8]; 3], width: usize, total: &mut ChannelSums) {
    /// From place `i` on, the last `i` of `N` count.
    const COUNTS: [u8; 2 * N] = {
        let mut mask = [0; 2 * N];
        let mut i = N;
        while i < 2 * N {
            mask[i] = 255;
            i += 1;
        }
        mask
    };
    let mut sums = Sums::default();
    for i in 0..width / N {
        colours.add(&colours.convert(&samples(ycc, i * N)), &mut sums);
    }
    let rest = width % N;
    if rest > 0 {
        let rgb = if width < N {
            // Moved to the end.
            colours.convert(&few(ycc)).map(|plane| std::array::from_fn(|i| plane[(i + rest) % N]))
        } else {
            colours.convert(&samples(ycc, width - N))
        };
        let [counts] = samples_of(&COUNTS, rest);
        colours.add(&rgb.map(|plane| std::array::from_fn(|i| plane[i] & counts[i])), &mut sums);
    }
    total.pixels += width as u64;
    for c in 0..3 {
        total.sum[c] += sums.sum[c].iter().sum::<u64>();
        total.sum_of_squares[c] += sums.squares[c].iter().map(|&v| u64::from(v)).sum::<u64>();
    }
}

#[inline(always)]
fn samples_of(plane: &[u8], at: usize) -> [[u8; N]; 1] {
    [plane.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    /// Lines of every length about `N`: each pixel by the formula, and the sums of just those.
    #[test]
    fn lines_of_every_length() {
        let mut s = Stream::new(8, Purpose::Test, 0, 0);
        for width in 1..3 * N + 2 {
            let planes: [Vec<u8>; 3] = std::array::from_fn(|_| (0..width).map(|_| s.below(256) as u8).collect());
            let [y, cb, cr] = &planes;
            let expected: Vec<[u8; 3]> = (0..width).map(|i| ycc(y[i], cb[i], cr[i]).map(|v| v.clamp(0, 255) as u8)).collect();
            let (mut found, mut sums) = (vec![[0; 3]; width], ChannelSums::default());
            line(Plain, [y, cb, cr], &mut found);
            add_line(Plain, [y, cb, cr], width, &mut sums);
            assert_eq!(found, expected, "{width}");
            assert_eq!(sums, ChannelSums::of(expected.as_flattened()), "{width}");
        }
    }
}
