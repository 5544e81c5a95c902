//! Blocks of coefficients to Huffman codes.
//!
//! The places of nonzero coefficients come as bits, so that the work is in proportion to their number; their order is turned to zigzag by
//! tables, one for each line of a block (16 KB). Bits gather in 64 at a time; a word without a byte of 255 is written at once.

use super::forward::Block;
use super::tables::ZIGZAG;

/// The zigzag places of the coefficients of line `r` whose bits are set in a byte.
static PLACES: [[u64; 256]; 8] = {
    let mut table = [[0; 256]; 8];
    let mut k = 0;
    while k < 64 {
        let (line, column) = (ZIGZAG[k] as usize / 8, ZIGZAG[k] % 8);
        let mut byte = 0;
        while byte < 256 {
            if byte >> column & 1 == 1 {
                table[line][byte] |= 1 << k;
            }
            byte += 1;
        }
        k += 1;
    }
    table
};

/// Bits set for nonzero coefficients, from natural to zigzag order.
#[inline(always)]
fn zigzag(natural: u64) -> u64 {
    let mut places = 0;
    for (table, byte) in PLACES.iter().zip(natural.to_le_bytes()) {
        places |= table[usize::from(byte)];
    }
    places
}

/// Codes of one table pair: see `tables::codes`.
pub struct Codes {
    pub dc: [u32; 256],
    pub ac: [u32; 256],
}

/// The coded bytes of a scan.
pub struct Writer {
    pub out: Vec<u8>,
    /// The last `64 - free` bits are not yet written; above them may be some that are.
    acc: u64,
    free: u32,
}

impl Writer {
    /// Writes behind `out`.
    pub fn new(out: Vec<u8>) -> Self {
        Self { out, acc: 0, free: 64 }
    }

    #[inline(always)]
    fn put(&mut self, bits: u64, n: u32) {
        if n <= self.free {
            // A word that is full is written with the next bits: shifting by 64 is none.
            self.acc = self.acc << n | bits;
            self.free -= n;
        } else {
            let rest = n - self.free;
            let word = if self.free == 0 { self.acc } else { self.acc << self.free | bits >> rest };
            self.word(word);
            self.acc = bits;
            self.free = 64 - rest;
        }
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        if word & 0x8080_8080_8080_8080 & !word.wrapping_add(0x0101_0101_0101_0101) == 0 {
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            self.stuffed(word);
        }
    }

    /// A zero goes after each byte of 255.
    #[cold]
    #[inline(never)]
    fn stuffed(&mut self, word: u64) {
        for byte in word.to_be_bytes() {
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    /// One value behind its code for `symbol << 4 | size`.
    #[inline(always)]
    fn value(&mut self, codes: &[u32; 256], run: u32, value: i32) {
        let sign = value >> 31;
        let size = 32 - ((value ^ sign) - sign).leading_zeros();
        let code = codes[(run << 4 | size) as usize & 255];
        let bits = u64::from((value + sign) as u32) & ((1 << size) - 1);
        self.put(u64::from(code >> 8) << size | bits, (code & 255) + size);
    }

    /// One block; `natural` has a bit for each nonzero coefficient. Returns the DC.
    #[inline(always)]
    pub fn block(&mut self, block: &Block, natural: u64, before: i32, codes: &Codes) -> i32 {
        let dc = i32::from(block[0]);
        self.value(&codes.dc, 0, dc - before);
        let (mut places, mut last) = (zigzag(natural) & !1, 0);
        while places != 0 {
            let k = places.trailing_zeros();
            places &= places - 1;
            let mut run = k - last - 1;
            while run > 15 {
                let code = codes.ac[0xF0];
                self.put(u64::from(code >> 8), code & 255);
                run -= 16;
            }
            self.value(&codes.ac, run, block[usize::from(ZIGZAG[k as usize & 63])].into());
            last = k;
        }
        if last < 63 {
            let code = codes.ac[0];
            self.put(u64::from(code >> 8), code & 255);
        }
        dc
    }

    /// Fills the last byte with ones; the file so far.
    pub fn finish(mut self) -> Vec<u8> {
        self.put(0x7F, 7);
        let (whole, acc) = ((64 - self.free) / 8, self.acc);
        for i in 0..whole {
            let byte = (acc >> ((64 - self.free) - 8 * (i + 1))) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
        self.out
    }
}
