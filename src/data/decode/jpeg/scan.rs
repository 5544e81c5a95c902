//! Scans: from coded bits to coefficients, and of sequential images on to samples.
//!
//! A block of a sequential scan of all components goes through the inverse DCT as soon as it is read; its coefficients live nowhere else.
//! Others are kept until the last scan. (ITU-T T.81, annex F; annex G in `progressive`, arithmetic coding in `arithmetic`.)

use super::arithmetic::Arithmetic;
use super::entropy::{Bits, Fault, Huffman, Segments};
use super::frame::{Component, Frame, lone_dc};
use super::idct::{Block, Idct, Quant};
use super::progressive;
use super::tables::{MISSING, Tables};

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

/// What a scan header says.
pub struct ScanHeader {
    /// Component, DC table, AC table.
    pub parts: Vec<(usize, usize, usize)>,
    pub first: usize,
    pub last: usize,
    pub high: u32,
    pub low: u32,
}

pub const TOO_FAR: Fault = "coefficients run past the end of a block";
const TOO_EARLY: Fault = "the coded data ends too early";

/// One way to read the blocks of a scan.
pub trait Entropy {
    /// Goes on with the next segment, behind a restart marker.
    fn restart(&mut self, segment: usize) -> Result<(), Fault>;

    /// Reads block (`bx`, `by`) of the scan's component number `part`.
    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault>;

    /// Whether the data has lasted so far.
    fn check(&self) -> Result<(), Fault>;
}

impl Frame {
    /// Decodes one scan, whose coded bytes are `coded`; of a crop, down to the last row that it needs.
    pub fn scan<I: Idct>(&mut self, header: &ScanHeader, tables: &Tables, coded: &Segments, idct: I) -> Result<(), Fault> {
        for &(c, ..) in &header.parts {
            let component = &mut self.components[c];
            if component.quant.is_none() {
                let table = tables.quant.get(component.quant_table).copied().flatten();
                component.quant = Some(table.ok_or("a quantisation table is missing")?);
            }
            if self.coding.progressive {
                component.unknown[header.first..=header.last].fill(header.low as i8);
            }
        }
        if self.coding.arithmetic {
            let coder = Arithmetic::new(header, self.coding.progressive, tables.arithmetic, coded);
            return self.walk(header, tables.restart_interval, coder);
        }
        let bits = coded.bits(0).ok_or(TOO_EARLY)?;
        let (mut dc, mut ac) = ([None; 4], [None; 4]);
        for (i, &(_, d, a)) in header.parts.iter().enumerate() {
            if !self.coding.progressive || header.first == 0 && header.high == 0 {
                dc[i] = Some(tables.dc_table(d)?);
            }
            if !self.coding.progressive || header.first > 0 {
                ac[i] = Some(tables.ac_table(a)?);
            }
        }
        let of = Coded { coded, header, dc, ac, bits, predictions: [0; 4] };
        if self.coding.progressive {
            self.walk(header, tables.restart_interval, Progressive { of, eob_run: 0 })
        } else if self.kept {
            self.walk(header, tables.restart_interval, Kept { of })
        } else {
            self.walk(header, tables.restart_interval, Direct { of, idct })
        }
    }

    /// A scan of one component goes over its own blocks; of several, over MCUs holding h x v blocks of each.
    fn walk(&mut self, header: &ScanHeader, interval: usize, mut entropy: impl Entropy) -> Result<(), Fault> {
        let alone = header.parts.len() == 1;
        // Guesses for unfinished images look two blocks further down.
        let more = if self.coding.progressive { 2 } else { 0 };
        let needed = |&(c, ..): &(usize, usize, usize)| {
            let component = &self.components[c];
            (component.blocks_y.end + more).div_ceil(if alone { 1 } else { component.v })
        };
        let needed = header.parts.iter().map(needed).max().unwrap_or(0);
        let (units_w, units_h) = if alone {
            let c = &self.components[header.parts[0].0];
            (c.width.div_ceil(8), c.height.div_ceil(8))
        } else {
            (self.mcus_w, self.mcus_h)
        };
        let (mut segment, mut until_restart) = (0, interval);
        for y in 0..units_h.min(needed) {
            for x in 0..units_w {
                if interval > 0 && until_restart == 0 {
                    segment += 1;
                    entropy.restart(segment)?;
                    until_restart = interval;
                }
                until_restart = until_restart.wrapping_sub(1);
                for (part, &(c, ..)) in header.parts.iter().enumerate() {
                    let component = &mut self.components[c];
                    let (h, v) = if alone { (1, 1) } else { (component.h, component.v) };
                    for by in y * v..y * v + v {
                        for bx in x * h..x * h + h {
                            entropy.block(part, component, bx, by)?;
                        }
                    }
                }
            }
            entropy.check()?;
        }
        Ok(())
    }
}

/// What Huffman coded scans have in common.
struct Coded<'a> {
    coded: &'a Segments,
    header: &'a ScanHeader,
    /// By the number of the component in the scan.
    dc: [Option<&'a Huffman>; 4],
    ac: [Option<&'a Huffman>; 4],
    bits: Bits<'a>,
    predictions: [i32; 4],
}

impl Coded<'_> {
    /// Goes past the restart marker that must come next.
    #[cold]
    #[inline(never)]
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        self.check()?;
        let next = self.coded.bits(segment).filter(|_| !self.bits.byte_left());
        self.bits = next.ok_or("a restart marker is missing")?;
        self.predictions = [0; 4];
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        if self.bits.overrun() { Err(TOO_EARLY) } else { Ok(()) }
    }
}

/// A scan of a progressive image.
struct Progressive<'a> {
    of: Coded<'a>,
    eob_run: u32,
}

impl Entropy for Progressive<'_> {
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        self.eob_run = 0;
        self.of.restart(segment)
    }

    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault> {
        let block = &mut component.coefficients[by * component.blocks_w + bx];
        let of = &mut self.of;
        progressive::block(&mut of.bits, of.dc[part], of.ac[part], of.header, &mut self.eob_run, &mut of.predictions[part], block)
    }

    fn check(&self) -> Result<(), Fault> {
        self.of.check()
    }
}

/// A sequential scan of some components.
struct Kept<'a> {
    of: Coded<'a>,
}

impl Entropy for Kept<'_> {
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        self.of.restart(segment)
    }

    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault> {
        let (Some(dc), Some(ac)) = (self.of.dc[part], self.of.ac[part]) else { return Err(MISSING) };
        let block = &mut component.coefficients[by * component.blocks_w + bx];
        sequential(&mut self.of.bits, dc, ac, &mut self.of.predictions[part], block).map(drop)
    }

    fn check(&self) -> Result<(), Fault> {
        self.of.check()
    }
}

/// A sequential scan of all components, on to samples.
struct Direct<'a, I> {
    of: Coded<'a>,
    idct: I,
}

impl<I: Idct> Entropy for Direct<'_, I> {
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        self.of.restart(segment)
    }

    #[inline(always)]
    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault> {
        let (Some(dc), Some(ac)) = (self.of.dc[part], self.of.ac[part]) else { return Err(MISSING) };
        let Some(quant) = &component.quant else { return Err(MISSING) };
        let (bits, prediction, idct) = (&mut self.of.bits, &mut self.of.predictions[part], self.idct);
        if !component.blocks_x.contains(&bx) || !component.blocks_y.contains(&by) {
            return idct.run(Skip { bits, dc, ac, prediction });
        }
        let (stride, place) = (component.stride(), component.place(bx, by));
        let out = &mut component.plane[place..];
        idct.run(Sequential { bits, dc, ac, prediction, quant, out, stride, idct })
    }

    fn check(&self) -> Result<(), Fault> {
        self.of.check()
    }
}

/// One block of a sequential scan, from bits to samples. A function of its own, small enough that all of its state is in registers.
struct Sequential<'a, 'b, I> {
    bits: &'a mut Bits<'b>,
    dc: &'a Huffman,
    ac: &'a Huffman,
    prediction: &'a mut i32,
    quant: &'a Quant,
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

/// One block of a sequential scan that is not wanted: only its bits are counted, and its DC.
struct Skip<'a, 'b> {
    bits: &'a mut Bits<'b>,
    dc: &'a Huffman,
    ac: &'a Huffman,
    prediction: &'a mut i32,
}

impl pulp::NullaryFnOnce for Skip<'_, '_> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn call(self) -> Result<(), Fault> {
        let Self { bits: outer, dc, ac, prediction } = self;
        let mut local = *outer;
        let bits = &mut local;
        bits.refill();
        let look = dc.look(bits);
        let difference =
            if look.size() != 0 && look.step() == 1 { bits.valued(look).into() } else { dc_difference(dc.symbol_of(look, bits)?, bits) };
        *prediction = prediction.wrapping_add(difference);
        let (mut k, mut last) = (0, 0);
        while k < 63 {
            bits.refill();
            let mut look = ac.look(bits);
            // As many as a refill gives for certain: two of at most 26 bits.
            if look.size() != 0 {
                bits.pass(look);
                k += look.step();
                last = k;
                if k >= 63 {
                    break;
                }
                look = ac.look(bits);
                if look.size() != 0 {
                    bits.pass(look);
                    k += look.step();
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
                bits.take(size);
                last = k;
            }
        }
        *outer = local;
        if last > 63 { Err(TOO_FAR) } else { Ok(()) }
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
        if look.size() != 0 && look.step() == 1 { bits.valued(look).into() } else { dc_difference(dc.symbol_of(look, bits)?, bits) };
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

/// The DC difference whose size (at most 15) a code gave.
#[inline(always)]
pub fn dc_difference(size: u32, bits: &mut Bits<'_>) -> i32 {
    bits.signed(size & 15)
}
