//! Scans: from coded bits to coefficients, and of sequential pictures on to samples.
//!
//! A sequential scan needs the coefficients of one row of MCUs only: each row goes through the inverse DCT before the next is read. A
//! progressive picture keeps all coefficients until its last scan. (ITU-T T.81, annexes F and G.)

use super::entropy::{Bits, Fault, Huffman};
use super::idct::{Block, line_of_blocks};

/// Natural position of the k-th coefficient in zigzag order.
#[rustfmt::skip]
pub const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

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
    /// Blocks, rounded up to whole MCUs.
    pub blocks_w: usize,
    pub blocks_h: usize,
    pub plane: Vec<u8>,
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

const MISSING: Fault = "a Huffman table is missing";
const TOO_FAR: Fault = "coefficients run past the end of a block";

impl Frame {
    /// From the fields of SOF; `parts` are id, h, v, quantisation table.
    pub fn new(width: usize, height: usize, progressive: bool, parts: &[(u8, usize, usize, usize)]) -> Result<Self, Fault> {
        if parts.iter().any(|&(_, h, v, q)| !(1..=4).contains(&h) || !(1..=4).contains(&v) || q > 3) {
            return Err("a component with impossible sampling factors");
        }
        let h_max = parts.iter().map(|p| p.1).max().unwrap_or(1);
        let v_max = parts.iter().map(|p| p.2).max().unwrap_or(1);
        let (mcus_w, mcus_h) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let component = |&(id, h, v, quant_table): &(u8, usize, usize, usize)| {
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
                blocks_h,
                plane: vec![0; blocks_w * blocks_h * 64],
                coefficients: vec![[0; 64]; blocks_w * if progressive { blocks_h } else { v }],
                prediction: 0,
            }
        };
        let components = parts.iter().map(component).collect();
        Ok(Self { width, height, progressive, h_max, v_max, components, mcus_w, mcus_h })
    }

    /// Decodes one scan starting at byte `at`; returns where to look for the next marker.
    #[inline(always)]
    pub fn scan(&mut self, header: &ScanHeader, tables: &Tables, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        for &(c, ..) in &header.parts {
            let component = &mut self.components[c];
            if component.quant.is_none() {
                component.quant = Some(tables.quant[component.quant_table].ok_or("a quantisation table is missing")?);
            }
        }
        let mut bits = Bits::new(bytes, at);
        let mut eob_run = 0u32;
        let (mut until_restart, mut restart) = (tables.restart_interval, 0u8);
        for &(c, ..) in &header.parts {
            self.components[c].prediction = 0;
        }
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
                    bits.restart(restart)?;
                    restart = (restart + 1) % 8;
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
                    // The row of blocks within what is kept: all of them, or those of this row of units.
                    let row = if self.progressive { y * v } else { 0 };
                    for i in 0..h * v {
                        let (bx, by) = (x * h + i % h, row + i / h);
                        let block = &mut component.coefficients[by * component.blocks_w + bx];
                        let prediction = &mut component.prediction;
                        if !self.progressive {
                            let dc = tables.dc[dc].as_ref().ok_or(MISSING)?;
                            sequential(&mut bits, dc, tables.ac[ac].as_ref().ok_or(MISSING)?, prediction, block)?;
                        } else if header.first == 0 {
                            progressive_dc(&mut bits, tables.dc[dc].as_ref(), header, prediction, block)?;
                        } else {
                            let ac = tables.ac[ac].as_ref().ok_or(MISSING)?;
                            if header.high == 0 {
                                progressive_ac_first(&mut bits, ac, header, &mut eob_run, block)?;
                            } else {
                                progressive_ac_refine(&mut bits, ac, header, &mut eob_run, block)?;
                            }
                        }
                    }
                }
            }
            if bits.overrun() {
                return Err("the coded data ends too early");
            }
            if !self.progressive {
                for &(c, ..) in &header.parts {
                    let component = &mut self.components[c];
                    let rows = if alone { 1 } else { component.v };
                    component.finish_rows(y * rows, rows);
                }
            }
        }
        Ok(bits.position())
    }

    /// The inverse DCT of a progressive picture, after its last scan; and the check that every component came.
    #[inline(always)]
    pub fn finish(&mut self) -> Result<(), Fault> {
        for component in &mut self.components {
            if component.quant.is_none() {
                return Err("a colour component has no scan");
            }
            if self.progressive {
                component.finish_rows(0, component.blocks_h);
            }
        }
        Ok(())
    }
}

impl Component {
    /// Coefficients (from the start of what is kept) to samples, from row `first` of blocks on.
    #[inline(always)]
    fn finish_rows(&mut self, first: usize, rows: usize) {
        let stride = self.stride();
        let Some(quant) = self.quant else { return };
        for (row, blocks) in self.coefficients.chunks_mut(self.blocks_w).take(rows).enumerate() {
            let at = (first + row) * 8 * stride;
            if let Some(out) = self.plane.get_mut(at..at + 8 * stride) {
                line_of_blocks(blocks, &quant, out, stride, true);
            }
        }
    }
}

#[inline(always)]
fn sequential(outer: &mut Bits<'_>, dc: &Huffman, ac: &Huffman, prediction: &mut i32, block: &mut Block) -> Result<(), Fault> {
    let mut local = *outer;
    let bits = &mut local;
    bits.refill();
    let size = dc.symbol(bits)?;
    if size > 15 {
        return Err("a DC difference of more than 15 bits");
    }
    *prediction = prediction.wrapping_add(bits.signed(size));
    block[0] = *prediction as i16;
    let mut k = 1;
    while k < 64 {
        bits.refill();
        if let Some((run, value)) = ac.short_ac(bits) {
            k += run;
            let at = *ZIGZAG.get(k).ok_or(TOO_FAR)?;
            block[usize::from(at & 63)] = value;
            k += 1;
            continue;
        }
        let symbol = ac.symbol(bits)?;
        let (run, size) = ((symbol >> 4) as usize, symbol & 15);
        if size == 0 {
            if run < 15 {
                break;
            }
            k += 16;
        } else {
            k += run;
            let at = *ZIGZAG.get(k).ok_or(TOO_FAR)?;
            block[usize::from(at & 63)] = bits.signed(size) as i16;
            k += 1;
        }
    }
    *outer = local;
    Ok(())
}

fn progressive_dc(
    bits: &mut Bits<'_>,
    dc: Option<&Huffman>,
    header: &ScanHeader,
    prediction: &mut i32,
    block: &mut Block,
) -> Result<(), Fault> {
    bits.refill();
    if header.high > 0 {
        block[0] |= (bits.take(1) << header.low) as i16;
        return Ok(());
    }
    let size = dc.ok_or(MISSING)?.symbol(bits)?;
    if size > 15 {
        return Err("a DC difference of more than 15 bits");
    }
    *prediction = prediction.wrapping_add(bits.signed(size));
    block[0] = prediction.wrapping_shl(header.low) as i16;
    Ok(())
}

fn progressive_ac_first(bits: &mut Bits<'_>, ac: &Huffman, header: &ScanHeader, eob_run: &mut u32, block: &mut Block) -> Result<(), Fault> {
    if *eob_run > 0 {
        *eob_run -= 1;
        return Ok(());
    }
    let mut k = header.first;
    while k <= header.last {
        bits.refill();
        let symbol = ac.symbol(bits)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 {
            if run < 15 {
                *eob_run = (1 << run) - 1 + bits.take(run);
                break;
            }
            k += 16;
        } else {
            k += run as usize;
            let at = *ZIGZAG.get(k).ok_or(TOO_FAR)?;
            block[usize::from(at)] = (bits.signed(size) << header.low) as i16;
            k += 1;
        }
    }
    Ok(())
}

fn progressive_ac_refine(
    bits: &mut Bits<'_>,
    ac: &Huffman,
    header: &ScanHeader,
    eob_run: &mut u32,
    block: &mut Block,
) -> Result<(), Fault> {
    let bit = 1i16 << header.low;
    // One more bit for a coefficient that is known to be non-zero.
    let refine = |bits: &mut Bits<'_>, c: &mut i16| {
        bits.refill();
        if bits.take(1) == 1 && *c & bit == 0 {
            *c = c.wrapping_add(if *c >= 0 { bit } else { -bit });
        }
    };
    let mut k = header.first;
    if *eob_run == 0 {
        while k <= header.last {
            bits.refill();
            let symbol = ac.symbol(bits)?;
            let (mut run, size) = (symbol >> 4, symbol & 15);
            let mut value = 0;
            if size == 0 {
                if run < 15 {
                    *eob_run = (1 << run) + bits.take(run);
                    break;
                }
            } else {
                value = if bits.take(1) == 1 { bit } else { -bit };
            }
            while k <= header.last {
                let c = &mut block[usize::from(ZIGZAG[k])];
                if *c != 0 {
                    refine(bits, c);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
            }
            if value != 0 {
                let at = *ZIGZAG.get(k).ok_or(TOO_FAR)?;
                block[usize::from(at)] = value;
            }
            k += 1;
        }
    }
    if *eob_run > 0 {
        for &at in ZIGZAG.get(k..=header.last).unwrap_or(&[]) {
            let c = &mut block[usize::from(at)];
            if *c != 0 {
                refine(bits, c);
            }
        }
        *eob_run -= 1;
    }
    Ok(())
}
