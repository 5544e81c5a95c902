//! One picture file to RGB u8, as Pillow's `Image.open(f).convert("RGB")` gives it, or a reason why not.
//!
//! The type is found in the content, never in the name. The size is read from the header and held against the limit before any
//! memory is taken. A picture that is cut or damaged is refused, also where a lenient decoder would fill in the rest. Panics of a
//! decoder are caught and become reasons; their text does not reach stderr.

pub(super) mod jpeg;
mod png;
mod webp;

use super::{encode, format::flags};
use std::cell::Cell;
use std::sync::Once;

/// Default limit of a picture's pixels: 64 megapixels (192 MB of RGB).
pub const DEFAULT_MAX_PIXELS: u64 = 64_000_000;

/// A decoded picture, HWC RGB, `width * height * 3` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
    /// Bits of [`flags`].
    pub flags: u8,
}

/// The type of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jpeg,
    Png,
    WebP,
    /// A known type that is not read.
    Other(&'static str),
    Unknown,
    Empty,
}

/// What the first bytes of a file say about its type.
pub fn sniff(bytes: &[u8]) -> Kind {
    let iso = |brand: &[u8]| bytes.len() >= 12 && &bytes[4..8] == b"ftyp" && bytes[8..12].starts_with(brand);
    match bytes {
        [] => Kind::Empty,
        [0xFF, 0xD8, 0xFF, ..] => Kind::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Kind::Png,
        [b'G', b'I', b'F', b'8', ..] => Kind::Other("GIF"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::WebP,
        [b'B', b'M', ..] => Kind::Other("BMP"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Kind::Other("TIFF"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Kind::Other("JPEG XL"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] => Kind::Other("JPEG 2000"),
        [0x1F, 0x8B, ..] => Kind::Other("gzip"),
        [b'P', b'K', 3, 4, ..] => Kind::Other("zip"),
        _ if iso(b"avif") => Kind::Other("AVIF"),
        _ if iso(b"hei") || iso(b"mif1") => Kind::Other("HEIF"),
        _ => Kind::Unknown,
    }
}

/// Width and height as the header says, without decoding.
///
/// # Errors
/// Why the file is no picture that can be read.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    match sniff(bytes) {
        Kind::Jpeg => jpeg::Layout::read(bytes).map(|l| (u32::from(l.width), u32::from(l.height))),
        Kind::Png => png::size(bytes),
        Kind::WebP => webp::size(bytes),
        Kind::Other(name) => Err(format!("{name} is not supported (JPEG, PNG and WebP are)")),
        Kind::Unknown => Err("not an image: its first bytes are of no known type".to_owned()),
        Kind::Empty => Err("the file is empty".to_owned()),
    }
}

/// Bytes that decoding takes at most beside the file, its pixels included; 0 for what the header says is no image.
pub fn memory(bytes: &[u8]) -> u64 {
    let Ok((width, height)) = size(bytes) else { return 0 };
    let each = match sniff(bytes) {
        Kind::Jpeg => jpeg::Layout::read(bytes).map_or(9, |l| l.bytes_per_pixel()),
        Kind::Png => png::bytes_per_pixel(bytes),
        _ => 12,
    };
    // JPEG and PNG take what is coded apart from the rest of the file.
    u64::from(width).saturating_mul(height.into()).saturating_mul(each).saturating_add(bytes.len() as u64)
}

/// Decodes a JPEG, PNG or WebP of at most `max_pixels` pixels.
///
/// # Errors
/// Why not, in words for `bad_images.jsonl`.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb, String> {
    Decoder::default().decode(bytes, max_pixels)
}

/// Decodes one picture after the other in the same memory.
#[derive(Default)]
pub struct Decoder {
    buffers: jpeg::Buffers,
    /// Memory of another image's pixels.
    spare: Vec<u8>,
}

impl Decoder {
    /// As the function [`decode`].
    ///
    /// # Errors
    /// As there.
    pub fn decode(&mut self, bytes: &[u8], max_pixels: u64) -> Result<Rgb, String> {
        decode_in(&mut self.buffers, bytes, max_pixels)
    }

    /// Encodes an image in the decoder's memory, and takes the memory of its pixels. `wanted` says whether the pixels that the file
    /// decodes to are wanted.
    pub(super) fn encode(
        &mut self,
        picture: Rgb,
        quality: u8,
        across: usize,
        wanted: fn(&[u8]) -> bool,
    ) -> Result<encode::Encoded, String> {
        const KEPT: usize = 8 << 20;
        if self.buffers.rgb.capacity() == 0 {
            self.buffers.rgb = std::mem::take(&mut self.spare);
        }
        let (width, height) = (picture.width as usize, picture.height as usize);
        let image = encode::Image { pixels: &picture.pixels, width, height, quality, across, wanted };
        let encoded = encode::encode(image, true, &mut self.buffers)?;
        if picture.pixels.capacity() <= KEPT {
            self.spare = picture.pixels;
        }
        Ok(encoded)
    }

    /// Decodes the pixels of `rect` (x, y, width, height) of a JPEG alone into `out`, which has room for just those: what
    /// [`Decoder::decode`] and a crop give, for the cost of the crop. What lies behind the last row of it in the file is not looked at,
    /// so the bytes should be known to be whole, by a checksum. `size` is held against the header before memory is taken.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn decode_region(&mut self, bytes: &[u8], size: (u32, u32), rect: [u32; 4], out: &mut [u8]) -> Result<(), String> {
        decode_region_in(&mut self.buffers, bytes, size, rect, out, true)
    }

    /// Takes the memory of a picture of [`Decoder::decode`] back, for the next one.
    pub fn recycle(&mut self, pixels: Vec<u8>) {
        self.buffers.rgb = pixels;
        self.buffers.shrink();
    }
}

fn decode_in(buffers: &mut jpeg::Buffers, bytes: &[u8], max_pixels: u64) -> Result<Rgb, String> {
    let (width, height) = size(bytes)?;
    if width == 0 || height == 0 {
        return Err(format!("the header says {width}x{height} pixels"));
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(format!("{width}x{height} pixels, above the limit of {max_pixels}"));
    }
    if width > u32::from(u16::MAX) || height > u32::from(u16::MAX) {
        return Err(format!("{width}x{height} pixels: a side is above 65535"));
    }
    let rgb = quietly(|| match sniff(bytes) {
        Kind::Png => png::decode(bytes),
        Kind::WebP => webp::decode(bytes),
        _ => jpeg::decode(bytes, true, buffers),
    })?;
    if (rgb.width, rgb.height) != (width, height) || rgb.pixels.len() as u64 != u64::from(width) * u64::from(height) * 3 {
        return Err(format!("decoded to {}x{}, the header says {width}x{height}", rgb.width, rgb.height));
    }
    Ok(rgb)
}

fn decode_region_in(
    buffers: &mut jpeg::Buffers,
    bytes: &[u8],
    size: (u32, u32),
    rect: [u32; 4],
    out: &mut [u8],
    simd: bool,
) -> Result<(), String> {
    if sniff(bytes) != Kind::Jpeg {
        return Err("not a JPEG".to_owned());
    }
    let (width, height) = self::size(bytes)?;
    if (width, height) != size {
        return Err(format!("{width}x{height}, the index says {}x{}", size.0, size.1));
    }
    let [x, y, width, height] = rect.map(|v| v as usize);
    let rect = jpeg::Rect { x, y, width, height };
    let done = quietly(|| jpeg::decode_region(bytes, rect, simd, buffers, out));
    buffers.shrink();
    done
}

/// [`Decoder::decode_region`] by the code as compiled for the plainest processor.
///
/// # Errors
/// As there.
pub fn decode_jpeg_region_scalar(bytes: &[u8], size: (u32, u32), rect: [u32; 4], out: &mut [u8]) -> Result<(), String> {
    decode_region_in(&mut jpeg::Buffers::default(), bytes, size, rect, out, false)
}

/// [`decode`] of a JPEG by the code as compiled for the plainest processor: the oracle of "the same bytes on every machine".
///
/// # Errors
/// As [`decode`].
pub fn decode_jpeg_scalar(bytes: &[u8]) -> Result<Rgb, String> {
    quietly(|| jpeg::decode(bytes, false, &mut jpeg::Buffers::default()))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder; a panic becomes an error and prints nothing. Panics elsewhere are reported as before.
pub fn quietly<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    QUIET.set(false);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("the decoder gave up on it ({})", text.unwrap_or("no reason given")))
    })
}

/// One gray byte to three equal ones.
fn expand_gray(gray: &[u8]) -> Vec<u8> {
    gray.iter().flat_map(|&v| [v, v, v]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_is_a_reason() {
        let error = quietly::<()>(|| std::panic::panic_any("index 9 of 8".to_owned())).unwrap_err();
        assert!(error.contains("index 9 of 8"));
    }

    #[test]
    fn types_by_content() {
        assert_eq!(sniff(b"RIFF1234WEBPVP8 "), Kind::WebP);
        assert_eq!(sniff(b"GIF89a"), Kind::Other("GIF"));
        assert_eq!(sniff(b"hello"), Kind::Unknown);
        assert!(size(b"").unwrap_err().contains("empty"));
    }
}
