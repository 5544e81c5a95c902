//! Scans: from coded bits to coefficients, and of sequential images on to samples.
//!
//! A block of a sequential scan of all components goes through the inverse DCT as soon as it is read; its coefficients live nowhere else.
//! Others are kept until the last scan. (ITU-T T.81, annex F; annex G in `progressive`, arithmetic coding in `arithmetic`.)

use super::arithmetic::Arithmetic;
use super::entropy::{Bits, Fault, Huffman, Segments};
use super::frame::{Component, Frame, lone_dc};
use super::idct::Idct;
use super::pairs::{Pairs, Room};
use super::progressive;
use super::sequential::{Codes, Sequential, Skip, sequential};
use super::tables::{MISSING, Tables};

/// Natural position of the k-th coefficient in zigzag order.
#[rustfmt::skip]
pub const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

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

    /// Goes on with the blocks of a unit when all of them are read.
    fn unit(&mut self, _components: &mut [Component]) {}

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
        let pairs: [Option<Pairs>; 4] = std::array::from_fn(|i| {
            let repeated = i > 0 && i < header.parts.len() && header.parts[i].2 == header.parts[i - 1].2;
            ac[i].filter(|_| !self.coding.progressive && !repeated).map(Pairs::new)
        });
        let mut latest = None;
        let pairs = std::array::from_fn(|i| {
            latest = pairs[i].as_ref().or(latest);
            latest
        });
        let of = Coded { coded, header, dc, ac, pairs, bits, predictions: [0; 4] };
        if self.coding.progressive {
            self.walk(header, tables.restart_interval, Progressive { of, eob_run: 0 })
        } else if self.kept {
            self.walk(header, tables.restart_interval, Kept { of })
        } else {
            let held = Held { rooms: [[0; 128]; MOST_BLOCKS], places: [(0, 0, false); MOST_BLOCKS], count: 0 };
            self.walk(header, tables.restart_interval, Direct { of, idct, held })
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
                entropy.unit(&mut self.components);
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
    /// Of sequential scans.
    pairs: [Option<&'a Pairs>; 4],
    bits: Bits<'a>,
    predictions: [i32; 4],
}

impl<'a> Coded<'a> {
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

    /// The tables of one part of a sequential scan.
    #[inline(always)]
    fn codes(&self, part: usize) -> Result<Codes<'a>, Fault> {
        match (self.dc[part], self.ac[part], self.pairs[part]) {
            (Some(dc), Some(ac), Some(pairs)) => Ok(Codes { dc, ac, pairs }),
            _ => Err(MISSING),
        }
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
        let codes = self.of.codes(part)?;
        let mut room = [0; 128];
        sequential(&mut self.of.bits, codes, &mut self.of.predictions[part], &mut room)?;
        if let Some(coefficients) = room.first_chunk() {
            component.coefficients[by * component.blocks_w + bx] = *coefficients;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        self.of.check()
    }
}

/// Most blocks in a unit of a scan.
pub const MOST_BLOCKS: usize = 10;

/// The blocks of a unit that are read. They go through the inverse DCT together: right after a block is written in 16-bit pieces, loading
/// it in wide ones would wait for each of them.
struct Held {
    rooms: [Room; MOST_BLOCKS],
    /// Component, place in its plane, and whether there is nothing but a DC.
    places: [(usize, usize, bool); MOST_BLOCKS],
    count: usize,
}

/// A sequential scan of all components, on to samples.
struct Direct<'a, I> {
    of: Coded<'a>,
    idct: I,
    held: Held,
}

impl<I: Idct> Entropy for Direct<'_, I> {
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        self.of.restart(segment)
    }

    #[inline(always)]
    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault> {
        let codes = self.of.codes(part)?;
        let held = &mut self.held;
        let (Some(room), Some(place)) = (held.rooms.get_mut(held.count), held.places.get_mut(held.count)) else { return Err(TOO_FAR) };
        let (bits, prediction, idct) = (&mut self.of.bits, &mut self.of.predictions[part], self.idct);
        if !component.blocks_x.contains(&bx) || !component.blocks_y.contains(&by) {
            return idct.run(Skip { bits, codes, prediction });
        }
        let last = idct.run(Sequential { bits, codes, prediction, room })?;
        *place = (self.of.header.parts[part].0, component.place(bx, by), last == 0);
        held.count += 1;
        Ok(())
    }

    #[inline(always)]
    fn unit(&mut self, components: &mut [Component]) {
        self.idct.run(Inverses { held: &self.held, components, idct: self.idct });
        self.held.count = 0;
    }

    fn check(&self) -> Result<(), Fault> {
        self.of.check()
    }
}

/// The samples of the blocks of a unit.
struct Inverses<'a, I> {
    held: &'a Held,
    components: &'a mut [Component],
    idct: I,
}

impl<I: Idct> pulp::NullaryFnOnce for Inverses<'_, I> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (room, &(c, place, lone)) in self.held.rooms.iter().zip(&self.held.places).take(self.held.count) {
            let Some(component) = self.components.get_mut(c) else { return };
            let stride = component.stride();
            let (Some(quant), Some(block)) = (&component.quant, room.first_chunk()) else { return };
            let Some(out) = component.plane.get_mut(place..) else { return };
            if lone {
                lone_dc(block[0], quant, out, stride);
            } else {
                self.idct.block(block, quant, out, stride);
            }
        }
    }
}

/// The DC difference whose size (at most 15) a code gave.
#[inline(always)]
pub fn dc_difference(size: u32, bits: &mut Bits<'_>) -> i32 {
    bits.signed(size & 15)
}
