//! The chunks of a PNG file that its still image is made of.
//!
//! Only IHDR, PLTE and the first run of IDAT decide pixels once alpha is dropped; they are handed to the decoder as a file of their own.
//! So no other chunk can refuse an image or change it: bad colour data (cICP, gAMA, iCCP), animation (acTL, fcTL, fdAT), text, tRNS. What
//! says that the file is damaged is refused: a wrong CRC up to the image data and in IEND, a chunk beyond the end of the file, a missing
//! IEND. Later ancillary chunks are not checked, as in Pillow. Cost: one CRC-32 over the file and one copy of the image data.

use flate2::Crc;
use std::ops::Range;

pub const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Byte ranges of the parts of the still image.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    pub header: Range<usize>,
    /// Empty without a palette.
    pub palette: Range<usize>,
    pub data: Vec<Range<usize>>,
}

/// One chunk: its type, its content, and the offset after its CRC.
struct Chunk {
    name: [u8; 4],
    content: Range<usize>,
    end: usize,
}

impl Chunk {
    /// Reads the chunk at `at`.
    fn read(bytes: &[u8], at: usize) -> Result<Self, String> {
        let cut = || format!("PNG cut short: no end chunk (IEND) in its {} bytes", bytes.len());
        let [l0, l1, l2, l3, name @ ..] = *bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or_else(cut)?;
        if !name.iter().all(u8::is_ascii_alphanumeric) {
            return Err(format!("PNG damaged: no chunk at byte {at}"));
        }
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let content = at + 8..(at + 8).checked_add(len).ok_or_else(cut)?;
        let end = content.end.checked_add(4).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        Ok(Self { name, content, end })
    }

    /// Compares the chunk's CRC with its bytes.
    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let mut crc = Crc::new();
        crc.update(&bytes[self.content.start - 4..self.content.end]);
        if bytes[self.content.end..self.end] == crc.sum().to_be_bytes() {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&self.name).into_owned();
        Err(format!("PNG damaged: the {name} chunk at byte {} fails its CRC", self.content.start - 8))
    }
}

impl Chunks {
    /// Walks the whole file.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut chunks = Self::default();
        let mut at = SIGNATURE.len();
        // Whether the run of image data is over.
        let mut after = false;
        loop {
            let chunk = Chunk::read(bytes, at)?;
            at = chunk.end;
            after |= !chunks.data.is_empty() && chunk.name != *b"IDAT";
            if !after || chunk.name == *b"IEND" {
                chunk.check(bytes)?;
            }
            match &chunk.name {
                b"IEND" if chunks.data.is_empty() => return Err("PNG without image data (IDAT)".to_owned()),
                b"IEND" => return Ok(chunks),
                _ if after => {}
                b"IHDR" if !chunks.header.is_empty() => return Err("PNG with two headers (IHDR)".to_owned()),
                b"IHDR" if chunk.content.len() != 13 => return Err(format!("PNG with a header of {} bytes", chunk.content.len())),
                b"IHDR" => chunks.header = chunk.content,
                b"PLTE" => chunks.palette = chunk.content,
                b"IDAT" => chunks.data.push(chunk.content),
                _ => {}
            }
        }
    }

    /// The still image as a PNG file of its own: header, palette where pixels are indices, one chunk of image data, end. Its CRCs are
    /// zeros, for a reader that has checked those of the file.
    pub fn still(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let data: usize = self.data.iter().map(Range::len).sum();
        let mut file = Vec::with_capacity(data + self.palette.len() + 128);
        file.extend_from_slice(&SIGNATURE);
        let mut chunk = |name: &[u8; 4], parts: &[Range<usize>]| -> Result<(), String> {
            let len: usize = parts.iter().map(Range::len).sum();
            file.extend_from_slice(&u32::try_from(len).map_err(|_| "PNG of more than 4 GiB")?.to_be_bytes());
            file.extend_from_slice(name);
            parts.iter().for_each(|part| file.extend_from_slice(&bytes[part.clone()]));
            file.extend_from_slice(&[0; 4]);
            Ok(())
        };
        chunk(b"IHDR", std::slice::from_ref(&self.header))?;
        // Of other types it is a suggestion.
        if bytes.get(self.header.start + 9) == Some(&3) && !self.palette.is_empty() {
            chunk(b"PLTE", std::slice::from_ref(&self.palette))?;
        }
        chunk(b"IDAT", &self.data)?;
        chunk(b"IEND", &[])?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, content: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(&[name.as_bytes(), content].concat());
        [&(content.len() as u32).to_be_bytes()[..], name.as_bytes(), content, &crc.sum().to_be_bytes()].concat()
    }

    fn file(chunks: &[(&str, &[u8])]) -> Vec<u8> {
        let parts: Vec<Vec<u8>> = chunks.iter().map(|(name, content)| chunk(name, content)).collect();
        [&SIGNATURE[..], &parts.concat()].concat()
    }

    const HEADER: [u8; 13] = [0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0];

    #[test]
    fn only_what_decides_pixels_is_kept() {
        let whole = file(&[
            ("tEXt", b"before"),
            ("IHDR", &HEADER),
            ("cICP", b"?"),
            ("PLTE", &[1, 2, 3]),
            ("tRNS", b"far too long"),
            ("fcTL", b"of another order"),
            ("IDAT", b"ab"),
            ("IDAT", b""),
            ("IDAT", b"cd"),
            ("fdAT", b"x"),
            ("IDAT", b"late"),
            ("IEND", b""),
            ("tEXt", b"after"),
        ]);
        let mut still = Chunks::read(&whole).unwrap().still(&whole).unwrap();
        let mut expected = file(&[("IHDR", &HEADER), ("PLTE", &[1, 2, 3]), ("IDAT", b"abcd"), ("IEND", b"")]);
        for bytes in [&mut still, &mut expected] {
            for end in [33, 48, 64, 76] {
                bytes[end - 4..end].fill(0);
            }
        }
        assert_eq!(still, expected);
    }

    #[test]
    fn damage_is_named() {
        let good = [("IHDR", &HEADER[..]), ("gAMA", b"1234"), ("IDAT", b"ab"), ("tIME", b"5"), ("IEND", b"")];
        let whole = file(&good);
        // Each chunk: the offset of its first byte of content, and whether its CRC is looked at.
        for (at, checked) in [(16, true), (41, true), (57, true), (71, false)] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(Chunks::read(&bytes).is_err(), checked, "byte {at}");
        }
        let mut bytes = whole.clone();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(Chunks::read(&bytes).unwrap_err().contains("IEND chunk at byte 76 fails its CRC"));
        for len in 8..whole.len() {
            assert!(Chunks::read(&whole[..len]).unwrap_err().contains("cut short"), "cut to {len}");
        }
        let mut bytes = whole;
        bytes[29 + 4 + 4] = b'-'; // in a chunk's name
        assert!(Chunks::read(&bytes).unwrap_err().contains("no chunk at byte 33"));
        for (chunks, words) in [
            (vec![good[0], good[0], good[2], good[4]], "two headers"),
            (vec![good[0], good[4]], "without image data"),
            (vec![("IHDR", &HEADER[..12]), good[2], good[4]], "a header of 12 bytes"),
        ] {
            assert!(Chunks::read(&file(&chunks)).unwrap_err().contains(words));
        }
    }
}
