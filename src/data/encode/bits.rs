//! Blocks of coefficients to Huffman codes.
//!
//! The places of nonzero coefficients come as bits, so that the work is in proportion to their number; their order is turned to zigzag by
//! tables, one for each line of a block (16 KB). After each value eight bytes are written, of which the whole ones count; what must follow
//! bytes of 255 is put in later, for many blocks at once. So nothing that is hard to predict is asked but where a block ends.

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

/// More bytes than the codes of a block take: 64 of 16 bits and values of 11, and eight bytes written ahead.
pub const MOST: usize = 256;

/// The coded bytes of a scan.
pub struct Writer {
    out: Vec<u8>,
    /// Bytes without the zeros that go after those of 255.
    raw: Vec<u8>,
    at: usize,
    /// The last `count` bits are not yet written.
    acc: u64,
    count: u32,
}

/// The state of a writer, in registers while a block is written.
struct Bits<'a> {
    raw: &'a mut [u8; MOST],
    at: usize,
    acc: u64,
    count: u32,
}

impl Bits<'_> {
    #[inline(always)]
    fn put(&mut self, bits: u64, n: u32) {
        self.acc = self.acc << (n & 63) | bits;
        self.count += n;
    }

    /// Writes all whole bytes; afterwards there is room for two codes with values. Without a branch: eight bytes, of which some count.
    #[inline(always)]
    fn write(&mut self) {
        let word = self.acc << ((64 - self.count) & 63);
        if let Some(out) = self.raw.get_mut(self.at..self.at + 8) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        self.at += (self.count >> 3) as usize;
        self.count &= 7;
    }

    /// One value behind its code for `run << 4 | size`.
    #[inline(always)]
    fn value(&mut self, codes: &[u32; 256], run: u32, value: i32) {
        let sign = value >> 31;
        let low = value + sign;
        let size = 32 - (low ^ sign).leading_zeros();
        let code = codes[(run << 4 | size) as usize & 255];
        self.put(u64::from(code >> 5 | low as u32 & ((1 << size) - 1)), code & 31);
    }
}

impl Writer {
    /// Writes behind `out`, up to `blocks` blocks between two calls of `flush`.
    pub fn new(out: Vec<u8>, blocks: usize) -> Self {
        Self { out, raw: vec![0; blocks * MOST], at: 0, acc: 0, count: 0 }
    }

    /// One block; `natural` has a bit for each nonzero coefficient. Returns the DC. `None`: more blocks than there is room for.
    #[inline(always)]
    pub fn block(&mut self, block: &Block, natural: u64, before: i32, codes: &Codes) -> Option<i32> {
        let raw = self.raw.get_mut(self.at..)?.first_chunk_mut()?;
        let mut bits = Bits { raw, at: 0, acc: self.acc, count: self.count };
        let dc = i32::from(block[0]);
        bits.value(&codes.dc, 0, dc - before);
        let (mut places, mut last) = (zigzag(natural) & !1, 0);
        while places != 0 {
            let k = places.trailing_zeros();
            places &= places - 1;
            let mut run = k - last - 1;
            while run > 15 {
                bits.write();
                let code = codes.ac[0xF0];
                bits.put(u64::from(code >> 5), code & 31);
                run -= 16;
            }
            bits.write();
            bits.value(&codes.ac, run, block[usize::from(ZIGZAG[k as usize & 63])].into());
            last = k;
        }
        bits.write();
        if last < 63 {
            let code = codes.ac[0];
            bits.put(u64::from(code >> 5), code & 31);
        }
        (self.acc, self.count) = (bits.acc, bits.count);
        self.at += bits.at;
        Some(dc)
    }

    /// Moves on what is written, a zero after each byte of 255.
    pub fn flush(&mut self) {
        let mut rest = &self.raw[..self.at];
        while let Some(i) = memchr::memchr(0xFF, rest) {
            self.out.extend_from_slice(&rest[..=i]);
            self.out.push(0);
            rest = &rest[i + 1..];
        }
        self.out.extend_from_slice(rest);
        self.at = 0;
    }

    /// Fills the last byte with ones; the file so far.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        // At most 22 bits.
        let bits = self.acc << 7 | 0x7F;
        let count = self.count + 7;
        for i in 1..=count / 8 {
            let byte = (bits >> (count - 8 * i)) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
        self.out
    }
}
