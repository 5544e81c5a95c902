//! Scans: from coded bits to coefficients, and of sequential pictures on to samples.
//!
//! A block of a sequential scan goes through the inverse DCT as soon as it is read; its coefficients live nowhere else. A progressive
//! picture keeps all coefficients until its last scan. (ITU-T T.81, annex F; annex G in `progressive`.)

use super::entropy::{Bits, Fault, Huffman, Segments};
use super::idct::{Block, Idct};
use super::{Buffers, progressive, sized};

/// Natural position of the k-th coefficient in zigzag order.
#[rustfmt::skip]
pub const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The same for any position that a run of zeros can lead to from within a block, so that nothing has to be asked meanwhile.
static BEYOND: [u8; 128] = {
    let mut table = [63; 128];
    let mut k = 0;
    while k < 64 {
        table[k] = ZIGZAG[k];
        k += 1;
    }
    table
};

/// One colour component of the frame.
pub struct Component {
    pub id: u8,
    pub h: usize,
    pub v: usize,
    pub quant_table: usize,
    /// Its values when the component's first scan began, in natural order.
    pub quant: Option<[i32; 64]>,
    /// Samples that belong to the picture.
    pub width: usize,
    pub height: usize,
    /// Blocks in a line, rounded up to whole MCUs.
    pub blocks_w: usize,
    /// Samples; outside of the picture they may be anything.
    pub plane: Vec<u8>,
    /// Of a progressive picture.
    coefficients: Vec<Block>,
    prediction: i32,
}

impl Component {
    pub fn stride(&self) -> usize {
        self.blocks_w * 8
    }
}

pub struct Frame {
    pub width: usize,
    pub height: usize,
    pub progressive: bool,
    pub h_max: usize,
    pub v_max: usize,
    pub components: Vec<Component>,
    mcus_w: usize,
    mcus_h: usize,
}

/// What a scan header says.
pub struct ScanHeader {
    /// Component, DC table, AC table.
    pub parts: Vec<(usize, usize, usize)>,
    pub first: usize,
    pub last: usize,
    pub high: u32,
    pub low: u32,
}

/// The tables in force when a scan begins.
#[derive(Default)]
pub struct Tables {
    pub dc: [Option<Huffman>; 4],
    pub ac: [Option<Huffman>; 4],
    pub quant: [Option<[i32; 64]>; 4],
    pub restart_interval: usize,
}

pub const MISSING: Fault = "a Huffman table is missing";
pub const TOO_FAR: Fault = "coefficients run past the end of a block";
const TOO_EARLY: Fault = "the coded data ends too early";
const LARGE_DC: Fault = "a DC difference of more than 15 bits";

impl Frame {
    /// From the fields of SOF; `parts` are id, h, v, quantisation table.
    pub fn new(
        (width, height): (usize, usize),
        progressive: bool,
        parts: &[(u8, usize, usize, usize)],
        buffers: &mut Buffers,
    ) -> Result<Self, Fault> {
        if parts.iter().any(|&(_, h, v, q)| !(1..=4).contains(&h) || !(1..=4).contains(&v) || q > 3) {
            return Err("a component with impossible sampling factors");
        }
        let h_max = parts.iter().map(|p| p.1).max().unwrap_or(1);
        let v_max = parts.iter().map(|p| p.2).max().unwrap_or(1);
        let (mcus_w, mcus_h) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let component = |(&(id, h, v, quant_table), buffer): (&(u8, usize, usize, usize), &mut Vec<u8>)| {
            let (blocks_w, blocks_h) = (mcus_w * h, mcus_h * v);
            Component {
                id,
                h,
                v,
                quant_table,
                quant: None,
                width: (width * h).div_ceil(h_max),
                height: (height * v).div_ceil(v_max),
                blocks_w,
                // A progressive picture needs its coefficients first, and frees them as the planes come.
                plane: sized(buffer, if progressive { 0 } else { blocks_w * blocks_h * 64 }),
                coefficients: vec![[0; 64]; if progressive { blocks_w * blocks_h } else { 0 }],
                prediction: 0,
            }
        };
        let components = parts.iter().zip(&mut buffers.planes).map(component).collect();
        Ok(Self { width, height, progressive, h_max, v_max, components, mcus_w, mcus_h })
    }

    /// Bytes that the coded blocks take at the very least: a bit each, for the DC coefficient.
    pub fn least_bytes(width: usize, height: usize, parts: &[(u8, usize, usize, usize)]) -> usize {
        let most = |side: fn(&(u8, usize, usize, usize)) -> usize| parts.iter().map(side).max().unwrap_or(1).max(1);
        let (h_max, v_max) = (most(|p| p.1), most(|p| p.2));
        let blocks =
            |&(_, h, v, _): &(u8, usize, usize, usize)| (width * h).div_ceil(h_max).div_ceil(8) * (height * v).div_ceil(v_max).div_ceil(8);
        parts.iter().map(blocks).sum::<usize>() / 8
    }

    /// Gives the planes back for the next picture.
    pub fn recycle(self, buffers: &mut Buffers) {
        for (component, buffer) in self.components.into_iter().zip(&mut buffers.planes) {
            *buffer = component.plane;
        }
    }

    /// Decodes one scan, whose coded bytes are `coded`.
    pub fn scan<I: Idct>(&mut self, header: &ScanHeader, tables: &Tables, coded: &Segments, idct: I) -> Result<(), Fault> {
        for &(c, ..) in &header.parts {
            let component = &mut self.components[c];
            component.prediction = 0;
            if component.quant.is_none() {
                component.quant = Some(tables.quant[component.quant_table].ok_or("a quantisation table is missing")?);
            }
        }
        let mut segment = 0;
        let mut bits = coded.bits(segment).ok_or(TOO_EARLY)?;
        let mut eob_run = 0u32;
        let mut until_restart = tables.restart_interval;
        // A scan of one component goes over its own blocks; of several, over MCUs holding h x v blocks of each.
        let alone = header.parts.len() == 1;
        let (units_w, units_h) = if alone {
            let c = &self.components[header.parts[0].0];
            (c.width.div_ceil(8), c.height.div_ceil(8))
        } else {
            (self.mcus_w, self.mcus_h)
        };
        for y in 0..units_h {
            for x in 0..units_w {
                if tables.restart_interval > 0 && until_restart == 0 {
                    segment += 1;
                    bits = restarted(&bits, coded, segment)?;
                    until_restart = tables.restart_interval;
                    eob_run = 0;
                    for &(c, ..) in &header.parts {
                        self.components[c].prediction = 0;
                    }
                }
                until_restart = until_restart.wrapping_sub(1);
                for &(c, dc, ac) in &header.parts {
                    let component = &mut self.components[c];
                    let (h, v) = if alone { (1, 1) } else { (component.h, component.v) };
                    for by in y * v..y * v + v {
                        for bx in x * h..x * h + h {
                            if self.progressive {
                                let block = &mut component.coefficients[by * component.blocks_w + bx];
                                let (dc, ac) = (tables.dc[dc].as_ref(), tables.ac[ac].as_ref());
                                progressive::block(&mut bits, dc, ac, header, &mut eob_run, &mut component.prediction, block)?;
                                continue;
                            }
                            let (Some(dc), Some(ac)) = (&tables.dc[dc], &tables.ac[ac]) else { return Err(MISSING) };
                            let Some(quant) = &component.quant else { return Err(MISSING) };
                            let stride = component.blocks_w * 8;
                            let out = &mut component.plane[by * 8 * stride + bx * 8..];
                            let (bits, prediction) = (&mut bits, &mut component.prediction);
                            idct.run(Sequential { bits, dc, ac, prediction, quant, out, stride, idct })?;
                        }
                    }
                }
            }
            if bits.overrun() {
                return Err(TOO_EARLY);
            }
        }
        Ok(())
    }

    /// The inverse DCT of a progressive picture, after its last scan; and the check that every component came.
    pub fn finish<I: Idct>(&mut self, idct: I) -> Result<(), Fault> {
        for component in &mut self.components {
            let quant = component.quant.ok_or("a colour component has no scan")?;
            if !self.progressive {
                continue;
            }
            let stride = component.stride();
            let coefficients = std::mem::take(&mut component.coefficients);
            component.plane = sized(&mut component.plane, coefficients.len() * 64);
            for (i, block) in coefficients.iter().enumerate() {
                let (bx, by) = (i % component.blocks_w, i / component.blocks_w);
                let out = &mut component.plane[by * 8 * stride + bx * 8..];
                if block[1..].iter().all(|&c| c == 0) {
                    lone_dc(block[0], &quant, out, stride);
                } else {
                    idct.run(Inverse { block, quant: &quant, out, stride, idct });
                }
            }
        }
        Ok(())
    }
}

/// Goes past the restart marker that must come next.
#[cold]
#[inline(never)]
fn restarted<'a>(before: &Bits<'_>, coded: &'a Segments, segment: usize) -> Result<Bits<'a>, Fault> {
    if before.overrun() {
        return Err(TOO_EARLY);
    }
    let next = coded.bits(segment).filter(|_| !before.byte_left());
    next.ok_or("a restart marker is missing")
}

/// Both passes of the inverse DCT of a lone DC, exactly: the first shifts left by 2, the second rounds by 2 + 3 bits.
#[inline(always)]
pub fn lone_dc(dc: i16, quant: &[i32; 64], out: &mut [u8], stride: usize) {
    let level = i32::from(dc).wrapping_mul(quant[0]).wrapping_shl(2).wrapping_add(16) >> 5;
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
    quant: &'a [i32; 64],
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

/// One block of a sequential scan, from bits to samples. A function of its own, small enough that all of its state is in registers.
struct Sequential<'a, 'b, I> {
    bits: &'a mut Bits<'b>,
    dc: &'a Huffman,
    ac: &'a Huffman,
    prediction: &'a mut i32,
    quant: &'a [i32; 64],
    out: &'a mut [u8],
    stride: usize,
    idct: I,
}

impl<I: Idct> pulp::NullaryFnOnce for Sequential<'_, '_, I> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn call(self) -> Result<(), Fault> {
        let mut block = [0; 64];
        let last = sequential(self.bits, self.dc, self.ac, self.prediction, &mut block)?;
        if last == 0 {
            lone_dc(block[0], self.quant, self.out, self.stride);
        } else {
            self.idct.block(&block, self.quant, self.out, self.stride);
        }
        Ok(())
    }
}

/// The coefficients of one block; returns the zigzag position of the last.
#[inline(always)]
fn sequential(outer: &mut Bits<'_>, dc: &Huffman, ac: &Huffman, prediction: &mut i32, block: &mut Block) -> Result<usize, Fault> {
    let mut local = *outer;
    let bits = &mut local;
    bits.refill();
    let look = dc.look(bits);
    let difference =
        if look.size() != 0 && look.step() == 1 { bits.valued(look).into() } else { dc_difference(dc.symbol_of(look, bits)?, bits)? };
    *prediction = prediction.wrapping_add(difference);
    block[0] = *prediction as i16;
    let (mut k, mut last) = (0, 0);
    while k < 63 {
        bits.refill();
        // What a refill gives is enough for a coefficient whose code a look finds, and any second one.
        let mut look = ac.look(bits);
        if look.size() != 0 {
            k += look.step();
            block[usize::from(BEYOND[k & 127] & 63)] = bits.valued(look);
            last = k;
            if k >= 63 {
                break;
            }
            look = ac.look(bits);
            if look.size() != 0 {
                k += look.step();
                block[usize::from(BEYOND[k & 127] & 63)] = bits.valued(look);
                last = k;
                continue;
            }
        }
        let symbol = ac.symbol_of(look, bits)?;
        let (run, size) = ((symbol >> 4) as usize, symbol & 15);
        if size == 0 {
            if run < 15 {
                break;
            }
            k += 16;
        } else {
            k += run + 1;
            block[usize::from(BEYOND[k & 127] & 63)] = bits.signed(size) as i16;
            last = k;
        }
    }
    *outer = local;
    if last > 63 { Err(TOO_FAR) } else { Ok(last) }
}

/// The DC difference whose size a code gave.
#[inline(always)]
pub fn dc_difference(size: u32, bits: &mut Bits<'_>) -> Result<i32, Fault> {
    if size > 15 { Err(LARGE_DC) } else { Ok(bits.signed(size)) }
}
