//! Values of a column of a row group, with the rows that have none.

use super::text;
use crate::data::format::MOST_RECORDS;
use parquet::basic::{ConvertedType, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, ByteArray, DataType};
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::ColumnDescriptor;

/// Records that are read at a time.
const AT_ONCE: usize = 4096;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(ByteArray),
}

/// Number of rows, held against what a dataset can have before memory is taken.
pub fn rows(group: &dyn RowGroupReader) -> Result<usize, String> {
    let rows = group.metadata().num_rows();
    usize::try_from(rows).ok().filter(|&n| n as u64 <= MOST_RECORDS).ok_or_else(|| format!("a row group of {rows} rows"))
}

/// The first `most` rows of a column of bytes.
///
/// # Errors
/// What is wrong with the file.
pub fn byte_arrays(group: &dyn RowGroupReader, index: usize, most: usize) -> Result<Vec<Option<ByteArray>>, String> {
    let (level, count) = shape(group, index, most)?;
    match group.get_column_reader(index).map_err(text)? {
        ColumnReader::ByteArrayColumnReader(mut r) => read(&mut r, level, count),
        ColumnReader::FixedLenByteArrayColumnReader(mut r) => {
            Ok(read(&mut r, level, count)?.into_iter().map(|v| v.map(ByteArray::from)).collect())
        }
        _ => Err("a column of images or paths that holds no bytes".to_owned()),
    }
}

/// The first `most` rows of a column of any type but INT96.
///
/// # Errors
/// What is wrong with the file.
pub fn values(group: &dyn RowGroupReader, index: usize, most: usize) -> Result<Vec<Option<Value>>, String> {
    let (level, count) = shape(group, index, most)?;
    let form = Form::of(group.metadata().column(index).column_descr());
    fn all<T>(values: Vec<Option<T>>, into: impl Fn(T) -> Value) -> Vec<Option<Value>> {
        values.into_iter().map(|v| v.map(&into)).collect()
    }
    let values = match group.get_column_reader(index).map_err(text)? {
        ColumnReader::BoolColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Bool),
        ColumnReader::Int32ColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Int(v.into())),
        ColumnReader::Int64ColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Int),
        ColumnReader::FloatColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Float(v.into())),
        ColumnReader::DoubleColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Float),
        ColumnReader::ByteArrayColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Bytes),
        ColumnReader::FixedLenByteArrayColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Bytes(v.into())),
        ColumnReader::Int96ColumnReader(_) => return Err("a column of timestamps".to_owned()),
    };
    Ok(match form {
        Form::AsStored => values,
        form => values.into_iter().map(|v| v.map(|v| form.value(v))).collect(),
    })
}

/// Numbers that are stored as something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    AsStored,
    /// Without a sign, of so many bytes.
    Unsigned(u32),
    /// Float16, in two bytes.
    Half,
    /// A decimal of so many digits after the point, whole or as bytes, the highest first.
    Decimal(u32),
}

impl Form {
    pub fn of(column: &ColumnDescriptor) -> Self {
        match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Float16), _) => Self::Half,
            (Some(LogicalType::Decimal { .. }), _) | (_, ConvertedType::DECIMAL) => Self::Decimal(column.type_scale().unsigned_abs()),
            (_, ConvertedType::UINT_32) => Self::Unsigned(4),
            (_, ConvertedType::UINT_64) => Self::Unsigned(8),
            _ => Self::AsStored,
        }
    }

    fn value(self, value: Value) -> Value {
        let whole = |n: i128, scale: u32| {
            let unit = 10i128.checked_pow(scale).unwrap_or(i128::MAX);
            match (n % unit, i64::try_from(n / unit)) {
                (0, Ok(n)) => Value::Int(n),
                _ => Value::Float(n as f64 / unit as f64),
            }
        };
        match (self, &value) {
            (Self::Unsigned(4), Value::Int(n)) => Value::Int(i64::from(*n as u32)),
            // Too large for a class, whatever it is.
            (Self::Unsigned(_), Value::Int(n)) if *n < 0 => Value::Int(i64::MAX),
            (Self::Decimal(scale), Value::Int(n)) => whole(i128::from(*n), scale),
            (Self::Decimal(scale), Value::Bytes(bytes)) if !bytes.is_empty() => {
                let sign: i128 = if bytes.as_bytes()[0] & 0x80 == 0 { 0 } else { -1 };
                let (above, low) = bytes.as_bytes().split_at(bytes.len().saturating_sub(16));
                let fits = above.iter().all(|b| *b == sign as u8) && (above.is_empty() || (low[0] & 0x80 == 0) == (sign == 0));
                let number = low.iter().fold(sign, |n, b| n << 8 | i128::from(*b));
                if fits { whole(number, scale) } else { Value::Int(i64::MAX) }
            }
            (Self::Half, Value::Bytes(bytes)) => match *bytes.as_bytes() {
                [a, b] => Value::Float(half(u16::from_le_bytes([a, b]))),
                _ => value,
            },
            _ => value,
        }
    }
}

/// A number of half precision: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// The level of a value that is there, and how many rows to read.
fn shape(group: &dyn RowGroupReader, index: usize, most: usize) -> Result<(i16, usize), String> {
    Ok((group.metadata().column(index).column_descr().max_def_level(), rows(group)?.min(most)))
}

fn read<D: DataType>(reader: &mut ColumnReaderImpl<D>, level: i16, count: usize) -> Result<Vec<Option<D::T>>, String> {
    let mut out = Vec::new();
    while out.len() < count {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (records, ..) = reader.read_records(AT_ONCE.min(count - out.len()), Some(&mut levels), None, &mut values).map_err(text)?;
        if records == 0 {
            return Err(format!("{count} rows are said to be there, {} are", out.len()));
        }
        // A value is there where the level is the highest.
        let mut values = values.into_iter();
        out.extend((0..records).map(|i| if level == 0 || levels.get(i) == Some(&level) { values.next() } else { None }));
    }
    Ok(out)
}

impl Value {
    /// For a message.
    pub fn shown(&self) -> String {
        match self {
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Bool(v) => v.to_string(),
            Self::Bytes(bytes) => match (image_type(bytes.as_bytes()), std::str::from_utf8(bytes.as_bytes())) {
                (Some(kind), _) => format!("{kind} of {} bytes", bytes.len()),
                (_, Ok(text)) => format!("{:?}", text.chars().take(24).collect::<String>()),
                _ => format!("{} bytes", bytes.len()),
            },
        }
    }
}

/// What an image is by its first bytes.
pub fn image_type(bytes: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 9] = [
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"BM", "BMP"),
        (b"\0\0\0\x0cjP", "JPEG 2000"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL", "JPEG XL"),
    ];
    let riff = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let avif = bytes.get(4..8) == Some(b"ftyp");
    let known = magics.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name);
    known.or_else(|| riff.then_some("WebP")).or_else(|| avif.then_some("AVIF or HEIC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_other_forms() {
        for (bits, number) in [(0x4200u16, 3.0), (0xbc00, -1.0), (0x3800, 0.5), (0x0000, 0.0), (0x0001, 2f64.powi(-24)), (0x7bff, 65504.0)]
        {
            assert_eq!(half(bits), number, "{bits:04x}");
        }
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f64::NEG_INFINITY);
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec().into());
        for (form, stored, value) in [
            (Form::Decimal(1), Value::Int(30), Value::Int(3)),
            (Form::Decimal(1), Value::Int(35), Value::Float(3.5)),
            (Form::Decimal(2), bytes(&[0x01, 0x2c]), Value::Int(3)),
            (Form::Decimal(0), bytes(&[0xff, 0xff, 0xff]), Value::Int(-1)),
            (Form::Decimal(2), bytes(&[[0; 30].as_slice(), &[0x01, 0x2c]].concat()), Value::Int(3)),
            (Form::Decimal(0), bytes(&[[0xff; 31].as_slice(), &[0xfe]].concat()), Value::Int(-2)),
            (Form::Decimal(0), bytes(&[1; 32]), Value::Int(i64::MAX)),
            (Form::Unsigned(4), Value::Int(-1), Value::Int(u32::MAX.into())),
            (Form::Unsigned(8), Value::Int(-1), Value::Int(i64::MAX)),
            (Form::Half, bytes(&[0x00, 0x42]), Value::Float(3.0)),
        ] {
            assert_eq!(form.value(stored.clone()), value, "{form:?} {stored:?}");
        }
    }
}
