//! Just enough of MATLAB's level 5 MAT-file to read one array of structs: `synsets` of the devkit's `meta.mat`.
//!
//! The format (MathWorks, "MAT-File Level 5 File Format"): a 128-byte header, then elements of an 8-byte tag (type, bytes) and data
//! padded to 8; a small element packs type, length and up to 4 bytes into one tag; type 15 holds another element compressed by zlib.
//! A matrix element holds flags, dimensions, a name, and then its cells. Numbers may be stored narrower than their class. Everything
//! is bounds-checked and the memory is bounded by [`MOST`]; other kinds of arrays are skipped.

use std::collections::HashMap;
use std::io::Read;

/// Most bytes of a variable, uncompressed: ImageNet's is half a megabyte.
const MOST: u64 = 64 << 20;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const CLASS_CELL: u8 = 1;
const CLASS_STRUCT: u8 = 2;
const CLASS_CHAR: u8 = 4;
const CLASS_FIRST_NUMERIC: u8 = 6;

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Numbers(Vec<f64>),
    Text(String),
    /// A struct, a cell array or what else is of no use here.
    Other,
}

/// One struct of the array.
pub type Struct = HashMap<String, Value>;

/// The array of structs named `variable`.
///
/// # Errors
/// What is wrong and at which byte (of the file, or of the uncompressed variable).
pub fn struct_array(file: &[u8], variable: &str) -> Result<Vec<Struct>, String> {
    if file.get(126..128) != Some(b"IM") || file.get(124..126) != Some(&[0, 1]) {
        return Err("not a MATLAB level 5 file of a little-endian machine (byte 124)".to_owned());
    }
    let mut at = 128;
    while at < file.len() {
        let (kind, data, next) = element(file, at)?;
        let unpacked;
        let (kind, data) = if kind == COMPRESSED {
            unpacked = inflate(data).map_err(|e| format!("the compressed variable at byte {at}: {e}"))?;
            let (kind, data, _) = element(&unpacked, 0)?;
            (kind, data)
        } else {
            (kind, data)
        };
        if kind == MATRIX {
            let matrix = Matrix::read(data)?;
            if matrix.name == variable.as_bytes() {
                return if matrix.class == CLASS_STRUCT { matrix.structs() } else { Err(format!("{variable} is no array of structs")) };
            }
        }
        at = next;
    }
    Err(format!("it holds no variable {variable}"))
}

fn inflate(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(data).take(MOST + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if out.len() as u64 > MOST { Err(format!("more than {MOST} bytes")) } else { Ok(out) }
}

/// Type, data and the start of the next element.
fn element(bytes: &[u8], at: usize) -> Result<(u32, &[u8], usize), String> {
    let cut = || format!("an element at byte {at} goes beyond the end ({} bytes)", bytes.len());
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let first = word(at).ok_or_else(cut)?;
    if first >> 16 != 0 {
        let (kind, len) = (first & 0xFFFF, (first >> 16) as usize);
        let data = bytes.get(at + 4..at + 4 + len).filter(|_| len <= 4).ok_or_else(cut)?;
        return Ok((kind, data, at + 8));
    }
    let len = word(at + 4).ok_or_else(cut)? as usize;
    let end = at.checked_add(8).and_then(|a| a.checked_add(len)).ok_or_else(cut)?;
    let data = bytes.get(at + 8..end).ok_or_else(cut)?;
    // A compressed element is not padded; padding of the last one may be missing.
    let next = if first == COMPRESSED { end } else { end.next_multiple_of(8) };
    Ok((first, data, next))
}

struct Matrix<'a> {
    class: u8,
    count: usize,
    name: &'a [u8],
    /// What follows the name.
    rest: &'a [u8],
}

impl<'a> Matrix<'a> {
    fn read(data: &'a [u8]) -> Result<Self, String> {
        if data.is_empty() {
            return Ok(Self { class: CLASS_CELL, count: 0, name: b"", rest: b"" }); // an empty array is a tag alone
        }
        let (_, flags, at) = element(data, 0)?;
        let (_, dims, at) = element(data, at)?;
        let (_, name, at) = element(data, at)?;
        let class = *flags.first().ok_or("an array without flags")?;
        let mut dims = dims.as_chunks::<4>().0.iter().map(|b| usize::try_from(i32::from_le_bytes(*b)).unwrap_or(0));
        let count = dims.try_fold(1usize, usize::checked_mul).ok_or("an array with too many cells")?;
        Ok(Self { class, count, name, rest: data.get(at..).unwrap_or(&[]) })
    }

    fn structs(&self) -> Result<Vec<Struct>, String> {
        let (_, width, at) = element(self.rest, 0)?;
        let (_, names, mut at) = element(self.rest, at)?;
        let width = width.as_chunks::<4>().0.first().map_or(0, |b| i32::from_le_bytes(*b)) as usize;
        if width == 0 || width > 64 {
            return Err(format!("field names of {width} bytes"));
        }
        let text = |n: &[u8]| String::from_utf8_lossy(n.split(|&b| b == 0).next().unwrap_or(n)).into_owned();
        let names: Vec<String> = names.chunks_exact(width).map(text).collect();
        // Each cell takes at least its tag.
        let least = self.count.checked_mul(names.len()).and_then(|n| n.checked_mul(8));
        if names.is_empty() || least.is_none_or(|n| n > self.rest.len()) {
            return Err(format!("{} structs of {} fields do not fit into {} bytes", self.count, names.len(), self.rest.len()));
        }
        let mut structs = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            let mut one = Struct::new();
            for name in &names {
                let (kind, data, next) = element(self.rest, at)?;
                if kind != MATRIX {
                    return Err(format!("field {name} at byte {at} is no array"));
                }
                one.insert(name.clone(), value(data)?);
                at = next;
            }
            structs.push(one);
        }
        Ok(structs)
    }
}

fn value(data: &[u8]) -> Result<Value, String> {
    let matrix = Matrix::read(data)?;
    if matrix.class != CLASS_CHAR && matrix.class < CLASS_FIRST_NUMERIC || matrix.rest.is_empty() {
        return Ok(if matrix.class == CLASS_CHAR { Value::Text(String::new()) } else { Value::Other });
    }
    let (kind, data, _) = element(matrix.rest, 0)?;
    let wide = |n: usize| data.chunks_exact(n);
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let long = |b: &[u8]| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
    let numbers: Vec<f64> = match kind {
        1 => data.iter().map(|&b| f64::from(b as i8)).collect(),
        2 | 16 => data.iter().map(|&b| f64::from(b)).collect(),
        3 => wide(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect(),
        4 | 17 => wide(2).map(|b| f64::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
        5 => wide(4).map(|b| f64::from(word(b) as i32)).collect(),
        6 => wide(4).map(|b| f64::from(word(b))).collect(),
        7 => wide(4).map(|b| f64::from(f32::from_bits(word(b)))).collect(),
        9 => wide(8).map(|b| f64::from_bits(long(b))).collect(),
        _ => return Ok(Value::Other),
    };
    if matrix.class != CLASS_CHAR {
        return Ok(Value::Numbers(numbers));
    }
    if kind == 16 {
        return Ok(Value::Text(String::from_utf8_lossy(data).into_owned()));
    }
    let units: Vec<u16> = numbers.iter().map(|&n| n as u16).collect();
    Ok(Value::Text(String::from_utf16_lossy(&units)))
}
