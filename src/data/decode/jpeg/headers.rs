//! The segments that say how an image is coded: frame and scan headers, tables, and the meaning of the components. Every segment is as
//! long as its fields or refused, as in libjpeg.

use super::entropy::{Fault, Huffman};
use super::frame::{Coding, Component, Part};
use super::output::Space;
use super::scan::{ScanHeader, ZIGZAG};
use super::tables::Tables;

/// The largest side that libjpeg takes.
const LARGEST_SIDE: u16 = 65_500;

/// A frame header: width, height, components.
pub fn frame(payload: &[u8]) -> Result<((usize, usize), Vec<Part>), Fault> {
    let [precision, h0, h1, w0, w1, n, ref parts @ ..] = *payload else { return Err("a frame header is cut") };
    let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
    if height == 0 {
        return Err("no height in the frame header (a DNL segment that gives it later is not supported)");
    }
    if width == 0 {
        return Err("no width in the frame header");
    }
    if parts.len() != 3 * usize::from(n) {
        return Err("a frame header whose length is not that of its fields");
    }
    if precision != 8 {
        return Err("samples of other than 8 bits are not supported");
    }
    if width.max(height) > LARGEST_SIDE {
        return Err("a side of more than 65500 pixels");
    }
    if !matches!(n, 1 | 3 | 4) {
        return Err("neither 1, 3 nor 4 components");
    }
    let parts: Vec<Part> = parts
        .as_chunks::<3>()
        .0
        .iter()
        .map(|&[id, hv, quant]| Part { id, h: usize::from(hv >> 4), v: usize::from(hv & 15), quant: quant.into() })
        .collect();
    if parts.iter().any(|p| !(1..=4).contains(&p.h) || !(1..=4).contains(&p.v)) {
        return Err("a component with impossible sampling factors");
    }
    let most = |side: fn(&Part) -> usize| parts.iter().map(side).max().unwrap_or(1);
    let (h_max, v_max) = (most(|p| p.h), most(|p| p.v));
    if parts.iter().any(|p| h_max % p.h != 0 || v_max % p.v != 0) {
        return Err("sampling factors that do not divide each other are not supported");
    }
    Ok(((width.into(), height.into()), parts))
}

/// DHT.
pub fn huffman(mut payload: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    const CUT: Fault = "a Huffman table is cut";
    while let [kind, rest @ ..] = payload {
        let counts: &[u8; 16] = rest.first_chunk().ok_or(CUT)?;
        let n = counts.iter().map(|&c| usize::from(c)).sum::<usize>();
        let symbols = rest.get(16..16 + n).filter(|_| n <= 256).ok_or(CUT)?;
        let group = if kind & 0x10 == 0 { &mut tables.dc } else { &mut tables.ac };
        let slot = group.get_mut(usize::from(kind & !0x10)).ok_or("a Huffman table above number 3")?;
        *slot = Some(Huffman::new(counts, symbols));
        payload = &rest[16 + n..];
    }
    Ok(())
}

/// DQT.
pub fn quantisation(mut payload: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    while let [kind, rest @ ..] = payload {
        let wide = kind >> 4 != 0;
        let len = if wide { 128 } else { 64 };
        let values = rest.get(..len).ok_or("a quantisation table is cut")?;
        let mut table = [0; 64];
        for (k, &natural) in ZIGZAG.iter().enumerate() {
            table[usize::from(natural)] = if wide { i16::from_be_bytes([values[2 * k], values[2 * k + 1]]) } else { values[k].into() };
        }
        *tables.quant.get_mut(usize::from(kind & 15)).ok_or("a quantisation table above number 3")? = Some(table);
        payload = &rest[len..];
    }
    Ok(())
}

/// DAC.
pub fn conditioning(payload: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    let (pairs, rest) = payload.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an arithmetic conditioning segment is cut");
    }
    for &[index, value] in pairs {
        let table = usize::from(index & 15);
        match index {
            0..16 if value & 15 > value >> 4 => return Err("arithmetic conditioning that makes no sense"),
            0..16 => tables.arithmetic.dc[table] = (value & 15, value >> 4),
            16..32 => tables.arithmetic.ac[table] = value,
            _ => return Err("an arithmetic conditioning table above number 15"),
        }
    }
    Ok(())
}

/// SOS.
pub fn scan(payload: &[u8], coding: Coding, components: &[Component]) -> Result<ScanHeader, Fault> {
    const BAD: Fault = "a scan header that makes no sense";
    let (&n, rest) = payload.split_first().ok_or(BAD)?;
    let (parts, tail) = rest.split_at_checked(2 * usize::from(n)).ok_or(BAD)?;
    let [first, last, approximation] = *tail else { return Err(BAD) };
    if !(1..=4).contains(&n) {
        return Err(BAD);
    }
    // Repeated identifiers name the components in turn, by a rule that is libjpeg's own.
    let mut chosen: [Option<usize>; 4] = [None; 4];
    let mut found = Vec::with_capacity(4);
    for (i, &[id, tables]) in parts.as_chunks::<2>().0.iter().enumerate() {
        let component = components.iter().zip(&chosen).position(|(c, taken)| c.id == id && taken.is_none()).ok_or(BAD)?;
        if chosen.contains(&Some(component)) {
            return Err(BAD);
        }
        chosen[i] = Some(component);
        found.push((component, usize::from(tables >> 4), usize::from(tables & 15)));
    }
    if found.len() > 1 && found.iter().map(|p| components[p.0].h * components[p.0].v).sum::<usize>() > 10 {
        return Err("more than 10 blocks in a unit of a scan");
    }
    let (first, last) = (usize::from(first), usize::from(last));
    let (high, low) = (u32::from(approximation >> 4), u32::from(approximation & 15));
    let band = if first == 0 { last == 0 } else { first <= last && last <= 63 && found.len() == 1 };
    if coding.progressive && (!band || low > 13 || high != 0 && high != low + 1) {
        return Err("a progressive scan of impossible coefficients or bits");
    }
    Ok(ScanHeader { parts: found, first, last, high, low })
}

/// What the application segments before the first scan say of the colours.
#[derive(Clone, Copy, Default)]
pub struct Marks {
    jfif: bool,
    adobe: Option<u8>,
}

impl Marks {
    /// APP0 and APP14. Those too short for their fields are someone else's.
    pub fn read(&mut self, code: u8, payload: &[u8]) {
        match code {
            0xE0 if payload.len() >= 14 && payload.starts_with(b"JFIF\0") => self.jfif = true,
            0xEE if payload.len() >= 12 && payload.starts_with(b"Adobe") => self.adobe = Some(payload[11]),
            _ => {}
        }
    }

    /// As libjpeg guesses.
    pub fn space(self, components: &[Component]) -> Space {
        let rgb = || components.iter().map(|c| c.id).eq(*b"RGB");
        match (components.len(), self.adobe) {
            (1, _) => Space::Gray,
            (3, _) if self.jfif => Space::YCbCr,
            (3, Some(0)) => Space::Rgb,
            (3, None) if rgb() => Space::Rgb,
            (3, _) => Space::YCbCr,
            (_, None | Some(0)) => Space::Cmyk,
            _ => Space::Ycck,
        }
    }
}
