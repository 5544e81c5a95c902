//! The safetensors container: our own writer, whose bytes are a pure function of the content, and a checked reader.
//!
//! Layout: u64 header length, JSON header padded with spaces to a multiple of 4096 bytes, tensors. Tensors are sorted by element
//! size (largest first, so that every one is aligned) and then by name; metadata keys are sorted. The crate `safetensors` writes its
//! metadata from a hash map, in an order that changes from run to run, which is why the writer is ours and only the reader is its.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::files::{self, Folder, open_file};
use crate::limits::memory::{addresses, room};
use safetensors::{Dtype as StDtype, SafeTensors};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const HEADER_ALIGN: usize = 4096;
/// Ours are about 100 KB; more is damage.
const HEADER_LIMIT: u64 = 8 << 20;
/// Our own metadata: the CRC of the JSON behind it, then the JSON.
const META_KEY: &str = "imagenet_engine";

/// One tensor to be written: little-endian elements, row-major.
pub struct TensorOut {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl TensorOut {
    pub fn f32(name: String, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name, dtype: DType::F32, shape: shape.to_vec(), bytes }
    }

    pub fn i64_scalar(name: String, value: i64) -> Self {
        Self { name, dtype: DType::I64, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }
}

/// As [`write_in`], to `path`, over what bears the name.
///
/// # Errors
/// `Write`.
pub fn write(path: &Path, tensors: Vec<TensorOut>, meta: Map<String, Value>) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    write_in(&Folder::hold(dir)?, &name, true, tensors, meta)
}

/// Writes `tensors` with `meta` (a JSON object, to which the CRC-32C of every tensor is added) as `name` in `folder`, whole or not at all.
///
/// # Errors
/// `Write`; without `replace` also where the name is taken.
pub fn write_in(folder: &Folder, name: &str, replace: bool, mut tensors: Vec<TensorOut>, meta: Map<String, Value>) -> Result<()> {
    let head = head(&mut tensors, meta);
    let parts: Vec<&[u8]> = [head.as_slice()].into_iter().chain(tensors.iter().map(|t| t.bytes.as_slice())).collect();
    folder.write(name, &parts, replace)
}

/// As [`write_in`], straight into the device or pipe `path`.
///
/// # Errors
/// `Write`.
pub fn write_straight(path: &Path, mut tensors: Vec<TensorOut>, meta: Map<String, Value>) -> Result<()> {
    let head = head(&mut tensors, meta);
    files::write_output(path, files::Kind::Result, |to| {
        to.write_all(&head)?;
        tensors.iter().try_for_each(|t| to.write_all(&t.bytes))
    })
}

/// The length of the header and the header, of `tensors` in the order in which they are written.
fn head(tensors: &mut [TensorOut], mut meta: Map<String, Value>) -> Vec<u8> {
    tensors.sort_by(|a, b| b.dtype.size().cmp(&a.dtype.size()).then_with(|| a.name.cmp(&b.name)));
    let crcs: BTreeMap<_, _> = tensors.iter().map(|t| (t.name.as_str(), format!("{:08x}", crc32c::crc32c(&t.bytes)))).collect();
    meta.insert("crc32c".into(), json!(crcs));
    let meta = Value::Object(meta).to_string(); // serde_json's map is sorted: canonical
    let meta = format!("{:08x} {meta}", crc32c::crc32c(meta.as_bytes()));

    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "pt", META_KEY: meta }));
    let mut offset = 0;
    for t in tensors.iter() {
        let dtype = match t.dtype {
            DType::F64 => "F64",
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::Bf16 => "BF16",
            DType::I64 => "I64",
        };
        let end = offset + t.bytes.len();
        header.insert(t.name.clone(), json!({ "dtype": dtype, "shape": t.shape, "data_offsets": [offset, end] }));
        offset = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize((8 + header.len()).next_multiple_of(HEADER_ALIGN) - 8, b' ');
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], &header].concat()
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct TensorIn {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A file read and checked.
pub struct File {
    pub path: PathBuf,
    /// By name as stored, less the prefixes that training wrappers add. I64 tensors are left out.
    pub tensors: BTreeMap<String, TensorIn>,
    /// The highest of torch's `num_batches_tracked`, 0 where there is none.
    pub batches: u64,
    /// Our own metadata; empty for files of others.
    pub meta: Map<String, Value>,
}

/// Reads all of `path`.
///
/// # Errors
/// `Data`: not a safetensors file, truncated, a tensor or the metadata differ from their CRC, an element type we do not read, values
/// that are not finite.
pub fn read(path: &Path) -> Result<File> {
    parse(path, &read_bytes(path)?)
}

/// All bytes of `path`, once its header accounts for its length: no memory is taken for what cannot be a safetensors file.
///
/// # Errors
/// `Data`: unreadable, no regular file, or a header that says another length.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let fail = |e| Error::reading(path, e);
    let (mut file, metadata) = open_file(path)?;
    let (header, start) = read_header(path, &mut file, metadata.len())?;
    let ends = header.values().filter_map(|t| t.pointer("/data_offsets/1")?.as_u64());
    let expected = ends.max().unwrap_or(0).checked_add(start);
    if expected != Some(metadata.len()) {
        let expected = expected.map_or_else(|| "more".to_owned(), |n| n.to_string());
        return Err(damaged(path, format!("the file has {} bytes, its header accounts for {expected}", metadata.len())));
    }
    check_memory(path, &header, metadata.len())?;
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Refuses to read what memory does not hold: the bytes of the file and its numbers as f32 side by side, and afterwards these and a model's.
fn check_memory(path: &Path, header: &Map<String, Value>, len: u64) -> Result<()> {
    let elements = |tensor: &Value| {
        let shape = tensor.get("shape")?.as_array()?;
        shape.iter().map(Value::as_u64).try_fold(1u64, |product, n| product.checked_mul(n?))
    };
    let numbers: u64 =
        header.iter().filter(|(name, _)| *name != "__metadata__").filter_map(|(_, t)| elements(t)).fold(0, u64::saturating_add);
    let next = "raise the limit; the model.safetensors of a run takes half of what its checkpoints do";
    check_room(numbers.saturating_mul(4).saturating_add(len), &format!("reading {} of {len} bytes", path.display()), next)
}

/// Refuses `what`, which takes `bytes`, where memory does not hold them.
///
/// # Errors
/// `Device`, with both numbers.
pub fn check_room(bytes: u64, what: &str, next: &str) -> Result<()> {
    const REST: u64 = 8 << 20;
    let needed = bytes.saturating_add(REST);
    let there = room().into_iter().chain(addresses()).min_by_key(|room| room.bytes);
    match there.filter(|there| needed > there.bytes) {
        None => Ok(()),
        Some(there) => Err(Error::device(format!("out of memory: {what} needs {needed} bytes, {} are available", there.bytes))
            .because(there.bound.to_string())
            .next(next)),
    }
}

/// Our metadata in the header of `path`, without the tensors; `None` where there is none that can be read.
pub fn read_meta(path: &Path) -> Option<Map<String, Value>> {
    let (mut file, metadata) = open_file(path).ok()?;
    let (header, _) = read_header(path, &mut file, metadata.len()).ok()?;
    parse_meta(header.get("__metadata__")?.get(META_KEY)?.as_str()?)
}

/// The JSON header, and where it ends.
fn read_header(path: &Path, file: &mut std::fs::File, len: u64) -> Result<(Map<String, Value>, u64)> {
    let fail = |e| Error::reading(path, e);
    let mut size = [0; 8];
    if len < 8 {
        return Err(damaged(path, format!("only {len} bytes")));
    }
    file.read_exact(&mut size).map_err(fail)?;
    check_magic(path, &size)?;
    let size = u64::from_le_bytes(size);
    if size > HEADER_LIMIT {
        return Err(damaged(path, format!("byte 0: a header of {size} bytes, expected at most {HEADER_LIMIT}")));
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).map_err(|_| damaged(path, format!("{len} bytes, too few for a header of {size}")))?;
    let header = serde_json::from_slice(&text).map_err(|e| damaged(path, format!("header: {e}")))?;
    Ok((header, 8 + size))
}

/// Names the formats that are taken for this one, by their first bytes.
fn check_magic(path: &Path, start: &[u8; 8]) -> Result<()> {
    let error = |what: &str| Error::data(what).at(path.display().to_string());
    // A zip holds what torch.save writes; before torch 1.6 that was a bare pickle.
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02") {
        let (from, to) = (path.display(), path.with_extension("safetensors"));
        let load = format!("d=torch.load('{from}',map_location='cpu',weights_only=True)");
        let tensors = "{k:v.contiguous() for k,v in d.get('state_dict',d.get('model',d)).items()}";
        return Err(error("this is a file of torch.save (.pth, .pt), and weights are read from safetensors")
            .next(format!("python -c \"import torch,safetensors.torch as s;{load};s.save_file({tensors},'{}')\"", to.display())));
    }
    if start.starts_with(b"\x89HDF") {
        return Err(error("this is an HDF5 file (.h5), and weights are read from safetensors"));
    }
    for (magic, what) in [
        (b"\xff\xd8\xff".as_slice(), "a JPEG image"),
        (b"\x89PNG", "a PNG image"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\x93NUMPY", "an array of numpy (.npy)"),
    ] {
        if start.starts_with(magic) {
            return Err(error(&format!("this is {what}, and weights are read from safetensors"))
                .next("the folder of a run, or its model.safetensors"));
        }
    }
    if start.starts_with(b"version ") {
        return Err(error("this is a pointer of Git LFS, not the file itself").next("git lfs pull"));
    }
    if start.starts_with(b"<!DOCTY") || start.starts_with(b"<html") {
        return Err(error("this is a web page: the download failed"));
    }
    // As the length of a header these bytes would be more than any file has.
    if start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        return Err(
            error("this is a text file, and weights are read from safetensors").next("the folder of a run, or its model.safetensors")
        );
    }
    Ok(())
}

fn damaged(path: &Path, what: String) -> Error {
    Error::data(what).at(path.display().to_string()).because("the file was cut short, altered, or is no safetensors file")
}

/// As [`read`], from the file's bytes.
///
/// # Errors
/// `Data`, always for what the bytes hold.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<File> {
    let damaged = |what: String| damaged(path, what);
    let header = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)).ok_or_else(|| damaged(format!("only {} bytes", bytes.len())))?;
    if header > HEADER_LIMIT {
        return Err(damaged(format!("byte 0: a header of {header} bytes, expected at most {HEADER_LIMIT}")));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(format!("header: {e}")))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(format!("header: {e}")))?;
    let meta = match header.metadata().as_ref().and_then(|m| m.get(META_KEY)) {
        Some(text) => parse_meta(text).ok_or_else(|| damaged("the metadata differs from its crc32c".into()))?,
        None => {
            // Ours under a damaged name would pass for a file of others, without checks and with other sizes.
            let ours = header.metadata().iter().flatten().find(|(_, text)| parse_meta(text).is_some());
            if let Some((name, _)) = ours {
                return Err(damaged(format!("the metadata is called \"{name}\" instead of \"{META_KEY}\"")));
            }
            Map::new()
        }
    };
    let crcs = meta.get("crc32c").and_then(Value::as_object);
    let (mut tensors, mut batches) = (BTreeMap::new(), 0);
    for (name, view) in file.iter() {
        let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let place = |what: String| damaged(format!("tensor {name} at byte {offset}: {what}"));
        if let Some(crcs) = crcs {
            let found = format!("{:08x}", crc32c::crc32c(view.data()));
            let expected = crcs.get(name).and_then(Value::as_str).unwrap_or("none");
            if found != expected {
                return Err(place(format!("crc32c {found}, expected {expected}")));
            }
        }
        let dtype = match view.dtype() {
            StDtype::F64 => DType::F64,
            StDtype::F32 => DType::F32,
            StDtype::F16 => DType::F16,
            StDtype::BF16 => DType::Bf16,
            StDtype::I64 => {
                if name.ends_with("num_batches_tracked")
                    && let Some(count) = view.data().first_chunk::<8>()
                {
                    batches = batches.max(u64::try_from(i64::from_le_bytes(*count)).unwrap_or(0));
                }
                continue;
            }
            other => return Err(place(format!("element type {other:?} is not read"))),
        };
        if name.ends_with("num_batches_tracked") {
            return Err(place(format!("element type {dtype:?}, expected I64")));
        }
        let values = dtype.widen(view.data());
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(place(format!("element {i} is {}", values[i])));
        }
        let plain = ["module.", "_orig_mod.", "model."].iter().fold(name, |n, prefix| n.strip_prefix(prefix).unwrap_or(n));
        tensors.insert(plain.to_owned(), TensorIn { shape: view.shape().to_vec(), values });
    }
    if let Some(missing) = crcs.and_then(|c| c.keys().find(|k| !k.ends_with("num_batches_tracked") && !tensors.contains_key(*k))) {
        return Err(damaged(format!("tensor {missing} is gone")));
    }
    Ok(File { path: path.to_owned(), tensors, batches, meta })
}

fn parse_meta(text: &str) -> Option<Map<String, Value>> {
    let (crc, json) = text.split_once(' ')?;
    (u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(json.as_bytes())).then_some(())?;
    serde_json::from_str::<Value>(json).ok()?.as_object().cloned()
}
