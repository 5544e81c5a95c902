//! A hash of what each kernel is compiled from, for records of what a GPU has run: the code of its file and of every header it includes,
//! without comments and layout, so that a remark does not make a record worthless.

use std::collections::BTreeMap;

/// The hash of `source`, whose headers are found by name among `headers`; both already without comments.
///
/// # Errors
/// Naming a quoted include that is not among them.
pub fn of(source: &str, headers: &BTreeMap<String, String>) -> Result<String, String> {
    let mut text = String::new();
    let mut included = Vec::new();
    append(source, headers, &mut included, &mut text)?;
    Ok(format!("{:016x}", fnv(text.as_bytes())))
}

/// The files that `source` includes, directly and through others, in the order of first inclusion.
fn append(source: &str, headers: &BTreeMap<String, String>, included: &mut Vec<String>, out: &mut String) -> Result<(), String> {
    for line in source.lines() {
        if let Some(name) = line.trim().strip_prefix("#include \"").and_then(|rest| rest.split('"').next()) {
            if HOST_ONLY.contains(&name) || included.iter().any(|i| i == name) {
                continue;
            }
            included.push(name.to_owned());
            let header = headers.get(name).ok_or(format!("includes \"{name}\", which is not in kernels/include"))?;
            append(header, headers, included, out)?;
        }
    }
    out.extend(source.split_whitespace().flat_map(|word| [word, " "]));
    Ok(())
}

/// Headers of the emulator, which no GPU sees.
const HOST_ONLY: [&str; 3] = ["async_copy.h", "tensor_core.h", "warpgroup.h"];

/// FNV-1a over 128 bits, folded to 64: no cryptography, only a name for a text.
fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in bytes {
        hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    (hash >> 64) as u64 ^ hash as u64
}
