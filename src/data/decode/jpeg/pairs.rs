//! Two coefficients at a look.
//!
//! To find where the next code begins, a decoder must have looked up the one before: that chain, not the work, is what sequential Huffman
//! decoding costs. The bits of one look often hold a whole coefficient and the code of the next, so this table says what both are. The
//! look after it finds them all, one without a second included, by the same instructions: nothing that is hard to predict is asked. Cost:
//! 4 KB a table, made anew for each scan in a few microseconds.

use super::entropy::{Bits, Huffman, LOOK, Look};

/// What the end of a block adds to the position of its last coefficient: more than any run can.
pub const END: usize = 96;

/// Room for a block: the places behind its 64 take what is written only because not writing would cost a question.
pub type Room = [i16; 128];

/// What a look finds: in bits 0-5 the length of all of it, 6-12 the step to the first coefficient, 13-16 the length of its code, 17-20 the
/// size of its value, 21-27 the step from it to the second one, 28-31 the size of that value, which comes last. The end of a block is a
/// step of `END`. Zero: nothing that is whole, or a run without a value.
#[derive(Clone, Copy)]
pub struct Pair(u32);

impl Pair {
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    fn total(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    fn step(self) -> usize {
        (self.0 >> 6) as usize & 127
    }

    #[inline(always)]
    fn len(self) -> u32 {
        (self.0 >> 13) & 15
    }

    #[inline(always)]
    fn size(self) -> u32 {
        (self.0 >> 17) & 15
    }

    #[inline(always)]
    fn second_step(self) -> usize {
        (self.0 >> 21) as usize & 127
    }

    #[inline(always)]
    fn second_size(self) -> u32 {
        self.0 >> 28
    }
}

/// Natural places of the positions that steps lead to; one behind the block for all that are no coefficient.
static PLACES: [u8; 256] = {
    let mut table = [64; 256];
    let mut k = 0;
    while k < 64 {
        table[k] = super::scan::ZIGZAG[k];
        k += 1;
    }
    table
};

#[inline(always)]
fn place(k: usize) -> usize {
    usize::from(PLACES[k & 255] & 127)
}

/// The table of pairs of an AC table.
pub struct Pairs(Box<[u32; 1 << LOOK]>);

impl Pairs {
    pub fn new(table: &Huffman) -> Self {
        let step = |look: Look| if look.size() == 0 { END as u32 } else { look.step() as u32 };
        // A run of zeros without a value is left to the slower way, but for the end of the block.
        let known = |look: Look| look.size() != 0 || look.len() != 0 && look.step() == 1;
        let mut found = Box::new([0; 1 << LOOK]);
        for (bits, pair) in found.iter_mut().enumerate() {
            let first = table.entry(bits);
            if !known(first) {
                continue;
            }
            let used = first.len() + first.size();
            *pair = first.size() << 17 | first.len() << 13 | step(first) << 6 | used;
            if first.size() == 0 || used >= LOOK {
                continue;
            }
            let second = table.entry(bits << used & ((1 << LOOK) - 1));
            if known(second) && used + second.len() <= LOOK {
                *pair += second.size() << 28 | step(second) << 21 | (second.len() + second.size());
            }
        }
        Self(found)
    }

    #[inline(always)]
    pub fn look(&self, bits: &Bits<'_>) -> Pair {
        Pair(self.0[bits.peek(LOOK)])
    }
}

/// Writes the one or two coefficients behind position `k` and takes their bits; returns the new position, `END` or more at the end.
#[inline(always)]
pub fn write(bits: &mut Bits<'_>, pair: Pair, k: usize, block: &mut Room) -> usize {
    let first = k + pair.step();
    let second = first + pair.second_step();
    let value = bits.value(pair.len(), pair.size());
    if (63..END).contains(&first) {
        // The block is full: what comes next is of another.
        bits.consume(pair.len() + pair.size());
        block[place(first)] = value;
        return first;
    }
    // Where there is no second one, the first is written over it.
    block[place(second)] = bits.value(pair.total() - pair.second_size(), pair.second_size());
    block[place(first)] = value;
    bits.consume(pair.total());
    second
}

/// As [`write()`], without the coefficients.
#[inline(always)]
pub fn pass(bits: &mut Bits<'_>, pair: Pair, k: usize) -> usize {
    let first = k + pair.step();
    if (63..END).contains(&first) {
        bits.consume(pair.len() + pair.size());
        return first;
    }
    bits.consume(pair.total());
    first + pair.second_step()
}
