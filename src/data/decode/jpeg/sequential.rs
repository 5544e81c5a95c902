//! The blocks of sequential Huffman coded scans, from bits to coefficients (ITU-T T.81, F.2.2), two coefficients a look where the table of
//! [`super::pairs`] has them.

use super::entropy::{Bits, Fault, Huffman};
use super::pairs::{self, END, Pairs, Room};
use super::scan::{TOO_FAR, ZIGZAG, dc_difference};

/// Tables of a part of a sequential scan.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    pub dc: &'a Huffman,
    pub ac: &'a Huffman,
    pub pairs: &'a Pairs,
}

/// One block of a sequential scan. A function of its own, small enough that all of its state is in registers.
pub struct Sequential<'a, 'b> {
    pub bits: &'a mut Bits<'b>,
    pub codes: Codes<'a>,
    pub prediction: &'a mut i32,
    pub room: &'a mut Room,
}

impl pulp::NullaryFnOnce for Sequential<'_, '_> {
    type Output = Result<usize, Fault>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        self.room[..64].fill(0);
        sequential(self.bits, self.codes, self.prediction, self.room)
    }
}

/// One block of a sequential scan that is not wanted: only its bits are counted, and its DC.
pub struct Skip<'a, 'b> {
    pub bits: &'a mut Bits<'b>,
    pub codes: Codes<'a>,
    pub prediction: &'a mut i32,
}

impl pulp::NullaryFnOnce for Skip<'_, '_> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn call(self) -> Result<(), Fault> {
        let Self { bits: outer, codes, prediction } = self;
        let mut local = *outer;
        let bits = &mut local;
        first(bits, codes.dc, prediction)?;
        let mut k = 0;
        while k < 63 {
            bits.refill();
            let pair = codes.pairs.look(bits);
            if pair.is_none() {
                k = rare(bits, codes.ac, k)?.0;
                continue;
            }
            k = pairs::pass(bits, pair, k);
            let pair = codes.pairs.look(bits);
            if k < 63 && !pair.is_none() {
                k = pairs::pass(bits, pair, k);
            }
        }
        *outer = local;
        last(k).map(drop)
    }
}

/// The coefficients of one block, whose room is zero; returns the zigzag position of the last, or that of a run of zeros behind it.
#[inline(always)]
pub fn sequential(outer: &mut Bits<'_>, codes: Codes<'_>, prediction: &mut i32, room: &mut Room) -> Result<usize, Fault> {
    let mut local = *outer;
    let bits = &mut local;
    first(bits, codes.dc, prediction)?;
    room[0] = *prediction as i16;
    let mut k = 0;
    while k < 63 {
        bits.refill();
        // What a refill gives is enough for two looks and all that they find.
        let pair = codes.pairs.look(bits);
        if pair.is_none() {
            let value;
            (k, value) = rare(bits, codes.ac, k)?;
            if k < 64 {
                room[usize::from(ZIGZAG[k & 63] & 63)] = value;
            }
            continue;
        }
        k = pairs::write(bits, pair, k, room);
        let pair = codes.pairs.look(bits);
        if k < 63 && !pair.is_none() {
            k = pairs::write(bits, pair, k, room);
        }
    }
    *outer = local;
    last(k)
}

/// The DC, into the prediction of the next.
#[inline(always)]
fn first(bits: &mut Bits<'_>, dc: &Huffman, prediction: &mut i32) -> Result<(), Fault> {
    bits.refill();
    let look = dc.look(bits);
    let difference =
        if look.size() != 0 && look.step() == 1 { bits.valued(look).into() } else { dc_difference(dc.symbol_of(look, bits)?, bits) };
    *prediction = prediction.wrapping_add(difference);
    Ok(())
}

/// What a look does not find: the new position and the coefficient there. A run of zeros ends within the block.
#[inline(always)]
fn rare(bits: &mut Bits<'_>, ac: &Huffman, k: usize) -> Result<(usize, i16), Fault> {
    let symbol = ac.symbol(bits)?;
    let (run, size) = ((symbol >> 4) as usize, symbol & 15);
    Ok(match size {
        0 if run < 15 => (k + END, 0),
        0 => ((k + 16).min(63), 0),
        _ => (k + run + 1, bits.signed(size) as i16),
    })
}

/// The position at which a block ended, if that is within it.
#[inline(always)]
fn last(k: usize) -> Result<usize, Fault> {
    let last = if k >= END { k - END } else { k };
    if last > 63 { Err(TOO_FAR) } else { Ok(last) }
}
