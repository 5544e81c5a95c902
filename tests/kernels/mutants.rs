//! Planted bugs: each must be caught, in the way it is said to be. A test suite that a wrong kernel passes is worthless.
//!
//! A mutant runs under every schedule; one that catches it is enough, as the suite runs them all. The kernels without a bug pass the
//! same jobs (`the_jobs_pass_without_bugs`), so it is the bug that is caught.

use crate::common::tolerance::{close, equal};
use crate::common::{integers, normal, oracle};
use crate::conv::{Job, Pass, lengths, problem, reference};
use crate::device::{bits, emulator, output, rounded, schedules, up};
use crate::planted::{Edit, mutant};
use crate::{augment, loss, norm, pool};
use half::bf16;
use imagenet_engine::cuda::conv::Variant;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::{elementwise, gemm};
use imagenet_engine::error::Result;
use imagenet_engine::shape::{ConvProblem, LinearProblem};

/// How a bug shows.
#[derive(Debug)]
enum Shows {
    /// The emulator reports this.
    Fault(&'static str),
    /// The result is wrong.
    Wrong,
    /// The result is right, and banks conflict.
    Conflicts,
    /// Schedules differ in the result.
    Unrepeatable,
}
use Shows::{Conflicts, Fault, Unrepeatable, Wrong};

/// A result, and whether it is right.
type Checked = Result<(Vec<f64>, std::result::Result<(), String>)>;

/// Runs the mutants of one job. `(id, file, edits, how it shows)`.
fn all_caught(job: impl Fn(&Emulator) -> Checked, mutants: &[(&str, &str, &[Edit], Shows)]) {
    let (result, right) = job(&emulator()).expect("the job must run without a bug");
    right.expect("the job must pass without a bug");
    drop(result);
    for (id, file, edits, shows) in mutants {
        let device = mutant(id, file, edits);
        let (mut faults, mut wrong, mut results, mut conflicts) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for schedule in schedules() {
            let device = device.with(schedule);
            match job(&device) {
                Err(e) => faults.push(e.to_string()),
                Ok((result, right)) => {
                    wrong.extend(right.err());
                    results.push(bits(&result));
                }
            }
            conflicts += device.take_counters().shared_conflicts;
        }
        let caught = match shows {
            Fault(said) => faults.iter().any(|f| f.contains(said)),
            Wrong => !wrong.is_empty(),
            Conflicts => conflicts > 0 && faults.is_empty() && wrong.is_empty(),
            Unrepeatable => faults.is_empty() && wrong.is_empty() && results.iter().any(|r| *r != results[0]),
        };
        println!("{id}: {} faults, {} wrong, {conflicts} conflicts", faults.len(), wrong.len());
        assert!(caught, "{id} should show as {shows:?}; faults {faults:?}, wrong {wrong:?}, {conflicts} conflicts");
    }
}

/// One pass over integers, in f64 exact. wgrad in four splits; `start` adds to integers, `times` over.
fn conv(pass: Pass, pr: ConvProblem, variant: Variant, times: usize) -> impl Fn(&Emulator) -> Checked {
    let (len_a, len_b, len) = lengths(pass, &pr);
    let (a, b) = (integers(1, len_a), integers(2, len_b));
    let start = (pass != Pass::Fprop).then(|| integers(3, len));
    let once = reference(pass, &pr, &a, &b);
    let want: Vec<f64> = once.iter().enumerate().map(|(i, v)| v * times as f64 + start.as_ref().map_or(0.0, |s| s[i])).collect();
    let want = if pass == Pass::Wgrad { want } else { rounded::<bf16>(&want) };
    move |device| {
        let job = Job { pass, problem: &pr, variant, splits: 4, start: start.as_deref(), times };
        let got = job.run::<bf16>(device, &a, &b)?;
        let right = equal(&got, &want);
        Ok((got, right))
    }
}

/// 3x3 with a tail of pixels, of filters, of k, and a halo; seven stages of k, so that the last lies where the epilogue writes.
fn tailed() -> ConvProblem {
    problem((1, 9, 15, 48, 72), (3, 3), 1, 1)
}

#[test]
fn main_loop() {
    all_caught(
        conv(Pass::Fprop, tailed(), Variant::M128N64, 1),
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
        conv(Pass::Fprop, tailed(), Variant::M128N64, 1),
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
        conv(Pass::Dgrad, problem((1, 9, 13, 72, 40), (3, 3), 2, 1), Variant::M64N64, 1),
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
    let pr = problem((2, 9, 15, 40, 72), (3, 3), 1, 1);
    all_caught(
        conv(Pass::Wgrad, pr, Variant::M64N64, 2),
        &[
            ("stale_ticket", "conv_wgrad", &[("conv_wgrad.cu", "if (last) *ticket = 0;", "")], Wrong),
            (
                "ticket_one_early",
                "conv_wgrad",
                &[("conv_wgrad.cu", "static_cast<uint32_t>(splits) - 1", "static_cast<uint32_t>(splits) - 2")],
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
                &[("conv_wgrad.cu", "    __syncthreads();\n    const bool last", "    const bool last")],
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
    let (x, dy) = (rounded::<bf16>(&normal(1, pr.x_len())), rounded::<bf16>(&normal(2, pr.y_len())));
    let want = oracle::conv_wgrad(&pr, &x, &dy);
    let size = oracle::conv_wgrad(&pr, &x.iter().map(|v| v.abs()).collect::<Vec<_>>(), &dy.iter().map(|v| v.abs()).collect::<Vec<_>>());
    let job = |device: &Emulator| -> Checked {
        let job = Job { pass: Pass::Wgrad, problem: &pr, variant: Variant::M64N64, splits: 4, start: None, times: 1 };
        let got = job.run::<bf16>(device, &x, &dy)?;
        let right = close(&got, &want, |i| 6e-7 * size[i]);
        Ok((got, right))
    };
    let by_arrival: &[Edit] = &[("conv_wgrad.cu", "slabs + split * slab +", "slabs + (split + blockIdx.z) % splits * slab +")];
    all_caught(job, &[("sums_by_arrival", "conv_wgrad", by_arrival, Unrepeatable)]);
}

#[test]
fn linear() {
    let pr = LinearProblem { n: 70, c: 72, k: 40 };
    let (x, w, bias) = (integers(1, pr.n * pr.c), integers(2, pr.k * pr.c), integers(3, pr.k));
    let want = rounded::<bf16>(&oracle::linear(&pr, &x, &w, &bias));
    let job = |device: &Emulator| -> Checked {
        let (x, w, bias) = (up::<bf16>(device, &x), up::<bf16>(device, &w), up::<f32>(device, &bias));
        let mut y = output::<bf16>(device, pr.n * pr.k);
        gemm::fprop(device, &pr, gemm::Variant::Tiled, x.ptr(), w.ptr(), bias.ptr(), y.ptr_mut())?;
        let got = crate::device::down(&y);
        let right = equal(&got, &want);
        Ok((got, right))
    };
    all_caught(
        job,
        &[
            (
                "k_of_next_row",
                "gemm",
                &[("include/operands.cuh", "valid = row < limit && k < depth;", "valid = row < limit;")],
                Fault("a read of"),
            ),
            ("no_bias", "gemm", &[("gemm.cu", "if (bias) add_eight(eight, load_eight(bias + column));", "")], Wrong),
            ("bias_of_the_row", "gemm", &[("gemm.cu", "load_eight(bias + column)", "load_eight(bias + row / 8 % 5 * 8)")], Wrong),
        ],
    );
}

#[test]
fn elementwise_tail() {
    let x = normal(1, 2051);
    let job = |device: &Emulator| -> Checked {
        let from = up::<bf16>(device, &x);
        let mut to = output::<bf16>(device, x.len());
        elementwise::relu(device, x.len(), from.ptr(), to.ptr_mut())?;
        let got = crate::device::down(&to);
        let right = equal(&got, &rounded::<bf16>(&x).iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
        Ok((got, right))
    };
    let whole: &[Edit] = &[("elementwise.cu", "len - first < 8 ? static_cast<int>(len - first) : 8", "8")];
    all_caught(job, &[("tail_as_whole", "elementwise", whole, Fault("after an allocation"))]);
}

#[test]
fn batch_norm() {
    let case = norm::case::<bf16>(515, 72, true, true);
    let forward_and_back = |device: &Emulator| -> Checked {
        let got = norm::run::<bf16>(device, &case, false)?;
        let right = norm::verdict::<bf16>(&case, &got);
        Ok((got.flat(), right))
    };
    // Each library holds the kernels of one file only, so forward and backward have jobs of their own.
    let forward = |device: &Emulator| -> Checked { forward_only(device, &case) };
    forward_and_back(&emulator()).unwrap().1.unwrap();
    all_caught(
        forward,
        &[
            (
                "rows_beyond_last",
                "norm",
                &[("include/tile_sums.cuh", "end(min(first + tile_rows, rows))", "end(first + tile_rows)")],
                Fault("a read of"),
            ),
            (
                "tail_counted_whole",
                "norm",
                &[("norm.cu", "min(shape.tile_rows, shape.rows - tile * shape.tile_rows)", "shape.tile_rows")],
                Wrong,
            ),
            (
                "sums_read_early",
                "norm",
                &[("include/tile_sums.cuh", "    }\n    __syncthreads();\n    Eight total{};", "    }\n    Eight total{};")],
                Fault("shared memory race"),
            ),
            (
                "sums_overwritten_early",
                "norm",
                &[("include/tile_sums.cuh", "    __syncthreads();  // the last sums have been read\n", "")],
                Fault("shared memory race"),
            ),
            ("squares_about_zero", "norm", &[("norm.cu", "const float d = e.v[i] - mean.v[i];", "const float d = e.v[i];")], Wrong),
            ("means_not_compared", "norm", &[("norm.cu", "other.m2 + delta * delta * (count * other.count / all)", "other.m2")], Wrong),
            ("biased_running_variance", "norm", &[("norm.cu", "(shape.rows - 1.0)", "shape.rows")], Wrong),
            (
                "half_a_warp_summed",
                "norm",
                &[("include/tile_sums.cuh", "        mine.v[i] += __shfl_xor_sync(kAllLanes, mine.v[i], 16);\n", "")],
                Wrong,
            ),
            ("residual_forgotten", "norm", &[("norm.cu", "+ shift.v[i] + other.v[i];", "+ shift.v[i];")], Wrong),
        ],
    );
}

/// norm_train alone: its statistics and its output.
fn forward_only(device: &Emulator, case: &norm::Case) -> Checked {
    let got = norm::forward::<bf16>(device, case)?;
    let right = norm::forward_verdict::<bf16>(case, &got);
    Ok((got.flat(), right))
}

#[test]
fn batch_norm_backward() {
    let case = norm::case::<bf16>(515, 72, true, true);
    // The forward pass comes from the kernels without a bug.
    let saved = norm::run::<bf16>(&emulator(), &case, false).unwrap();
    let job = |device: &Emulator| -> Checked {
        let got = norm::backward_from::<bf16>(device, &case, &saved)?;
        let right = norm::verdict::<bf16>(&case, &got);
        Ok((got.flat(), right))
    };
    all_caught(
        job,
        &[
            ("mask_lets_zeros_pass", "norm_backward", &[("norm_backward.cu", "mask.v[i] > 0.f", "mask.v[i] >= 0.f")], Wrong),
            (
                "mean_gradient_kept",
                "norm_backward",
                &[("norm_backward.cu", "+ b.v[i] * (value.v[i] - mean.v[i]) + e.v[i];", "+ b.v[i] * (value.v[i] - mean.v[i]);")],
                Wrong,
            ),
            (
                "last_tile_left_out",
                "norm_backward",
                &[("norm_backward.cu", "tile < shape.tiles; tile += 32", "tile < shape.tiles - 1; tile += 32")],
                Wrong,
            ),
        ],
    );
}

#[test]
fn max_pool() {
    let pr = pool::problem(2, (8, 7), 16, 3, 2, 1); // an even extent: the last row is in fewer windows than its place suggests
    let (x, dy) = (integers(1, pr.x_len()), integers(2, pr.y_len()));
    let (want, position) = oracle::max_pool(&pr, &x);
    let want_dx = pool::scatter(&pr, &position, &dy);
    let job = |device: &Emulator| -> Checked {
        let (y, at, dx) = pool::run::<bf16>(device, &pr, &x, &dy, None)?;
        let right = equal(&y, &want)
            .and_then(|()| equal(&dx, &want_dx))
            .and_then(|()| if at == position { Ok(()) } else { Err("positions".into()) });
        Ok(([y, dx].concat(), right))
    };
    all_caught(
        job,
        &[
            ("last_of_equals", "pool", &[("pool.cu", "e.v[i] > best.v[i]", "e.v[i] >= best.v[i]")], Wrong),
            ("padding_is_zero", "pool", &[("pool.cu", "bool first = true;", "bool first = false;")], Wrong),
            (
                "windows_beyond_last",
                "pool",
                &[("pool.cu", "min((h + g.pad) / g.stride, g.p - 1)", "(h + g.pad) / g.stride")],
                Fault("a read of"),
            ),
        ],
    );
}

#[test]
fn cross_entropy() {
    let labels: Vec<u32> = (0..33).map(|i| i * 7 % 40).collect();
    let logits = integers(1, 33 * 40);
    let (sum, top1, top5, d) = oracle::cross_entropy(40, 0.1, &logits, &labels);
    let job = |device: &Emulator| -> Checked {
        let got = loss::run::<f32>(device, 40, 0.1, 1.0, &logits, &labels)?;
        let right = close(&got.sums, &[sum, top1 as f64, top5 as f64], |i| if i == 0 { 1e-6 * sum } else { 0.0 })
            .and_then(|()| close(&got.dlogits, &d, |i| 4e-7 * (d[i].abs() + 1.0 / 33.0)));
        Ok(([got.losses, got.sums, got.dlogits].concat(), right))
    };
    all_caught(
        job,
        &[
            (
                "half_a_butterfly",
                "loss",
                &[(
                    "include/reduce.cuh",
                    "for (int bits = 16; bits > 0; bits >>= 1) value +=",
                    "for (int bits = 8; bits > 0; bits >>= 1) value +=",
                )],
                Wrong,
            ),
            ("label_ahead_of_itself", "loss", &[("loss.cu", "k < label);", "k <= label);")], Wrong),
            ("sums_read_early", "loss", &[("loss.cu", "    __syncthreads();\n", "")], Fault("shared memory race")),
            ("smoothing_without_share", "loss", &[("loss.cu", "(1.f - smoothing) + even : even", "(1.f - smoothing) : even")], Wrong),
        ],
    );
}

#[test]
fn augmentation() {
    let (bytes, views) = augment::views();
    let want = augment::reference(&bytes, &views, 16);
    let job = |device: &Emulator| -> Checked {
        let got = augment::run::<f32>(device, &bytes, &views, 16, [0.0; 3], [1.0; 3])?;
        let right = close(&got, &want, |_| augment::BOUND);
        Ok((got, right))
    };
    all_caught(
        job,
        &[
            ("no_antialias", "augment", &[("augment.cu", "support = scale > 1.0 ? scale : 1.0", "support = 1.0")], Wrong),
            ("never_mirrored", "augment", &[("augment.cu", "p.flip ? size - 1 - x : x", "x")], Wrong),
            ("rows_of_the_crop", "augment", &[("augment.cu", "row) * p.width + column", "row) * p.crop_width + column")], Wrong),
            (
                "taps_beyond_crop",
                "augment",
                &[("augment.cu", "max(min(static_cast<int>(end), from), first + 1)", "static_cast<int>(end)")],
                Fault("a read of"),
            ),
        ],
    );
}
