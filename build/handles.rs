//! Writes the Rust that launches kernels: one struct a kernel, its fields the parameters by name and type. A misspelt kernel, a missing
//! or wrong argument is then an error of the compiler.

use crate::signatures::{Kind, Signature, Struct, Tile};
use std::fmt::Write as _;

/// `conv_fprop_bf16` to `ConvFpropBf16`.
fn camel(name: &str) -> String {
    let capital = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    name.split('_').map(capital).collect()
}

/// Keywords of Rust among C's parameter names.
fn field(name: &str) -> String {
    if ["in", "ref", "type", "where", "mod", "move", "loop", "use", "fn", "as"].contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}

/// The code of `structs`, `tiles` and of the kernels of each file.
pub fn generate(structs: &[Struct], tiles: &[Tile], files: &[(String, Vec<Signature>)]) -> String {
    let mut out =
        String::from("use super::launch::{Kernel, KernelInfo, Ptr, PtrMut, Tile};\nuse std::ffi::c_void;\nuse std::ptr::from_ref;\n");
    for s in structs {
        let fields: Vec<_> = s.fields.iter().map(|(name, of)| format!("pub {}: {of}", field(name))).collect();
        let _ = write!(
            out,
            "\n/// As in kernels/include; generated.\n#[repr(C)]\n#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]\npub struct {} {{ {} }}\n",
            s.name,
            fields.join(", ")
        );
    }
    for t in tiles {
        let [m, n, stages, warps_m, warps_n] = t.numbers;
        let _ = writeln!(
            out,
            "\npub const {}: Tile = Tile {{ m: {m}, n: {n}, stages: {stages}, threads: {} }};",
            t.name.to_uppercase(),
            warps_m * warps_n * 32
        );
    }
    for (file, kernels) in files {
        for k in kernels {
            handle(&mut out, file, k);
        }
    }
    let _ = writeln!(out, "\n/// Every kernel of every file.\npub const ALL: &[KernelInfo] = &[");
    for (_, kernels) in files {
        for k in kernels {
            let _ = writeln!(out, "    <{} as Kernel>::INFO,", camel(&k.name));
        }
    }
    out.push_str("];\n");
    out
}

fn handle(out: &mut String, file: &str, k: &Signature) {
    let of = |kind, of: &str| match kind {
        Kind::Value => of.to_owned(),
        Kind::Read => format!("Ptr<{of}>"),
        Kind::Write => format!("PtrMut<{of}>"),
    };
    let (name, count) = (camel(&k.name), k.parameters.len());
    let fields: Vec<_> = k.parameters.iter().map(|p| format!("pub {}: {}", field(&p.name), of(p.kind, &p.of))).collect();
    let sizes: Vec<_> = k.parameters.iter().map(|p| format!("size_of::<{}>()", of(p.kind, &p.of))).collect();
    let pointers: Vec<_> = k.parameters.iter().map(|p| format!("from_ref(&self.{}).cast()", field(&p.name))).collect();
    let _ = write!(
        out,
        "\n/// `{}` of kernels/{file}.cu.\n#[derive(Clone, Copy, Debug)]\npub struct {name} {{ {} }}\n\n\
         impl Kernel for {name} {{\n    \
         const INFO: KernelInfo = KernelInfo {{ name: {:?}, file: {file:?}, max_threads: {}, argument_bytes: &[{}] }};\n    \
         type Arguments = [*const c_void; {count}];\n    \
         fn arguments(&self) -> Self::Arguments {{ [{}] }}\n}}\n",
        k.name,
        fields.join(", "),
        k.name,
        k.threads,
        sizes.join(", "),
        pointers.join(", ")
    );
}
