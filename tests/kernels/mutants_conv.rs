//! Planted bugs in the convolutions and in the main loop they share with the linear layer; see mutants.rs.

use crate::device::Device;
use crate::mutants::Shows::{Conflicts, Fault, Unrepeatable, Wrong};
use crate::mutants::all_caught;
use crate::planted::Edit;
use half::bf16;
use imagenet_engine::selftest::conv::{SPLIT, STRIDED, TAILED, case};
use imagenet_engine::selftest::oracle::Pass;
use imagenet_engine::selftest::{Case, Depth};
use imagenet_engine::shape::ConvProblem;

fn conv(pass: Pass, pr: ConvProblem) -> Option<Case<Device>> {
    case::<bf16, Device>(pass, pr, Depth::Every)
}

#[test]
fn main_loop() {
    all_caught(
        conv(Pass::Fprop, TAILED),
        "m128n64, integers",
        &[
            (
                "missing_barrier",
                "conv_fprop",
                &[(
                    "include/pipeline.cuh",
                    "wait_copies<Tile::kStages - 2>();\n        __syncthreads();",
                    "wait_copies<Tile::kStages - 2>();",
                )],
                Fault("shared memory race"),
            ),
            (
                "short_wait",
                "conv_fprop",
                &[("include/pipeline.cuh", "wait_copies<Tile::kStages - 2>", "wait_copies<Tile::kStages - 1>")],
                Fault("in flight"),
            ),
            (
                "copies_not_committed",
                "conv_fprop",
                &[("include/pipeline.cuh", "commit_copies();\n        multiply_stage", "multiply_stage")],
                Fault("in flight"),
            ),
            (
                "epilogue_without_barrier",
                "conv_fprop",
                &[("include/pipeline.cuh", "__syncthreads();  // the epilogue overwrites the stages", "")],
                Fault("shared memory race"),
            ),
            ("epilogue_reads_early", "conv_fprop", &[("include/epilogue.cuh", "    __syncthreads();\n", "")], Fault("shared memory race")),
            (
                "one_stage_too_far",
                "conv_fprop",
                &[("include/pipeline.cuh", "turn + Tile::kStages - 1 < blocks", "turn + Tile::kStages < blocks")],
                Wrong,
            ),
            ("no_swizzle", "conv_fprop", &[("include/tile.cuh", "((chunk ^ (row & 7)) << 4)", "(chunk << 4)")], Conflicts),
            (
                "swizzle_added",
                "conv_fprop",
                &[("include/tile.cuh", "first ^ (along_row << 5)", "first + (along_row << 5)")],
                Fault("in flight"),
            ),
            ("halves_of_b_swapped", "conv_fprop", &[("include/tile.cuh", "a[i], b[0], b[1]", "a[i], b[2], b[3]")], Wrong),
            (
                "lanes_of_b_swapped",
                "conv_fprop",
                &[("include/tile.cuh", "(lane & 7) + (lane >> 4) * 8, lane >> 3 & 1", "(lane & 7) + (lane >> 3 & 1) * 8, lane >> 4 & 1")],
                Wrong,
            ),
        ],
    );
}

#[test]
fn fprop() {
    all_caught(
        conv(Pass::Fprop, TAILED),
        "m128n64, integers",
        &[
            (
                "taps_swapped",
                "conv_fprop",
                &[("conv_fprop.cu", "(r * g.w + s) * g.c + c;", "(s * g.w + r) * g.c + c;")],
                Fault("a read of"),
            ),
            ("missing_halo_mask", "conv_fprop", &[("conv_fprop.cu", " && inside(left[pass] + s, g.w)", "")], Fault("a read of")),
            (
                "missing_halo_mask_above",
                "conv_fprop",
                &[("conv_fprop.cu", "inside(top[pass] + r, g.h)", "(top[pass] > kNowhere)")],
                Fault("a read of"),
            ),
            ("dropped_tail_mask", "conv_fprop", &[("conv_fprop.cu", "if (pixel >= pixels) top[i] = kNowhere;", "")], Fault("a read of")),
            (
                "store_beyond_last_pixel",
                "conv_fprop",
                &[("conv_fprop.cu", "pixel < pixels && filter < g.k", "filter < g.k")],
                Fault("a write to"),
            ),
            (
                "store_beyond_last_filter",
                "conv_fprop",
                &[("conv_fprop.cu", "pixel < pixels && filter < g.k", "pixel < pixels")],
                Fault("a write to"),
            ),
            ("filters_beyond_last", "conv_fprop", &[("conv_fprop.cu", "exists && filter < g.k", "exists")], Fault("a read of")),
            (
                "k_beyond_last",
                "conv_fprop",
                &[("conv_fprop.cu", "const bool exists = r < g.r;", "const bool exists = true;")],
                Fault("a read of"),
            ),
        ],
    );
}

#[test]
fn dgrad() {
    all_caught(
        conv(Pass::Dgrad, STRIDED),
        "m64n64, integers",
        &[
            (
                "taps_not_mirrored",
                "conv_dgrad",
                &[("conv_dgrad.cu", "filter - (t * g.q + u) * g.k", "filter + (t * g.q + u) * g.k")],
                Fault("a read of"),
            ),
            ("wrong_parity", "conv_dgrad", &[("conv_dgrad.cu", "first_tap((rest_ + pad) % stride)", "first_tap(rest_ % stride)")], Wrong),
            ("gradient_not_added", "conv_dgrad", &[("conv_dgrad.cu", "if (accumulate) add_eight(eight, load_eight(to));", "")], Wrong),
            (
                "k_of_next_tap",
                "conv_dgrad",
                &[
                    ("conv_dgrad.cu", "inside(corner[pass].column() - u, g.q) && filter < g.k", "inside(corner[pass].column() - u, g.q)"),
                    ("conv_dgrad.cu", "f < g.k && c < g.c", "c < g.c"),
                ],
                Fault("a read of"),
            ),
            (
                "lanes_of_a_transposed_b_swapped",
                "conv_dgrad",
                &[("include/tile.cuh", "const int column = outer + late_outer * 8;", "const int column = outer + late_k * 8;")],
                Wrong,
            ),
        ],
    );
}

#[test]
fn wgrad() {
    all_caught(
        conv(Pass::Wgrad, SPLIT),
        "m64n64 in 5, integers",
        &[
            ("stale_ticket", "conv_wgrad", &[("include/ticket.cuh", "if (last) *ticket = 0;", "")], Wrong),
            (
                "ticket_one_early",
                "conv_wgrad",
                &[("include/ticket.cuh", "static_cast<uint32_t>(parts) - 1", "static_cast<uint32_t>(parts) - 2")],
                Wrong,
            ),
            (
                "split_beyond_last_pixel",
                "conv_wgrad",
                &[("conv_wgrad.cu", "min(first + pixels_per_split, pixels)", "first + pixels_per_split")],
                Fault("a read of"),
            ),
            (
                "ticket_told_early",
                "conv_wgrad",
                &[("include/ticket.cuh", "    __syncthreads();\n    const bool last", "    const bool last")],
                Fault("shared memory race"),
            ),
            (
                "pixels_of_the_wrong_row",
                "conv_wgrad",
                &[("conv_wgrad.cu", "divide_with_rest(at, g.by_q)", "divide_with_rest(at, g.by_p)")],
                Fault("a read of"),
            ),
        ],
    );
    // The order of sums shows in numbers that round.
    let by_arrival: &[Edit] = &[("conv_wgrad.cu", "slabs + split * slab +", "slabs + (split + blockIdx.z) % splits * slab +")];
    all_caught(conv(Pass::Wgrad, SPLIT), "m64n64 in 5, normal numbers", &[("sums_by_arrival", "conv_wgrad", by_arrival, Unrepeatable)]);
}
