//! Reads from CUDA sources what Rust must know to launch their kernels: names, launch bounds, parameters, and the structs passed by
//! value. The sources are the only place where these are written; everything on the Rust side is generated.
//!
//! Understood is what our kernels use, anything else is an error naming it:
//! - `extern "C" __global__ void __launch_bounds__(THREADS[, BLOCKS]) name(parameters) {` with literal bounds;
//! - parameters that are pointers to, or values of, the types of [`rust_type`], or structs declared by
//!   `ARGUMENT_STRUCT(Name) { type field, field; ... };` in a header.

/// `const T* __restrict__ name`, `T* name`, or `T name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub kind: Kind,
    /// In Rust.
    pub of: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Value,
    Read,
    Write,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    /// Threads of a block at most.
    pub threads: u32,
    pub parameters: Vec<Parameter>,
}

/// A struct that kernels take by value: fields in order, types in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    pub name: String,
    pub fields: Vec<(String, String)>,
}

/// The same type in Rust. Vectors are only pointed to: their elements are what the host holds.
fn rust_type(c: &str, structs: &[Struct]) -> Result<String, String> {
    Ok(match c {
        "float" | "float2" | "float4" => "f32",
        "double" => "f64",
        "bf16" => "half::bf16",
        "uint8_t" => "u8",
        "int" | "int32_t" => "i32",
        "unsigned" | "uint32_t" => "u32",
        "unsigned long long" | "uint64_t" => "u64",
        name if structs.iter().any(|s| s.name == name) => name,
        other => return Err(format!("a parameter of type '{other}', which build/signatures.rs does not know")),
    }
    .to_owned())
}

/// Without comments, the lines kept.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        out.push_str(&rest[..at]);
        let comment = &rest[at..];
        let end = if comment.starts_with("//") { comment.find('\n') } else { comment.find("*/").map(|e| e + 2) };
        let end = end.unwrap_or(comment.len());
        out.extend(comment[..end].chars().filter(|&c| c == '\n'));
        rest = &comment[end..];
    }
    out.push_str(rest);
    out
}

/// What lies between the bracket that opens `text` and its partner, and what follows.
fn bracketed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if depth == 0 {
            return text.starts_with(open).then(|| (&text[1..i], &text[i + 1..]));
        }
    }
    None
}

fn is_name(s: &str) -> bool {
    !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The kernels a source defines, in order.
pub fn kernels(source: &str, structs: &[Struct]) -> Result<Vec<Signature>, String> {
    const OPENING: &str = "extern \"C\" __global__";
    let code = code(source);
    let mut found = Vec::new();
    for piece in code.split(OPENING).skip(1) {
        let rest = piece.trim_start().strip_prefix("void").ok_or("a kernel must return void")?;
        let bounds = rest.trim_start().strip_prefix("__launch_bounds__").ok_or("a kernel needs __launch_bounds__ after void")?;
        let (bounds, rest) = bracketed(bounds.trim_start(), '(', ')').ok_or("__launch_bounds__ without brackets")?;
        let threads = bounds.split(',').next().unwrap_or_default().trim();
        let threads = threads.parse().map_err(|_| format!("launch bounds must be a number, got '{threads}'"))?;
        let (name, list) = rest.split_at(rest.find('(').ok_or("a kernel without parameters")?);
        let name = name.trim().to_owned();
        if !is_name(&name) {
            return Err(format!("'{name}' is no name of a kernel"));
        }
        let (list, _) = bracketed(list, '(', ')').ok_or("parameters without an end")?;
        let parameters = list.split(',').map(|p| parameter(p, structs)).collect::<Result<_, _>>().map_err(|e| format!("{name}: {e}"))?;
        found.push(Signature { name, threads, parameters });
    }
    if found.len() != code.matches("__global__").count() {
        return Err(format!("every kernel must begin with {OPENING}"));
    }
    Ok(found)
}

fn parameter(text: &str, structs: &[Struct]) -> Result<Parameter, String> {
    let words: Vec<&str> = text.split_whitespace().filter(|w| *w != "__restrict__").collect();
    let text = words.join(" ").replace(" *", "*").replace("* ", "*");
    let (of, name) = text.rsplit_once([' ', '*']).ok_or(format!("'{text}' is no parameter"))?;
    let pointer = text[of.len()..].starts_with('*');
    let constant = of.starts_with("const ");
    let of = of.trim_start_matches("const ").trim();
    if !is_name(name) {
        return Err(format!("'{text}' is no parameter"));
    }
    let kind = match (pointer, constant) {
        (false, _) => Kind::Value,
        (true, true) => Kind::Read,
        (true, false) => Kind::Write,
    };
    if kind == Kind::Value && matches!(of, "float2" | "float4") {
        return Err(format!("{name}: a vector by value"));
    }
    Ok(Parameter { name: name.to_owned(), kind, of: rust_type(of, structs)? })
}

/// A tile that kernels are instantiated for: `TILE_SHAPE(name, m, n, stages, warps_m, warps_n);`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub name: String,
    /// m, n, stages, warps_m, warps_n.
    pub numbers: [u32; 5],
}

/// The tiles that a header declares.
pub fn tiles(header: &str) -> Result<Vec<Tile>, String> {
    let code = code(header);
    let mut found = Vec::new();
    for piece in code.split("TILE_SHAPE").skip(1).filter(|p| !p.starts_with("(name,")) {
        let (list, _) = bracketed(piece, '(', ')').ok_or("TILE_SHAPE without brackets")?;
        let words: Vec<&str> = list.split(',').map(str::trim).collect();
        let numbers: Option<Vec<u32>> = words[1..].iter().map(|w| w.parse().ok()).collect();
        let numbers = numbers.and_then(|n| n.try_into().ok()).ok_or(format!("TILE_SHAPE({list}): a name and five numbers"))?;
        found.push(Tile { name: words[0].to_owned(), numbers });
    }
    Ok(found)
}

/// The structs that headers declare for kernels to take by value; later ones may hold earlier ones.
pub fn structs(header: &str, known: &[Struct]) -> Result<Vec<Struct>, String> {
    let code = code(header);
    let mut found: Vec<Struct> = known.to_vec();
    for piece in code.split("ARGUMENT_STRUCT").skip(1).filter(|p| !p.starts_with("(name)")) {
        let (name, rest) = bracketed(piece, '(', ')').ok_or("ARGUMENT_STRUCT without a name")?;
        let (body, _) = bracketed(rest.trim_start(), '{', '}').ok_or(format!("{name}: ARGUMENT_STRUCT without a body"))?;
        let mut fields = Vec::new();
        for line in body.split(';').map(str::trim).filter(|l| !l.is_empty()) {
            let (of, names) = line.split_once(char::is_whitespace).ok_or(format!("{name}: '{line}' is no field"))?;
            let of = rust_type(of, &found)?;
            for field in names.split(',').map(str::trim) {
                if !is_name(field) {
                    return Err(format!("{name}: '{field}' is no field (arrays and functions are not supported)"));
                }
                fields.push((field.to_owned(), of.clone()));
            }
        }
        found.push(Struct { name: name.to_owned(), fields });
    }
    Ok(found.split_off(known.len()))
}
