//! Planes to RGB with libjpeg's integer arithmetic: "fancy" (triangle) enlargement of subsampled chroma, then the colour conversion
//! (`colours`).

use super::colours::{self, Colours, ycc};
use super::frame::{Component, Frame};
use crate::data::sums::ChannelSums;

/// What the stored components mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Line `y` of the image of one component, its wanted pixels at full resolution: where it lies, or made in `out` (as long as the wanted
/// samples are enlarged).
#[inline(always)]
fn full_line<'a>(c: &'a Component, frame: &Frame, y: usize, sums: &mut Vec<i16>, out: &'a mut [u8]) -> &'a [u8] {
    let line = |row: usize| c.line(row);
    let (across, down) = (frame.h_max / c.h, frame.v_max / c.v);
    let row = (y / down).min(c.height - 1);
    // The nearer neighbour above or below; at the edge, the line itself.
    let beside = if y & 1 == 0 { row.saturating_sub(1) } else { (row + 1).min(c.height - 1) };
    // Of a crop, the outermost two are wrong where the image goes on, and not among its pixels.
    let n = c.columns.len();
    let start = if across == 2 { frame.want.x - 2 * c.columns.start } else { 0 };
    match (across, down) {
        (1, 1) => return line(row),
        (1, 2) => {
            let bias = if y & 1 == 0 { 1 } else { 2 };
            for ((o, &a), &b) in out.iter_mut().zip(line(row)).zip(line(beside)) {
                *o = ((u16::from(a) * 3 + u16::from(b) + bias) >> 2) as u8;
            }
        }
        (2, 1) if c.width > 2 => {
            let s = line(row);
            widen(n, out, |i| i16::from(s[i]), |this, last| (this * 3 + last + 1) >> 2, |this, next| (this * 3 + next + 2) >> 2);
            (out[0], out[2 * n - 1]) = (s[0], s[n - 1]);
        }
        (2, 2) if c.width > 2 => {
            sums.clear();
            sums.extend(line(row).iter().zip(line(beside)).map(|(&a, &b)| i16::from(a) * 3 + i16::from(b)));
            let s = &sums[..n];
            widen(n, out, |i| s[i], |this, last| (this * 3 + last + 8) >> 4, |this, next| (this * 3 + next + 7) >> 4);
            out[0] = ((s[0] * 4 + 8) >> 4) as u8;
            out[2 * n - 1] = ((s[n - 1] * 4 + 7) >> 4) as u8;
        }
        _ => {
            nearest(c, frame, row, out);
            return out;
        }
    }
    &out[start..]
}

/// Two outputs for each of `n` inputs: the left one from it and its left neighbour, the right one from it and its right neighbour. The
/// outermost two are left to the caller.
#[inline(always)]
fn widen(n: usize, out: &mut [u8], at: impl Fn(usize) -> i16, left: impl Fn(i16, i16) -> i16, right: impl Fn(i16, i16) -> i16) {
    out[1] = right(at(0), at(1)) as u8;
    let (pairs, _) = out[2..2 * n - 2].as_chunks_mut::<2>();
    for (i, pair) in pairs.iter_mut().enumerate() {
        let this = at(i + 1);
        // One 16-bit value for both: vector code then needs no interleaving.
        *pair = (left(this, at(i)) as u16 | (right(this, at(i + 2)) as u16) << 8).to_le_bytes();
    }
    out[2 * n - 2] = left(at(n - 1), at(n - 2)) as u8;
}

/// Repeated samples, for every other ratio and for images too narrow for the triangle.
fn nearest(c: &Component, frame: &Frame, row: usize, out: &mut [u8]) {
    let (line, across) = (c.line(row), frame.h_max / c.h);
    for (x, o) in (frame.want.x..).zip(out).take(frame.want.width) {
        *o = line[(x / across).min(c.width - 1) - c.columns.start];
    }
}

/// Pillow's CMYK to RGB of inverted values: `k - k * (255 - c) / 255`, rounded. (It takes every CMYK JPEG for an inverted one.)
#[inline(always)]
fn cmyk(c: [i32; 3], k: i32) -> [u8; 3] {
    c.map(|c| {
        let t = (255 - c) * k + 128;
        (k - (((t >> 8) + t) >> 8)).clamp(0, 255) as u8
    })
}

/// All wanted lines of the finished frame as HWC RGB, into `out` of just that size.
pub struct ToRgb<'a, C> {
    pub frame: &'a Frame,
    pub space: Space,
    pub lines: &'a mut [Vec<u8>; 4],
    pub out: &'a mut [u8],
    pub colours: C,
}

impl<C: Colours> pulp::NullaryFnOnce for ToRgb<'_, C> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        to_rgb(self.frame, self.space, self.lines, self.out, self.colours);
    }
}

/// The sums of the pixels of a frame of Y, Cb and Cr.
#[inline(always)]
pub fn sums<C: Colours>(frame: &Frame, lines: &mut [Vec<u8>; 4], colours: C) -> ChannelSums {
    let width = frame.want.width;
    let (mut total, mut sums) = (ChannelSums::default(), Vec::new());
    let [y_room, cb_room, cr_room, _] = lines;
    let [y_plane, cb_plane, cr_plane] = &*frame.components else { return total };
    for room in [&mut *y_room, &mut *cb_room, &mut *cr_room] {
        room.resize(width + 2 * 8 * frame.h_max, 0);
    }
    for y in frame.want.y..frame.want.y + frame.want.height {
        let luma = full_line(y_plane, frame, y, &mut sums, y_room);
        let cb = full_line(cb_plane, frame, y, &mut sums, cb_room);
        let cr = full_line(cr_plane, frame, y, &mut sums, cr_room);
        colours::add_line(colours, [&luma[..width], &cb[..width], &cr[..width]], width, &mut total);
    }
    total
}

#[inline(always)]
fn to_rgb<C: Colours>(frame: &Frame, space: Space, lines: &mut [Vec<u8>; 4], out: &mut [u8], colours: C) {
    let width = frame.want.width;
    for line in &mut *lines {
        line.resize(width + 2 * 8 * frame.h_max, 0);
    }
    let mut sums = Vec::new();
    for (y, rgb) in (frame.want.y..).zip(out.chunks_exact_mut(width * 3)) {
        let mut full: [&[u8]; 4] = [&[]; 4];
        for ((component, line), full) in frame.components.iter().zip(&mut *lines).zip(&mut full) {
            *full = full_line(component, frame, y, &mut sums, line);
        }
        let pixels = rgb.as_chunks_mut::<3>().0;
        let plane = |i: usize| &full[i][..width];
        match space {
            Space::Gray => pixels.iter_mut().zip(plane(0)).for_each(|(p, &v)| *p = [v; 3]),
            Space::Rgb => {
                for (((p, &r), &g), &b) in pixels.iter_mut().zip(plane(0)).zip(plane(1)).zip(plane(2)) {
                    *p = [r, g, b];
                }
            }
            Space::YCbCr => colours::line(colours, [plane(0), plane(1), plane(2)], pixels),
            Space::Cmyk | Space::Ycck => {
                let inks = plane(0).iter().zip(plane(1)).zip(plane(2)).zip(plane(3));
                for (p, (((&c, &m), &y), &k)) in pixels.iter_mut().zip(inks) {
                    // YCCK holds the YCbCr of (255 - C, 255 - M, 255 - Y).
                    let c = if space == Space::Ycck { ycc(c, m, y).map(|v| (255 - v).clamp(0, 255)) } else { [c, m, y].map(i32::from) };
                    *p = cmyk(c, k.into());
                }
            }
        }
    }
}
