//! Arithmetic coding (ITU-T T.81: the coder of annex D, the statistics of F.1.4 and G.1.3), sequential and progressive, as libjpeg reads it:
//! data that ends early goes on as zeros, which the coding allows; a value or a band without end is a fault.

use super::entropy::{Fault, Segments};
use super::frame::Component;
use super::idct::Block;
use super::scan::{Entropy, ScanHeader, ZIGZAG};
use super::tables::Conditioning;

/// Table D.3: the estimated probability of the less likely bit, the next states after it and after the likely one, and whether they
/// change places. The last one is for bits of one half each.
#[rustfmt::skip]
static STATES: [(u16, u8, u8, u8); 114] = [
    (0x5a1d, 1, 1, 1), (0x2586, 14, 2, 0), (0x1114, 16, 3, 0), (0x080b, 18, 4, 0), (0x03d8, 20, 5, 0), (0x01da, 23, 6, 0), (0x00e5, 25, 7, 0),
    (0x006f, 28, 8, 0), (0x0036, 30, 9, 0), (0x001a, 33, 10, 0), (0x000d, 35, 11, 0), (0x0006, 9, 12, 0), (0x0003, 10, 13, 0), (0x0001, 12, 13, 0),
    (0x5a7f, 15, 15, 1), (0x3f25, 36, 16, 0), (0x2cf2, 38, 17, 0), (0x207c, 39, 18, 0), (0x17b9, 40, 19, 0), (0x1182, 42, 20, 0), (0x0cef, 43, 21, 0),
    (0x09a1, 45, 22, 0), (0x072f, 46, 23, 0), (0x055c, 48, 24, 0), (0x0406, 49, 25, 0), (0x0303, 51, 26, 0), (0x0240, 52, 27, 0), (0x01b1, 54, 28, 0),
    (0x0144, 56, 29, 0), (0x00f5, 57, 30, 0), (0x00b7, 59, 31, 0), (0x008a, 60, 32, 0), (0x0068, 62, 33, 0), (0x004e, 63, 34, 0), (0x003b, 32, 35, 0),
    (0x002c, 33, 9, 0), (0x5ae1, 37, 37, 1), (0x484c, 64, 38, 0), (0x3a0d, 65, 39, 0), (0x2ef1, 67, 40, 0), (0x261f, 68, 41, 0), (0x1f33, 69, 42, 0),
    (0x19a8, 70, 43, 0), (0x1518, 72, 44, 0), (0x1177, 73, 45, 0), (0x0e74, 74, 46, 0), (0x0bfb, 75, 47, 0), (0x09f8, 77, 48, 0), (0x0861, 78, 49, 0),
    (0x0706, 79, 50, 0), (0x05cd, 48, 51, 0), (0x04de, 50, 52, 0), (0x040f, 50, 53, 0), (0x0363, 51, 54, 0), (0x02d4, 52, 55, 0), (0x025c, 53, 56, 0),
    (0x01f8, 54, 57, 0), (0x01a4, 55, 58, 0), (0x0160, 56, 59, 0), (0x0125, 57, 60, 0), (0x00f6, 58, 61, 0), (0x00cb, 59, 62, 0), (0x00ab, 61, 63, 0),
    (0x008f, 61, 32, 0), (0x5b12, 65, 65, 1), (0x4d04, 80, 66, 0), (0x412c, 81, 67, 0), (0x37d8, 82, 68, 0), (0x2fe8, 83, 69, 0), (0x293c, 84, 70, 0),
    (0x2379, 86, 71, 0), (0x1edf, 87, 72, 0), (0x1aa9, 87, 73, 0), (0x174e, 72, 74, 0), (0x1424, 72, 75, 0), (0x119c, 74, 76, 0), (0x0f6b, 74, 77, 0),
    (0x0d51, 75, 78, 0), (0x0bb6, 77, 79, 0), (0x0a40, 77, 48, 0), (0x5832, 80, 81, 1), (0x4d1c, 88, 82, 0), (0x438e, 89, 83, 0), (0x3bdd, 90, 84, 0),
    (0x34ee, 91, 85, 0), (0x2eae, 92, 86, 0), (0x299a, 93, 87, 0), (0x2516, 86, 71, 0), (0x5570, 88, 89, 1), (0x4ca9, 95, 90, 0), (0x44d9, 96, 91, 0),
    (0x3e22, 97, 92, 0), (0x3824, 99, 93, 0), (0x32b4, 99, 94, 0), (0x2e17, 93, 86, 0), (0x56a8, 95, 96, 1), (0x4f46, 101, 97, 0), (0x47e5, 102, 98, 0),
    (0x41cf, 103, 99, 0), (0x3c3d, 104, 100, 0), (0x375e, 99, 93, 0), (0x5231, 105, 102, 0), (0x4c0f, 106, 103, 0), (0x4639, 107, 104, 0), (0x415e, 103, 99, 0),
    (0x5627, 105, 106, 1), (0x50e7, 108, 107, 0), (0x4b85, 109, 103, 0), (0x5597, 110, 109, 0), (0x504f, 111, 107, 0), (0x5a10, 110, 111, 1), (0x5522, 112, 109, 0),
    (0x59eb, 112, 111, 1), (0x5a1d, 113, 113, 0),
];
const HALF: u8 = 113;

/// The decoder of single bits, each by the statistics of its bin: a state, and in the highest bit the likely value.
struct Bins<'a> {
    data: &'a [u8],
    base: i64,
    /// Size of the interval.
    size: i64,
    /// Bits that `base` holds beyond it; -16 at the start.
    shift: i32,
}

impl<'a> Bins<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, base: 0, size: 0, shift: -16 }
    }

    fn bit(&mut self, bin: &mut u8) -> bool {
        while self.size < 0x8000 {
            self.shift -= 1;
            if self.shift < 0 {
                let byte = self.data.split_off_first().copied().unwrap_or(0);
                self.base = self.base << 8 | i64::from(byte);
                self.shift += 8;
                if self.shift < 0 {
                    self.shift += 1;
                    if self.shift == 0 {
                        self.size = 0x8000; // two bytes are there: to be doubled to the whole interval
                    }
                }
            }
            self.size <<= 1;
        }
        let (likely, state) = (*bin & 0x80, *bin & 0x7F);
        let (estimate, less, more, change) = STATES[usize::from(state.min(HALF))];
        let (estimate, less) = (i64::from(estimate), less ^ change << 7);
        self.size -= estimate;
        let below = self.size << self.shift;
        let small = self.size < estimate;
        if self.base >= below {
            self.base -= below;
            self.size = estimate;
            *bin = likely ^ if small { more } else { less };
            (likely != 0) == small
        } else if self.size < 0x8000 {
            *bin = likely ^ if small { less } else { more };
            (likely != 0) != small
        } else {
            likely != 0
        }
    }

    /// The doublings of a magnitude from `size` on, and its bits: bins from `first` on, and 14 further.
    fn magnitude(&mut self, bins: &mut [u8; 256], mut size: i32, mut at: usize) -> Result<(i32, usize), Fault> {
        while self.bit(&mut bins[at & 255]) {
            size <<= 1;
            if size == 0x8000 {
                return Err(ENDLESS);
            }
            at += 1;
        }
        Ok((size, at))
    }

    /// A value of that size, less one.
    fn value(&mut self, bins: &mut [u8; 256], size: i32, at: usize) -> i32 {
        let (mut value, mut bit) = (size, size >> 1);
        while bit > 0 {
            if self.bit(&mut bins[(at + 14) & 255]) {
                value |= bit;
            }
            bit >>= 1;
        }
        value
    }
}

const ENDLESS: Fault = "arithmetic coding of a value that is too large";
const TOO_FAR: Fault = "arithmetic coding of coefficients past the end of a band";

/// One scan.
pub struct Arithmetic<'a> {
    coded: &'a Segments,
    header: &'a ScanHeader,
    progressive: bool,
    conditioning: Conditioning,
    bins: Bins<'a>,
    /// By table.
    dc: Box<[[u8; 256]; 16]>,
    ac: Box<[[u8; 256]; 16]>,
    /// By the number of the component in the scan.
    predictions: [i32; 4],
    contexts: [usize; 4],
}

impl<'a> Arithmetic<'a> {
    pub fn new(header: &'a ScanHeader, progressive: bool, conditioning: Conditioning, coded: &'a Segments) -> Self {
        let bins = Bins::new(coded.data(0).unwrap_or(&[]));
        let (dc, ac) = (Box::new([[0; 256]; 16]), Box::new([[0; 256]; 16]));
        Self { coded, header, progressive, conditioning, bins, dc, ac, predictions: [0; 4], contexts: [0; 4] }
    }

    /// F.1.4.1: the difference to the DC before, by whether that one was small or large, up or down.
    fn dc(&mut self, part: usize, block: &mut Block) -> Result<(), Fault> {
        let table = self.header.parts[part].1 & 15;
        let (bins, stats, context) = (&mut self.bins, &mut self.dc[table], &mut self.contexts[part]);
        let at = *context;
        if bins.bit(&mut stats[at]) {
            let down = bins.bit(&mut stats[at + 1]);
            let mut at = at + 2 + usize::from(down);
            let mut size = 0;
            if bins.bit(&mut stats[at]) {
                (size, at) = bins.magnitude(stats, 1, 20)?;
            }
            let (low, high) = self.conditioning.dc[table];
            *context = if size < (1 << low) >> 1 {
                0
            } else if size > (1 << high) >> 1 {
                12 + 4 * usize::from(down)
            } else {
                4 + 4 * usize::from(down)
            };
            let value = bins.value(stats, size, at) + 1;
            let prediction = &mut self.predictions[part];
            *prediction = (*prediction + if down { -value } else { value }) & 0xFFFF;
        } else {
            *context = 0;
        }
        block[0] = (self.predictions[part] << self.low()) as i16;
        Ok(())
    }

    /// F.1.4.2: a band of AC coefficients.
    fn ac(&mut self, part: usize, block: &mut Block, first: usize, last: usize) -> Result<(), Fault> {
        let low = self.low();
        let table = self.header.parts[part].2 & 15;
        let (bins, stats) = (&mut self.bins, &mut self.ac[table]);
        let mut k = first;
        while k <= last {
            if bins.bit(&mut stats[3 * (k - 1)]) {
                break; // end of block
            }
            while !bins.bit(&mut stats[3 * (k - 1) + 1]) {
                k += 1;
                if k > last {
                    return Err(TOO_FAR);
                }
            }
            let negative = bins.bit(&mut { HALF });
            let mut at = 3 * (k - 1) + 2;
            let mut size = 0;
            if bins.bit(&mut stats[at]) {
                size = 1;
                if bins.bit(&mut stats[at]) {
                    let from = if k <= usize::from(self.conditioning.ac[table]) { 189 } else { 217 };
                    (size, at) = bins.magnitude(stats, 2, from)?;
                }
            }
            let value = bins.value(stats, size, at) + 1;
            block[usize::from(ZIGZAG[k & 63] & 63)] = ((if negative { -value } else { value }) << low) as i16;
            k += 1;
        }
        Ok(())
    }

    /// G.1.3.3: one more bit of a band.
    fn refine(&mut self, part: usize, block: &mut Block) -> Result<(), Fault> {
        let bit = 1i16 << self.low();
        let (first, last) = (self.header.first, self.header.last);
        let (bins, stats) = (&mut self.bins, &mut self.ac[self.header.parts[part].2 & 15]);
        let natural = |k: usize| usize::from(ZIGZAG[k & 63] & 63);
        let before = (1..=last).rev().find(|&k| block[natural(k)] != 0).unwrap_or(0);
        let mut k = first;
        while k <= last {
            if k > before && bins.bit(&mut stats[3 * (k - 1)]) {
                break;
            }
            loop {
                let c = &mut block[natural(k)];
                if *c != 0 {
                    if bins.bit(&mut stats[3 * (k - 1) + 2]) {
                        *c = c.wrapping_add(if *c < 0 { -bit } else { bit });
                    }
                    break;
                }
                if bins.bit(&mut stats[3 * (k - 1) + 1]) {
                    *c = if bins.bit(&mut { HALF }) { -bit } else { bit };
                    break;
                }
                k += 1;
                if k > last {
                    return Err(TOO_FAR);
                }
            }
            k += 1;
        }
        Ok(())
    }

    /// Bits that a later scan adds.
    fn low(&self) -> u32 {
        if self.progressive { self.header.low } else { 0 }
    }
}

impl Entropy for Arithmetic<'_> {
    fn restart(&mut self, segment: usize) -> Result<(), Fault> {
        let data = self.coded.data(segment).ok_or("a restart marker is missing")?;
        *self = Self { bins: Bins::new(data), ..Self::new(self.header, self.progressive, self.conditioning, self.coded) };
        Ok(())
    }

    fn block(&mut self, part: usize, component: &mut Component, bx: usize, by: usize) -> Result<(), Fault> {
        let block = &mut component.coefficients[by * component.blocks_w + bx];
        let header = self.header;
        if !self.progressive {
            self.dc(part, block)?;
            return self.ac(part, block, 1, 63);
        }
        match (header.first, header.high) {
            (0, 0) => self.dc(part, block),
            (0, _) => {
                block[0] |= i16::from(self.bins.bit(&mut { HALF })) << header.low;
                Ok(())
            }
            (first, 0) => self.ac(part, block, first, header.last),
            _ => self.refine(part, block),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}
