//! The four kinds of progressive scans: first bits and one more bit, of the DC and of a band of AC coefficients (T.81, annex G).

use super::entropy::{Bits, Fault, Huffman};
use super::idct::Block;
use super::scan::{ScanHeader, TOO_FAR, ZIGZAG, dc_difference};
use super::tables::MISSING;

/// What one scan adds to one block.
pub fn block(
    bits: &mut Bits<'_>,
    dc_table: Option<&Huffman>,
    ac_table: Option<&Huffman>,
    header: &ScanHeader,
    eob_run: &mut u32,
    prediction: &mut i32,
    block: &mut Block,
) -> Result<(), Fault> {
    if header.first == 0 {
        return dc(bits, dc_table, header, prediction, block);
    }
    let ac = ac_table.ok_or(MISSING)?;
    if header.high == 0 { ac_first(bits, ac, header, eob_run, block) } else { ac_refine(bits, ac, header, eob_run, block) }
}

fn dc(bits: &mut Bits<'_>, dc: Option<&Huffman>, header: &ScanHeader, prediction: &mut i32, block: &mut Block) -> Result<(), Fault> {
    bits.refill();
    if header.high > 0 {
        block[0] |= (bits.take(1) << header.low) as i16;
        return Ok(());
    }
    let size = dc.ok_or(MISSING)?.symbol(bits)?;
    *prediction = prediction.checked_add(dc_difference(size, bits)).ok_or("a DC value without bounds")?;
    block[0] = prediction.wrapping_shl(header.low) as i16;
    Ok(())
}

fn ac_first(bits: &mut Bits<'_>, ac: &Huffman, header: &ScanHeader, eob_run: &mut u32, block: &mut Block) -> Result<(), Fault> {
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
            block[usize::from(at & 63)] = (bits.signed(size) << header.low) as i16;
            k += 1;
        }
    }
    Ok(())
}

fn ac_refine(bits: &mut Bits<'_>, ac: &Huffman, header: &ScanHeader, eob_run: &mut u32, block: &mut Block) -> Result<(), Fault> {
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
            } else if size > 1 {
                return Err("a new coefficient of more than one bit in a scan that refines");
            } else {
                value = if bits.take(1) == 1 { bit } else { -bit };
            }
            while k <= header.last {
                let c = &mut block[usize::from(ZIGZAG[k] & 63)];
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
                block[usize::from(at & 63)] = value;
            }
            k += 1;
        }
    }
    if *eob_run > 0 {
        for &at in ZIGZAG.get(k..=header.last).unwrap_or(&[]) {
            let c = &mut block[usize::from(at & 63)];
            if *c != 0 {
                refine(bits, c);
            }
        }
        *eob_run -= 1;
    }
    Ok(())
}
