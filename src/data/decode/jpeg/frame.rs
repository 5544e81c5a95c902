//! The frame: its components, and the part of each that is wanted.
//!
//! A crop needs the samples under it, and one more around them where chroma is enlarged. Only the blocks of that window go through the
//! inverse DCT and take room in a plane; the image as a whole is the window of everything.

use super::entropy::Fault;
use super::idct::{Block, Idct, Quant};
use super::{Buffers, sized, smooth};
use std::ops::Range;

/// Pixels of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// How the coefficients are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub progressive: bool,
    pub arithmetic: bool,
}

/// A component as the frame header has it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub id: u8,
    pub h: usize,
    pub v: usize,
    pub quant: usize,
}

/// One colour component of the frame.
pub struct Component {
    pub id: u8,
    pub h: usize,
    pub v: usize,
    pub quant_table: usize,
    /// Its values when the component's first scan began, in natural order.
    pub quant: Option<Quant>,
    /// Samples that belong to the image.
    pub width: usize,
    pub height: usize,
    /// Blocks in a line and in a column, rounded up to whole MCUs.
    pub blocks_w: usize,
    pub blocks_h: usize,
    /// Samples of a line that are wanted, and the blocks that the wanted samples lie in.
    pub columns: Range<usize>,
    pub blocks_x: Range<usize>,
    pub blocks_y: Range<usize>,
    /// Samples of these blocks; outside of the image they may be anything.
    pub plane: Vec<u8>,
    /// Of all blocks, where they are kept until the last scan.
    pub coefficients: Vec<Block>,
    /// Of a progressive image: how many low bits of each coefficient are still unknown; -1: all.
    pub unknown: [i8; 64],
}

impl Component {
    fn new(part: &Part, (width, height): (usize, usize), (h_max, v_max): (usize, usize), want: Rect) -> Self {
        let &Part { id, h, v, quant } = part;
        let (samples_w, samples_h) = ((width * h).div_ceil(h_max), (height * v).div_ceil(v_max));
        let columns = wanted(want.x, want.width, h, h_max, samples_w);
        let rows = wanted(want.y, want.height, v, v_max, samples_h);
        Self {
            id,
            h,
            v,
            quant_table: quant,
            quant: None,
            width: samples_w,
            height: samples_h,
            blocks_w: width.div_ceil(8 * h_max) * h,
            blocks_h: height.div_ceil(8 * v_max) * v,
            blocks_x: columns.start / 8..columns.end.div_ceil(8),
            blocks_y: rows.start / 8..rows.end.div_ceil(8),
            columns,
            plane: Vec::new(),
            coefficients: Vec::new(),
            unknown: [-1; 64],
        }
    }

    pub fn stride(&self) -> usize {
        self.blocks_x.len() * 8
    }

    /// The wanted samples of line `row` of the component.
    #[inline(always)]
    pub fn line(&self, row: usize) -> &[u8] {
        let start = (row - self.blocks_y.start * 8) * self.stride() + self.columns.start - self.blocks_x.start * 8;
        &self.plane[start..start + self.columns.len()]
    }

    /// Where the samples of a wanted block begin in the plane.
    #[inline(always)]
    pub fn place(&self, bx: usize, by: usize) -> usize {
        ((by - self.blocks_y.start) * self.stride() + bx - self.blocks_x.start) * 8
    }
}

/// The samples that pixels `start..start + len` are made of, with a neighbour on each side where they are enlarged.
fn wanted(start: usize, len: usize, factor: usize, most: usize, samples: usize) -> Range<usize> {
    let beside = usize::from(factor != most);
    let first = (start * factor / most).saturating_sub(beside);
    let last = ((start + len - 1) * factor / most + beside).min(samples - 1);
    first..last + 1
}

pub struct Frame {
    pub coding: Coding,
    pub want: Rect,
    pub h_max: usize,
    pub v_max: usize,
    pub components: Vec<Component>,
    pub mcus_w: usize,
    pub mcus_h: usize,
    /// More scans may follow the first.
    pub several: bool,
    /// Coefficients are kept until the last scan.
    pub kept: bool,
}

impl Frame {
    /// `want` None: all of it.
    pub fn new((width, height): (usize, usize), coding: Coding, parts: &[Part], want: Option<Rect>) -> Result<Self, Fault> {
        let want = want.unwrap_or(Rect { x: 0, y: 0, width, height });
        if want.width == 0 || want.height == 0 || want.x + want.width > width || want.y + want.height > height {
            return Err("a crop that is not within the image");
        }
        let h_max = parts.iter().map(|p| p.h).max().unwrap_or(1);
        let v_max = parts.iter().map(|p| p.v).max().unwrap_or(1);
        let components = parts.iter().map(|part| Component::new(part, (width, height), (h_max, v_max), want)).collect();
        let (mcus_w, mcus_h) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        Ok(Self { coding, want, h_max, v_max, components, mcus_w, mcus_h, several: false, kept: false })
    }

    /// Bytes that the coded blocks of Huffman coding take at the very least: a bit each, for the DC coefficient; of the smallest
    /// component, as the others may be missing.
    pub fn least_bytes(&self) -> usize {
        let blocks = |c: &Component| c.width.div_ceil(8) * c.height.div_ceil(8);
        if self.coding.arithmetic { 0 } else { self.components.iter().map(blocks).min().unwrap_or(0) / 8 }
    }

    /// Takes the memory, when the first scan comes; it has `parts` of the components.
    pub fn begin(&mut self, parts: usize, buffers: &mut Buffers) {
        self.several = self.coding.progressive || parts < self.components.len();
        self.kept = self.several || self.coding.arithmetic;
        for (c, buffer) in self.components.iter_mut().zip(&mut buffers.planes) {
            if self.kept {
                c.coefficients = vec![[0; 64]; c.blocks_w * c.blocks_h];
                // Frees its coefficients as it comes.
                c.plane = sized(buffer, 0);
            } else {
                c.plane = sized(buffer, c.blocks_x.len() * c.blocks_y.len() * 64);
            }
        }
    }

    /// Gives the planes back for the next image.
    pub fn recycle(self, buffers: &mut Buffers) {
        for (component, buffer) in self.components.into_iter().zip(&mut buffers.planes) {
            *buffer = component.plane;
        }
    }

    /// The inverse DCT of kept coefficients, after the last scan. A component without a scan is all gray, as in libjpeg.
    pub fn finish<I: Idct>(&mut self, idct: I) {
        if !self.kept {
            return;
        }
        let smooth = smooth::useful(self);
        for i in 0..self.components.len() {
            let component = &mut self.components[i];
            let coefficients = std::mem::take(&mut component.coefficients);
            let mut plane = sized(&mut component.plane, component.blocks_x.len() * component.blocks_y.len() * 64);
            let component = &self.components[i];
            let (stride, quant) = (component.stride(), component.quant.unwrap_or([0; 64]));
            for by in component.blocks_y.clone() {
                for bx in component.blocks_x.clone() {
                    let out = &mut plane[component.place(bx, by)..];
                    let block = &coefficients[by * component.blocks_w + bx];
                    if smooth {
                        let block = smooth::block(self, component, &coefficients, bx, by);
                        idct.run(Inverse { block: &block, quant: &quant, out, stride, idct });
                    } else if block[1..].iter().all(|&c| c == 0) {
                        lone_dc(block[0], &quant, out, stride);
                    } else {
                        idct.run(Inverse { block, quant: &quant, out, stride, idct });
                    }
                }
            }
            self.components[i].plane = plane;
        }
    }
}

/// Both passes of the inverse DCT of a lone DC, exactly: the first shifts left by 2 in 16 bits, the second rounds by 2 + 3 bits.
#[inline(always)]
pub fn lone_dc(dc: i16, quant: &Quant, out: &mut [u8], stride: usize) {
    let level = (i32::from(dc.wrapping_mul(quant[0]) << 2) + 16) >> 5;
    let value = [(level + 128).clamp(0, 255) as u8; 8];
    for line in out.chunks_mut(stride).take(8) {
        if let Some(line) = line.first_chunk_mut() {
            *line = value;
        }
    }
}

/// The inverse DCT of one block.
struct Inverse<'a, I> {
    block: &'a Block,
    quant: &'a Quant,
    out: &'a mut [u8],
    stride: usize,
    idct: I,
}

impl<I: Idct> pulp::NullaryFnOnce for Inverse<'_, I> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.idct.block(self.block, self.quant, self.out, self.stride);
    }
}
