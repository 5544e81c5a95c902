//! Values of a column of a row group, with the rows that have none.

use super::text;
use crate::data::format::MOST_RECORDS;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, ByteArray, DataType};
use parquet::file::reader::RowGroupReader;

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
    fn all<T>(values: Vec<Option<T>>, into: impl Fn(T) -> Value) -> Vec<Option<Value>> {
        values.into_iter().map(|v| v.map(&into)).collect()
    }
    Ok(match group.get_column_reader(index).map_err(text)? {
        ColumnReader::BoolColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Bool),
        ColumnReader::Int32ColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Int(v.into())),
        ColumnReader::Int64ColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Int),
        ColumnReader::FloatColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Float(v.into())),
        ColumnReader::DoubleColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Float),
        ColumnReader::ByteArrayColumnReader(mut r) => all(read(&mut r, level, count)?, Value::Bytes),
        ColumnReader::FixedLenByteArrayColumnReader(mut r) => all(read(&mut r, level, count)?, |v| Value::Bytes(v.into())),
        ColumnReader::Int96ColumnReader(_) => return Err("a column of timestamps".to_owned()),
    })
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
