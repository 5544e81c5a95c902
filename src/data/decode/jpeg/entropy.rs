//! Bits of a scan and Huffman codes.
//!
//! Before a scan is read its bytes are copied once without the zeros stuffed after each FF ([`Segments`]), cut at restart markers. So
//! the reader takes eight bytes at a time and never looks at what they are. Past the end of a segment it hands out zeros; a scan whose
//! codes run past its data is known for certain by the count of bits taken ([`Bits::overrun`]): the sign of a cut or damaged file that
//! lenient decoders fill with gray.

/// A reason in words.
pub type Fault = &'static str;

/// Zeros after each segment, so that eight bytes can be taken anywhere in it.
const PAD: usize = 8;

/// The coded bytes of one scan. Kept between pictures for its memory.
#[derive(Default)]
pub struct Segments {
    bytes: Vec<u8>,
    /// One past the data of each segment; `PAD` zeros follow it.
    ends: Vec<usize>,
    /// Where in the file the marker stands that ended the last segment.
    marker: usize,
}

impl Segments {
    /// Reads from `file[at..]` to the marker that ends the scan. Restart markers are gone past only where they may be (`restarts`), and
    /// only with the right number.
    pub fn read(&mut self, file: &[u8], mut at: usize, restarts: bool) {
        self.bytes.clear();
        self.ends.clear();
        loop {
            let rest = file.get(at..).unwrap_or(&[]);
            let plain = memchr::memchr(0xFF, rest).unwrap_or(rest.len());
            self.bytes.extend_from_slice(&rest[..plain]);
            let (marker, rest) = (at + plain, &rest[plain..]);
            let fill = rest.iter().take_while(|&&b| b == 0xFF).count();
            if rest.get(fill) == Some(&0) {
                self.bytes.push(0xFF); // one, also where fill bytes precede it, as libjpeg has it
                at = marker + fill + 1;
                continue;
            }
            self.marker = marker;
            self.ends.push(self.bytes.len());
            self.bytes.extend_from_slice(&[0; PAD]);
            let expected = 0xD0 + (self.ends.len() as u8 + 7) % 8; // RST0 ends the first segment
            if !restarts || rest.get(fill) != Some(&expected) {
                return;
            }
            at = marker + fill + 1;
        }
    }

    /// A reader of segment `i`, if the scan has so many.
    pub fn bits(&self, i: usize) -> Option<Bits<'_>> {
        let (start, end) = self.range(i)?;
        Some(Bits { bytes: self.bytes.get(start..end + PAD)?, acc: 0, n: 0, borrowed: 0 })
    }

    /// The bytes of segment `i`.
    pub fn data(&self, i: usize) -> Option<&[u8]> {
        let (start, end) = self.range(i)?;
        self.bytes.get(start..end)
    }

    fn range(&self, i: usize) -> Option<(usize, usize)> {
        let start = if i == 0 { 0 } else { self.ends.get(i - 1)? + PAD };
        Some((start, *self.ends.get(i)?))
    }

    /// Where the marker after the scan is to be looked for.
    pub fn position(&self) -> usize {
        self.marker
    }

    /// Gives memory back that only a huge file needs.
    pub fn shrink(&mut self, bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
    }
}

/// Small and copied around: kept in registers, which borrows by functions that are not inlined would prevent.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    /// What is not yet in `acc`, with `PAD` zeros at the end.
    bytes: &'a [u8],
    /// The next `n` bits, left-aligned. Bits below them may already be those that follow.
    acc: u64,
    n: u32,
    /// Bytes of zeros that came after the padding.
    borrowed: u32,
}

impl Bits<'_> {
    /// Makes at least 56 bits available.
    #[inline(always)]
    pub fn refill(&mut self) {
        if let Some(chunk) = self.bytes.first_chunk::<8>() {
            self.acc |= u64::from_be_bytes(*chunk) >> self.n;
            self.bytes = self.bytes.get(((63 - self.n) >> 3 & 7) as usize..).unwrap_or(&[]);
            self.n |= 56;
        } else {
            *self = self.starved();
        }
    }

    /// A refill where all that is left is padding.
    #[cold]
    #[inline(never)]
    fn starved(mut self) -> Self {
        self.borrowed += (63 - self.n) >> 3;
        self.n |= 56;
        self
    }

    #[inline(always)]
    pub fn peek(&self, k: u32) -> usize {
        (self.acc >> (64 - k)) as usize
    }

    #[inline(always)]
    pub fn consume(&mut self, k: u32) {
        self.acc <<= k & 63;
        self.n = self.n.wrapping_sub(k & 63);
    }

    /// The value of `size` bits that begins after `skip` more. Without a branch: how large values are cannot be predicted.
    #[inline(always)]
    pub fn value(&self, skip: u32, size: u32) -> i16 {
        let value = self.acc << (skip & 63);
        let magnitude = value >> ((64 - size) & 63);
        // A leading zero means a negative value: all ones then, so that the subtraction counts.
        let negative = !(value as i64 >> 63);
        (magnitude as i64 + (negative & (1 - (1i64 << size)))) as i16
    }

    /// The value after a code that a look has found; takes both.
    #[inline(always)]
    pub fn valued(&mut self, look: Look) -> i16 {
        let value = self.value(look.len(), look.size());
        self.consume(look.total());
        value
    }

    /// `k` bits (at most 16) as a number.
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

    /// Bits of the segment that no code has taken; negative when codes ran past the data.
    fn left(&self) -> i64 {
        (self.bytes.len() as i64 - PAD as i64 - i64::from(self.borrowed)) * 8 + i64::from(self.n)
    }

    /// Whether codes ran past the data.
    #[inline(always)]
    pub fn overrun(&self) -> bool {
        self.left() < 0
    }

    /// Whether a whole byte is left, which padding before a marker never is.
    pub fn byte_left(&self) -> bool {
        self.left() >= 8
    }
}

/// Bits that a table is looked at with. A code found so with its value (15), and any other code with its value (16 and 15), are not more
/// than a refill gives.
pub const LOOK: u32 = 10;

/// What a look finds: in bits 0-5 the length of code and value, 6-10 the run of zeros and one more, 11-14 the size of the value, 16-20
/// the length of the code. An entry of zero: the code is longer.
#[derive(Clone, Copy)]
pub struct Look(u32);

impl Look {
    /// Of the value in bits; 0 where there is none, or the code is longer than a look.
    #[inline(always)]
    pub fn size(self) -> u32 {
        (self.0 >> 11) & 15
    }

    /// What to add to the position of the coefficient before.
    #[inline(always)]
    pub fn step(self) -> usize {
        (self.0 >> 6) as usize & 31
    }

    #[inline(always)]
    fn total(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    pub fn len(self) -> u32 {
        (self.0 >> 16) & 31
    }
}

/// A Huffman table: a look at ten bits finds most codes.
pub struct Huffman {
    look: Box<[u32; 1 << LOOK]>,
    /// One past the last code of each length, left-aligned to 16 bits, and what to add to a code to get its symbol's index.
    limit: [u32; 18],
    delta: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// From the counts of codes of length 1 to 16 and the symbols.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Fault> {
        const CROWDED: Fault = "a Huffman table with too many codes";
        let (mut look, mut limit, mut delta) = (Box::new([0u32; 1 << LOOK]), [0u32; 18], [0i32; 17]);
        let (mut code, mut index) = (0u32, 0usize);
        for (len, &count) in (1u32..).zip(counts) {
            delta[len as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if len <= LOOK {
                    let first = (code << (LOOK - len)) as usize;
                    let (step, size) = (u32::from(symbols[index] >> 4) + 1, u32::from(symbols[index] & 15));
                    let entries = look.get_mut(first..first + (1 << (LOOK - len))).ok_or(CROWDED)?;
                    entries.fill(len << 16 | size << 11 | step << 6 | (len + size));
                }
                code += 1;
                index += 1;
            }
            // A code of all ones is none.
            if count > 0 && code >= 1 << len {
                return Err(CROWDED);
            }
            limit[len as usize] = code << (16 - len);
            code <<= 1;
        }
        limit[17] = u32::MAX;
        Ok(Self { look, limit, delta, symbols: symbols.to_vec() })
    }

    /// Its largest symbol.
    pub fn largest(&self) -> u8 {
        self.symbols.iter().copied().max().unwrap_or(0)
    }

    /// What a look at these bits finds.
    pub fn entry(&self, bits: usize) -> Look {
        Look(self.look.get(bits).copied().unwrap_or(0))
    }

    #[inline(always)]
    pub fn look(&self, bits: &Bits<'_>) -> Look {
        Look(self.look[bits.peek(LOOK)])
    }

    /// The next symbol; needs 16 bits.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits<'_>) -> Result<u32, Fault> {
        self.symbol_of(self.look(bits), bits)
    }

    /// The same after a look.
    #[inline(always)]
    pub fn symbol_of(&self, look: Look, bits: &mut Bits<'_>) -> Result<u32, Fault> {
        let (len, symbol) = match look.0 {
            0 => self.long_symbol(bits.peek(16) as u32)?,
            _ => (look.len(), (look.step() as u32 - 1) << 4 | look.size()),
        };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stuffing, restarts, fill bytes, and a marker of another kind.
    #[test]
    fn segments_are_what_lies_between_markers() {
        let file = [9, 1, 0xFF, 0, 2, 0xFF, 0xFF, 0xD0, 3, 0xFF, 0, 0xFF, 0, 0xFF, 0xD1, 0xFF, 0xD9, 7];
        let mut s = Segments::default();
        s.read(&file, 1, true);
        let data = |s: &Segments, i: usize| s.bits(i).map(|b| b.bytes[..b.bytes.len() - PAD].to_vec());
        assert_eq!(
            [data(&s, 0), data(&s, 1), data(&s, 2), data(&s, 3)],
            [Some(vec![1, 0xFF, 2]), Some(vec![3, 0xFF, 0xFF]), Some(vec![]), None]
        );
        assert_eq!(s.position(), 15);
        s.read(&file, 1, false); // a restart marker in a scan without restarts ends it
        assert_eq!((data(&s, 0), data(&s, 1), s.position()), (Some(vec![1, 0xFF, 2]), None, 5));
        s.read(&file[..3], 1, true); // cut within a pair
        assert_eq!((data(&s, 0), s.position()), (Some(vec![1]), 2));
    }

    /// Every bit comes once and in order, in takes of any size, and the end is known to the bit.
    #[test]
    fn bits_come_in_order_and_their_end_is_known() {
        let file: Vec<u8> = (0..200u32).map(|i| (i * 37 % 251) as u8).collect();
        let mut s = Segments::default();
        s.read(&file, 0, false);
        let mut bits = s.bits(0).unwrap();
        let (mut at, mut k) = (0, 0);
        while at + k <= file.len() * 8 {
            bits.refill();
            let expected = (at..at + k).fold(0, |v, i| v << 1 | u32::from(file[i / 8] >> (7 - i % 8) & 1));
            assert_eq!(bits.take(k as u32), expected, "bit {at}");
            assert_eq!((bits.overrun(), bits.byte_left()), (false, file.len() * 8 - at - k >= 8));
            at += k;
            k = (k + 5) % 17;
        }
        bits.take((file.len() * 8 - at) as u32);
        assert!(!bits.overrun());
        bits.refill();
        assert_eq!(bits.take(1), 0);
        assert!(bits.overrun());
    }

    /// Codes of every length and size against a search through the list of codes.
    #[test]
    fn looks_find_what_a_search_finds() {
        let mut counts = [0u8; 16];
        for (i, c) in [(1, 1), (3, 2), (4, 2), (7, 4), (9, 3), (11, 2), (15, 2)] {
            counts[i] = c;
        }
        let symbols: Vec<u8> = vec![0x01, 0x00, 0x12, 0x03, 0xF0, 0x21, 0x35, 0x04, 0x08, 0x51, 0x0A, 0x62, 0x71, 0x09, 0x0F, 0xE1];
        let table = Huffman::new(&counts, &symbols).unwrap();
        let (mut codes, mut code) = (Vec::new(), 0u32);
        for (len, &count) in (1u32..).zip(&counts) {
            for _ in 0..count {
                codes.push((len, code, symbols[codes.len()]));
                code += 1;
            }
            code <<= 1;
        }
        for &(len, code, symbol) in &codes {
            for rest in [0u64, 0xAAAA_AAAA_AAAA, 0xFFFF_FFFF_FFFF, 0x1234_5678_9ABC] {
                let acc = u64::from(code) << (64 - len) | rest << 16 >> len;
                let start = Bits { bytes: &[0; PAD], acc, n: 56, borrowed: 0 };
                let mut bits = start;
                assert_eq!(table.symbol(&mut bits).unwrap(), u32::from(symbol));
                assert_eq!(bits.n, 56 - len);
                let value = bits.signed(u32::from(symbol) & 15);
                let (look, mut fast) = (table.look(&start), start);
                if look.size() != 0 {
                    let found = (i32::from(fast.valued(look)), look.step(), fast.acc, fast.n);
                    assert_eq!(found, (value, usize::from(symbol >> 4) + 1, bits.acc, bits.n));
                } else {
                    assert!(symbol & 15 == 0 || len > LOOK);
                }
            }
        }
        assert!(Huffman::new(&[3; 16], &[0; 48]).is_err());
    }
}
