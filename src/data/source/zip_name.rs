//! Names in zips: UTF-8 where the entry says so, otherwise the code page 437 of MS-DOS.
//!
//! Systems like Unix write UTF-8 without saying so; then it is taken as what it is.

/// The upper half of code page 437.
const CP437: &str = "\
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The name as UTF-8, parts joined by `/`. `unicode`: Info-ZIP's extra field of a name in UTF-8; `utf8`: the entry says that the name is
/// UTF-8; `made_by`: the system, as APPNOTE numbers them. It may still be no UTF-8 where that is said wrongly.
pub fn decode(name: &[u8], unicode: Option<&[u8]>, utf8: bool, made_by: u64) -> Vec<u8> {
    // Version, CRC-32 of the name that it stands for, name.
    if let Some([1, a, b, c, d, text @ ..]) = unicode {
        let mut sum = flate2::Crc::new();
        sum.update(name);
        if sum.sum() == u32::from_le_bytes([*a, *b, *c, *d]) && std::str::from_utf8(text).is_ok() {
            return text.to_vec();
        }
    }
    let unix = matches!(made_by, 3 | 19);
    let kept = utf8 || name.is_ascii() || unix && std::str::from_utf8(name).is_ok();
    let mut name = if kept { name.to_vec() } else { cp437(name) };
    // Some programs for Windows write its separator.
    if !unix && !name.contains(&b'/') {
        name.iter_mut().filter(|b| **b == b'\\').for_each(|b| *b = b'/');
    }
    name
}

fn cp437(name: &[u8]) -> Vec<u8> {
    let upper: Vec<char> = CP437.chars().collect();
    let one = |&b: &u8| if b < 128 { char::from(b) } else { upper.get(usize::from(b) - 128).copied().unwrap_or('?') };
    name.iter().map(one).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind() {
        let text = |name: &[u8], utf8, made_by| String::from_utf8(decode(name, None, utf8, made_by)).unwrap();
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(text(b"Fl\x81gel/\x84.jpg", false, 0), "Flügel/ä.jpg");
        assert_eq!(text("Flügel.jpg".as_bytes(), true, 0), "Flügel.jpg");
        assert_eq!(text("Flügel.jpg".as_bytes(), false, 3), "Flügel.jpg");
        assert_eq!(text("ü".as_bytes(), false, 0), "├╝");
        assert_eq!(text(b"cat\\0.jpg", false, 0), "cat/0.jpg");
        assert_eq!(text(b"cat\\0.jpg", false, 3), "cat\\0.jpg");
        // CRC-32 of "x" is 8cdc1683.
        let field = [&[1, 0x83, 0x16, 0xdc, 0x8c][..], "ü".as_bytes()].concat();
        assert_eq!(decode(b"x", Some(&field), false, 0), "ü".as_bytes());
        assert_eq!(decode(b"y", Some(&field), false, 0), b"y");
    }
}
