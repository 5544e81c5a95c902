//! Blocks of a progressive image whose scans do not all come: libjpeg-turbo (since 2.1; here as in 3.2, jdcoefct.c) guesses the first
//! nine AC coefficients from the DC values of the 5x5 blocks around, says nothing, and so every viewer shows it. Bit for bit the same.

use super::frame::{Component, Frame};
use super::idct::Block;

/// The nine, in natural order.
const GUESSED: [usize; 9] = [1, 8, 16, 9, 2, 3, 10, 17, 24];

/// Whether anything is to be guessed.
pub fn useful(frame: &Frame) -> bool {
    let known = |c: &Component| c.unknown[0] >= 0 && c.quant.is_some_and(|q| q[0] != 0 && GUESSED.iter().all(|&at| q[at] != 0));
    frame.coding.progressive
        && frame.components.iter().all(known)
        && frame.components.iter().any(|c| c.unknown[1..10].iter().any(|&u| u != 0))
}

/// Weights of the 25 DC values, row by row, for each of the nine where no AC coefficient came at all, ...
#[rustfmt::skip]
const FROM_DC: [[i32; 25]; 9] = [
    [-1, -1, 0, 1, 1,  -3, 13, 0, -13, 3,  -3, 38, 0, -38, 3,  -3, 13, 0, -13, 3,  -1, -1, 0, 1, 1],
    [-1, -3, -3, -3, -1,  -1, 13, 38, 13, -1,  0, 0, 0, 0, 0,  1, -13, -38, -13, 1,  1, 3, 3, 3, 1],
    [0, 0, 1, 0, 0,  0, 2, 7, 2, 0,  0, -5, -14, -5, 0,  0, 2, 7, 2, 0,  0, 0, 1, 0, 0],
    [-1, 0, 0, 0, 1,  0, 9, 0, -9, 0,  0, 0, 0, 0, 0,  0, -9, 0, 9, 0,  1, 0, 0, 0, -1],
    [0, 0, 0, 0, 0,  0, 2, -5, 2, 0,  1, 7, -14, 7, 1,  0, 2, -5, 2, 0,  0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0,  0, 1, 0, -1, 0,  0, 2, 0, -2, 0,  0, 1, 0, -1, 0,  0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0,  0, 1, -3, 1, 0,  0, 0, 0, 0, 0,  0, -1, 3, -1, 0,  0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0,  0, 1, 0, -1, 0,  0, -3, 0, 3, 0,  0, 1, 0, -1, 0,  0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0,  0, 1, 2, 1, 0,  0, 0, 0, 0, 0,  0, -1, -2, -1, 0,  0, 0, 0, 0, 0],
];
/// ... for the first five where some did, ...
#[rustfmt::skip]
const BESIDE_AC: [[i32; 25]; 5] = [
    [0, 0, 0, 0, 0,  0, 0, 0, 0, 0,  -7, 50, 0, -50, 7,  0, 0, 0, 0, 0,  0, 0, 0, 0, 0],
    [0, 0, -7, 0, 0,  0, 0, 50, 0, 0,  0, 0, 0, 0, 0,  0, 0, -50, 0, 0,  0, 0, 7, 0, 0],
    [0, 0, -1, 0, 0,  0, 0, 13, 0, 0,  0, 0, -24, 0, 0,  0, 0, 13, 0, 0,  0, 0, -1, 0, 0],
    [0, -1, 0, 1, 0,  -1, 10, 0, -10, 1,  0, 0, 0, 0, 0,  1, -10, 0, 10, -1,  0, 1, 0, -1, 0],
    [0, 0, 0, 0, 0,  0, 0, 0, 0, 0,  -1, 13, -24, 13, -1,  0, 0, 0, 0, 0,  0, 0, 0, 0, 0],
];
/// ... and for the DC itself, where none did.
#[rustfmt::skip]
const OF_DC: [i32; 25] = [
    -2, -6, -8, -6, -2,  -6, 6, 42, 6, -6,  -8, 42, 152, 42, -8,  -6, 6, 42, 6, -6,  -2, -6, -8, -6, -2,
];

/// The block with its guesses.
pub fn block(frame: &Frame, component: &Component, coefficients: &[Block], bx: usize, by: usize) -> Block {
    let Some(quant) = component.quant else { return [0; 64] };
    let mut block = coefficients[by * component.blocks_w + bx];
    let dc = neighbours(frame, component, coefficients, bx, by);
    let none = component.unknown[1..10].iter().all(|&u| u == -1);
    let weights = if none { &FROM_DC[..] } else { &BESIDE_AC[..] };
    for ((weights, &at), &unknown) in weights.iter().zip(&GUESSED).zip(&component.unknown[1..10]) {
        if unknown != 0 && block[at] == 0 {
            let most = if unknown > 0 { (1 << unknown) - 1 } else { i32::MAX };
            block[at] = guess(&dc, weights, quant[0] as u16, quant[at] as u16, most);
        }
    }
    if none {
        block[0] = guess(&dc, &OF_DC, quant[0] as u16, quant[0] as u16, i32::MAX);
    }
    block
}

/// A weighted sum in steps of `to` of values in steps of `from`, rounded, its size at most `most`.
fn guess(dc: &[i32; 25], weights: &[i32; 25], from: u16, to: u16, most: i32) -> i16 {
    let sum = i64::from(from) * i64::from(dc.iter().zip(weights).map(|(d, w)| d * w).sum::<i32>());
    let to = i64::from(to);
    let size = ((to << 7) + sum.abs()) / (to << 8);
    let size = (size as i32).min(most);
    (if sum < 0 { -size } else { size }) as i16
}

/// The DC values of the 5x5 blocks around one. Past the edge the last one counts again. libjpeg counts rows of the whole image by those of
/// the MCUs at hand, of which the last may have fewer: so a row below the image, but within its MCU, can count, and one above can not.
fn neighbours(frame: &Frame, component: &Component, coefficients: &[Block], bx: usize, by: usize) -> [i32; 25] {
    let (mcu, within) = (by / component.v, by % component.v);
    let blocks_h = component.height.div_ceil(8);
    let in_mcu = match blocks_h % component.v {
        left if left > 0 && mcu + 1 == frame.mcus_h => left,
        _ => component.v,
    };
    let (row, rows) = (mcu * in_mcu + within, frame.mcus_h * in_mcu);
    let up = if row > 0 { by - 1 } else { by };
    let up2 = if row > 1 { by - 2 } else { up };
    let down = if row + 1 < rows { by + 1 } else { by };
    let down2 = if row + 2 < rows { by + 2 } else { down };
    let last = component.width.div_ceil(8) - 1;
    let columns = [bx.saturating_sub(2), bx.saturating_sub(1), bx, (bx + 1).min(last), (bx + 2).min(last)];
    let mut dc = [0; 25];
    for (dc, row) in dc.as_chunks_mut::<5>().0.iter_mut().zip([up2, up, by, down, down2]) {
        for (dc, column) in dc.iter_mut().zip(columns) {
            *dc = coefficients.get(row * component.blocks_w + column).map_or(0, |block| block[0].into());
        }
    }
    dc
}
