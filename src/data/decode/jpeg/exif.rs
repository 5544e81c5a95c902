//! The first directory of an EXIF block (TIFF 6.0, section 2), read as far as it can be: for the orientation, which is not applied, and to
//! know files whose EXIF is broken, of which ImageNet has several. What is in it never keeps a picture from being decoded.

/// What a block says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exif {
    pub orientation: Option<u16>,
    /// It ends before what it promises, or is no TIFF: where Pillow warns of corrupt EXIF data (and where it silently gives up).
    pub broken: bool,
}

const ORIENTATION: u16 = 0x0112;

/// Bytes of one value of each type of TIFF, from type 1 on.
const SIZES: [u64; 13] = [1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

/// Reads what follows `Exif\0\0`.
pub fn read(tiff: &[u8]) -> Exif {
    let mut orientation = None;
    let whole = directory(tiff, &mut orientation) == Some(true);
    Exif { orientation, broken: !whole }
}

/// Whether each entry's value is there; none where the directory itself does not end.
fn directory(tiff: &[u8], orientation: &mut Option<u16>) -> Option<bool> {
    let little = tiff.starts_with(b"II*\0");
    if !little && !tiff.starts_with(b"MM\0*") {
        return None;
    }
    let u16_at = |at: usize| {
        let b = [*tiff.get(at)?, *tiff.get(at + 1)?];
        Some(if little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    };
    let u32_at = |at: usize| {
        let (a, b) = (u32::from(u16_at(at)?), u32::from(u16_at(at + 2)?));
        Some(if little { a | b << 16 } else { a << 16 | b })
    };
    let start = u32_at(4)? as usize;
    let entries = start + 2..start + 2 + 12 * usize::from(u16_at(start)?);
    let mut whole = true;
    for at in entries.clone().step_by(12) {
        let (tag, kind, count, value) = (u16_at(at)?, u16_at(at + 2)?, u32_at(at + 4)?, u32_at(at + 8)?);
        let size = usize::from(kind).checked_sub(1).and_then(|i| SIZES.get(i));
        let bytes = size.map_or(0, |size| u64::from(count) * size);
        if bytes > 4 && u64::from(value) + bytes > tiff.len() as u64 {
            whole = false;
        } else if tag == ORIENTATION && bytes > 0 {
            *orientation = u16_at(at + 8);
        }
    }
    u32_at(entries.end).map(|_next| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::format::hex;

    /// As Pillow says: tests/data/golden/make_exif.py.
    #[test]
    fn orientation_and_damage_as_pillow_finds_them() {
        let made: serde_json::Value = serde_json::from_str(include_str!("../../../../tests/data/golden/exif.json")).unwrap();
        let cases = made["cases"].as_array().unwrap();
        let mut broken = 0;
        for c in cases {
            let digits = c["exif"].as_str().unwrap();
            let tiff: Vec<u8> = (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect();
            assert_eq!(hex(&tiff), digits);
            // Pillow says nothing of a block without the eight bytes of a header; to us it is broken as well.
            let headless = tiff.len() < 8 || !matches!(&tiff[..4], b"II*\0" | b"MM\0*");
            let found = read(&tiff);
            assert_eq!(found.broken, headless || c["broken"].as_bool().unwrap(), "{}", c["name"]);
            // Behind a value that is not there Pillow looks on only if that one is large.
            let theirs = c["orientation"].as_u64().map(|o| o as u16);
            assert!(found.orientation == theirs || found.broken && theirs.is_none(), "{}: {found:?}, {theirs:?}", c["name"]);
            broken += usize::from(found.broken);
        }
        assert!(cases.len() > 140 && (100..140).contains(&broken), "{} cases, {broken} broken", cases.len());
    }
}
