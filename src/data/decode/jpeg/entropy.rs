//! Bits of a scan and Huffman codes.
//!
//! The reader keeps 64 bits, left-aligned, and takes eight bytes at a time where none of them is FF. At a marker it hands out zeros and
//! counts them, so that a scan whose codes run past its data is known for certain ([`Bits::overrun`]): the sign of a cut or damaged
//! file that lenient decoders fill with gray.

/// A reason in words.
pub type Fault = &'static str;

/// Small and copied around: kept in registers, which borrows by functions that are not inlined would prevent.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    acc: u64,
    n: u32,
    padded: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, acc: 0, n: 0, padded: 0 }
    }

    /// Makes at least 32 bits available: more than a code (16) and its value (15) need together.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.n >= 32 {
            return;
        }
        if let Some(chunk) = self.bytes.get(self.at..).and_then(|b| b.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*chunk);
            let inverse = !word; // a byte FF is a zero byte here
            if inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080 == 0 {
                self.acc |= word >> self.n;
                self.at += ((63 - self.n) >> 3) as usize;
                self.n |= 56;
                return;
            }
        }
        *self = self.refilled_slowly();
    }

    #[cold]
    #[inline(never)]
    fn refilled_slowly(mut self) -> Self {
        while self.n <= 56 {
            let byte = match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.at += 2;
                    0xFF
                }
                (Some(&b), _) if b != 0xFF => {
                    self.at += 1;
                    b
                }
                _ => {
                    self.padded += 8;
                    0
                }
            };
            self.acc |= u64::from(byte) << (56 - self.n);
            self.n += 8;
        }
        self
    }

    #[inline(always)]
    fn peek(&self, k: u32) -> usize {
        (self.acc >> (64 - k)) as usize
    }

    #[inline(always)]
    fn consume(&mut self, k: u32) {
        self.acc <<= k;
        self.n -= k;
    }

    /// `k` bits (at most 16, after a refill) as a number.
    #[inline(always)]
    pub fn take(&mut self, k: u32) -> u32 {
        let value = if k == 0 { 0 } else { self.peek(k) as u32 };
        self.consume(k);
        value
    }

    /// A value of `k` bits, the upper half positive, the lower half negative (T.81, EXTEND).
    #[inline(always)]
    pub fn signed(&mut self, k: u32) -> i32 {
        let value = self.take(k) as i32;
        if k > 0 && value >> (k - 1) == 0 { value - (1 << k) + 1 } else { value }
    }

    /// Whether codes ran past the data.
    pub fn overrun(&self) -> bool {
        self.n < self.padded
    }

    /// Goes past the restart marker that must come next.
    pub fn restart(&mut self, number: u8) -> Result<(), Fault> {
        if self.overrun() {
            return Err("the coded data ends too early");
        }
        // Whole bytes that were read ahead belong to no code: there are none but padding where the marker is next.
        while self.bytes.get(self.at) == Some(&0xFF) && self.bytes.get(self.at + 1) == Some(&0xFF) {
            self.at += 1;
        }
        if self.n - self.padded >= 8 || self.bytes.get(self.at..self.at + 2) != Some(&[0xFF, 0xD0 + number]) {
            return Err("a restart marker is missing");
        }
        *self = Self::new(self.bytes, self.at + 2);
        Ok(())
    }

    /// Where the marker after the scan is to be looked for.
    pub fn position(&self) -> usize {
        self.at
    }
}

const LOOK: u32 = 10;

/// A Huffman table: a look at ten bits finds most codes, and for AC also their value.
pub struct Huffman {
    /// Length << 8 | symbol; 0 for longer codes.
    look: Box<[u16; 1 << LOOK]>,
    /// Value << 8 | run << 4 | all bits; 0 where it does not fit.
    fast: Box<[i16; 1 << LOOK]>,
    /// One past the last code of each length, left-aligned to 16 bits, and what to add to a code to get its symbol's index.
    limit: [u32; 18],
    delta: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// From the counts of codes of length 1 to 16 and the symbols.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Fault> {
        let (mut look, mut limit, mut delta) = (Box::new([0u16; 1 << LOOK]), [0u32; 18], [0i32; 17]);
        let (mut code, mut index) = (0u32, 0usize);
        for (len, &count) in (1u32..).zip(counts) {
            delta[len as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if len <= LOOK {
                    let first = (code << (LOOK - len)) as usize;
                    let fill = look.get_mut(first..first + (1 << (LOOK - len))).ok_or("a Huffman table with too many codes")?;
                    fill.fill((len << 8) as u16 | u16::from(symbols[index]));
                }
                code += 1;
                index += 1;
            }
            if code > 1 << len {
                return Err("a Huffman table with too many codes");
            }
            limit[len as usize] = code << (16 - len);
            code <<= 1;
        }
        limit[17] = u32::MAX;
        let mut fast = Box::new([0i16; 1 << LOOK]);
        for (bits, entry) in fast.iter_mut().enumerate() {
            let (len, symbol) = (u32::from(look[bits] >> 8), u32::from(look[bits] & 255));
            let (run, size) = (symbol >> 4, symbol & 15);
            if len > 0 && size > 0 && len + size <= LOOK {
                let raw = (bits >> (LOOK - len - size)) as i32 & ((1 << size) - 1);
                let value = if raw >> (size - 1) == 0 { raw - (1 << size) + 1 } else { raw };
                if (-128..128).contains(&value) {
                    *entry = (value * 256 + (run * 16 + len + size) as i32) as i16;
                }
            }
        }
        Ok(Self { look, fast, limit, delta, symbols: symbols.to_vec() })
    }

    /// The next symbol; needs 16 bits.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits<'_>) -> Result<u32, Fault> {
        let entry = self.look[bits.peek(LOOK)];
        if entry != 0 {
            bits.consume(u32::from(entry >> 8));
            return Ok(u32::from(entry & 255));
        }
        let (len, symbol) = self.long_symbol(bits.peek(16) as u32)?;
        bits.consume(len);
        Ok(symbol)
    }

    #[cold]
    #[inline(never)]
    fn long_symbol(&self, code: u32) -> Result<(u32, u32), Fault> {
        let mut len = LOOK as usize + 1;
        while code >= self.limit[len] {
            len += 1;
        }
        if len > 16 {
            return Err("a code that is in no Huffman table");
        }
        let index = (code >> (16 - len)) as i32 + self.delta[len];
        let symbol = self.symbols.get(index as usize).ok_or("a code that is in no Huffman table")?;
        Ok((len as u32, u32::from(*symbol)))
    }

    /// The next AC coefficient where ten bits hold it all: its run of zeros and its value.
    #[inline(always)]
    pub fn short_ac(&self, bits: &mut Bits<'_>) -> Option<(usize, i16)> {
        let entry = self.fast[bits.peek(LOOK)];
        if entry == 0 {
            return None;
        }
        bits.consume((entry & 15) as u32);
        Some((((entry >> 4) & 15) as usize, entry >> 8))
    }
}
