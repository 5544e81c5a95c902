//! The parser behind the typed handles: what it reads, and what it refuses. Runs without the emulator.

use crate::parser::{Kind, Parameter, Struct, kernels, structs, tiles};

fn parameter(name: &str, kind: Kind, of: &str) -> Parameter {
    Parameter { name: name.into(), kind, of: of.into() }
}

#[test]
fn reads_kernels_as_they_are_written() {
    let source = r#"
        // extern "C" __global__ void __launch_bounds__(1) commented(int a) {}
        template <class T> void helper(T* x);
        extern "C" __global__ void __launch_bounds__(256, 2)
        first(const float4* __restrict__ p, bf16 *y, unsigned long long n, /* a comment */ Shape shape) { body(n, 3); }
        extern "C" __global__ void __launch_bounds__( 32 ) second(const uint8_t* a, int accumulate) {}
    "#;
    let known = [Struct { name: "Shape".into(), fields: vec![] }];
    let found = kernels(source, &known).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].name.as_str(), found[0].threads), ("first", 256));
    let want = [
        parameter("p", Kind::Read, "f32"),
        parameter("y", Kind::Write, "half::bf16"),
        parameter("n", Kind::Value, "u64"),
        parameter("shape", Kind::Value, "Shape"),
    ];
    assert_eq!(found[0].parameters, want);
    assert_eq!((found[1].name.as_str(), found[1].threads), ("second", 32));
    assert_eq!(found[1].parameters, [parameter("a", Kind::Read, "u8"), parameter("accumulate", Kind::Value, "i32")]);
}

#[test]
fn refuses_what_it_does_not_understand() {
    let error = |text: &str| kernels(text, &[]).unwrap_err();
    assert!(error(r#"extern "C" __global__ void __launch_bounds__(256) k(short x) {}"#).contains("'short'"));
    assert!(error(r#"extern "C" __global__ void __launch_bounds__(256) k(Unknown x) {}"#).contains("'Unknown'"));
    assert!(error(r#"extern "C" __global__ void __launch_bounds__(kThreads) k(int x) {}"#).contains("kThreads"));
    assert!(error(r#"extern "C" __global__ void k(int x) {}"#).contains("__launch_bounds__"));
    assert!(error("__global__ void __launch_bounds__(256) k(int x) {}").contains("must begin with"));
    assert!(error(r#"extern "C" __global__ void __launch_bounds__(256) k(float4 x) {}"#).contains("vector by value"));
    assert!(error(r#"extern "C" __global__ void __launch_bounds__(256) k(int) {}"#).contains("no parameter"));
}

#[test]
fn reads_structs_and_tiles() {
    let header = "#define ARGUMENT_STRUCT(name) struct name\n\
        ARGUMENT_STRUCT(Div) { uint32_t divisor, shift; };\n\
        ARGUMENT_STRUCT(Shape) {\n    int32_t n, h; // extents\n    Div by;\n    double eps;\n};";
    let found = structs(header, &[]).unwrap();
    let field = |name: &str, of: &str| (name.to_owned(), of.to_owned());
    assert_eq!(found[0], Struct { name: "Div".into(), fields: vec![field("divisor", "u32"), field("shift", "u32")] });
    assert_eq!(found[1].fields, [field("n", "i32"), field("h", "i32"), field("by", "Div"), field("eps", "f64")]);
    assert!(structs("ARGUMENT_STRUCT(A) { int x[3]; };", &[]).unwrap_err().contains("arrays"));
    assert!(structs("ARGUMENT_STRUCT(A) { long x; };", &[]).unwrap_err().contains("'long'"));

    let found = tiles("#define TILE_SHAPE(name, m, n, stages, warps_m, warps_n) using x = y\nTILE_SHAPE(Wide, 128, 64, 3, 2, 2);").unwrap();
    assert_eq!((found.len(), found[0].name.as_str(), found[0].numbers), (1, "Wide", [128, 64, 3, 2, 2]));
    assert!(tiles("TILE_SHAPE(Wide, 128, 64, 3, 2);").is_err());
}
