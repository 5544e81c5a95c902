//! Planted bugs around wgmma; see mutants.rs.

use crate::mutants::Shows::{Fault, Wrong};
use crate::mutants::all_caught;
use imagenet_engine::selftest::wgmma;

const PTX: &str = "include/ptx_sm90.cuh";
const HERE: &str = "conformance.cu";

#[test]
fn descriptors_and_fences() {
    let shapes = wgmma::cases().into_iter().filter(|c| c.name().contains("m64n64k16 over") || c.name().contains("m64n256k16"));
    all_caught(
        shapes,
        "integers",
        &[
            ("no_proxy_fence", "conformance", &[(PTX, "emulator::fence_proxy_async();", "")], Fault("without a fence.proxy.async")),
            ("no_wgmma_fence", "conformance", &[(PTX, "emulator::wgmma_fence();", "")], Fault("without a wgmma.fence")),
            ("no_commit", "conformance", &[(PTX, "emulator::wgmma_commit();", "")], Fault("exits with 4 wgmma in flight")),
            ("other_swizzle", "conformance", &[(PTX, "uint64_t{1} << 62", "uint64_t{2} << 62")], Fault("another layout")),
            ("stride_doubled", "conformance", &[(PTX, "uint64_t{1024 >> 4} << 32", "uint64_t{2048 >> 4} << 32")], Fault("outside the")),
            ("stride_zero", "conformance", &[(PTX, "uint64_t{1024 >> 4} << 32", "uint64_t{0} << 32")], Wrong),
            ("swizzle_over_four_rows", "conformance", &[("include/tile.cuh", "(chunk ^ (row & 7))", "(chunk ^ (row & 3))")], Wrong),
            ("half_a_step_of_k", "conformance", &[(HERE, "a + 2 * k, b + 2 * k, k == 0 ?", "a + k, b + k, k == 0 ?")], Wrong),
            ("always_adds", "conformance", &[(HERE, "k == 0 ? accumulate : 1", "1")], Wrong),
            ("lanes_disagree", "conformance", &[(HERE, "k == 0 ? accumulate : 1", "(threadIdx.x & 1)")], Fault("different descriptors")),
            ("warps_disagree", "conformance", &[(HERE, "k == 0 ? accumulate : 1", "(threadIdx.x >> 5 & 1)")], Fault("different products")),
        ],
    );
}

#[test]
fn groups_in_flight() {
    let groups = wgmma::cases().into_iter().filter(|c| c.name().contains("groups"));
    let no_barrier =
        "__syncthreads();\n    for (int i = threadIdx.x; i < 64 * 32; i += blockDim.x) store_shared<uint32_t>(shared + 64 * kPanelRow";
    let overwrite = "for (int i = threadIdx.x; i < 64 * 32; i += blockDim.x) store_shared<uint32_t>(shared + 64 * kPanelRow";
    all_caught(
        groups,
        "integers",
        &[
            ("short_wait", "conformance", &[(HERE, "wgmma_wait<1>();", "wgmma_wait<2>();")], Fault("a wgmma in flight reads")),
            ("overwritten_before_others_read", "conformance", &[(HERE, no_barrier, overwrite)], Fault("shared memory race")),
            (
                "never_waited_for",
                "conformance",
                &[(
                    HERE,
                    "wgmma_wait<0>();\n#pragma unroll\n    for (int i = 0; i < 32; i++) own[32",
                    "\n    for (int i = 0; i < 32; i++) own[32",
                )],
                Fault("exits with 4 wgmma in flight"),
            ),
            (
                "registers_touched",
                "conformance",
                &[(HERE, "wgmma_commit();\n    wgmma_wait<1>();", "wgmma_commit();\n    second[0] = 0.f;\n    wgmma_wait<1>();")],
                Fault("were written"),
            ),
            (
                "wrong_half_of_b",
                "conformance",
                &[(HERE, "b + (64 * kPanelRow >> 4)", "b + (32 * kPanelRow >> 4)")],
                Fault("a wgmma in flight reads"),
            ),
        ],
    );
}
