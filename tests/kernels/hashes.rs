//! The hashes behind the records: what changes them, and what does not. Runs without the emulator.

#[path = "../../build/hashes.rs"]
mod hashed;

use crate::parser::code;
use std::collections::BTreeMap;

fn hash(source: &str, headers: &[(&str, &str)]) -> Result<String, String> {
    let headers: BTreeMap<String, String> = headers.iter().map(|(name, text)| ((*name).to_owned(), code(text))).collect();
    hashed::of(&code(source), &headers)
}

#[test]
fn remarks_and_layout_do_not_count_but_code_does() {
    let headers = [("a.cuh", "#include \"b.cuh\"\nint a;"), ("b.cuh", "int b; // one"), ("unused.cuh", "int u;")];
    let base = hash("#include \"a.cuh\"\nint x = 1;", &headers).unwrap();
    assert_eq!(hash("// a remark\n#include \"a.cuh\"\n\n  int   x = 1; /* so */", &headers).unwrap(), base);
    assert_ne!(hash("#include \"a.cuh\"\nint x = 2;", &headers).unwrap(), base);
    // a header's header counts, one that is not included does not
    let with = |b, unused| hash("#include \"a.cuh\"\nint x = 1;", &[headers[0], ("b.cuh", b), ("unused.cuh", unused)]).unwrap();
    assert_eq!(with("int b; // two", "int v;"), base);
    assert_ne!(with("long b;", "int u;"), base);
}

#[test]
fn headers_are_taken_once_and_must_exist() {
    let headers = [("a.cuh", "#include \"b.cuh\"\n"), ("b.cuh", "#include \"a.cuh\"\nint b;")];
    assert!(hash("#include \"a.cuh\"\n#include \"a.cuh\"\n#include <stdint.h>", &headers).is_ok());
    assert!(hash("#include \"missing.cuh\"", &headers).unwrap_err().contains("missing.cuh"));
}
