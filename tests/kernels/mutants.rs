//! Planted bugs: each must be caught, in the way it is said to be. A test suite that a wrong kernel passes is worthless.
//!
//! A mutant runs the self-test's own cases under every schedule; one that catches it is enough, as the suite runs them all. The kernels
//! without a bug pass the same cases, which `all_caught` looks at first, so it is the bug that is caught. Those of convolution are in mutants_conv.rs.

use crate::arrays;
use crate::common::integers;
use crate::common::tolerance::close;
use crate::device::{Device, arrivals, bits, emulator, on, schedules};
use crate::loss_mixed;
use crate::planted::{Edit, mutant};
use half::bf16;
use imagenet_engine::cuda::emulated::{Emulator, Schedule};
use imagenet_engine::error::Result;
use imagenet_engine::selftest::norm::Fused;
use imagenet_engine::selftest::oracle::Pass;
use imagenet_engine::selftest::{Case, Depth, augment, elementwise, gemm, loss, norm, pool};
use imagenet_engine::shape::LinearProblem;

/// How a bug shows.
#[derive(Debug)]
pub enum Shows {
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

/// What depends on who comes last shows for certain only where that is decided.
fn under(shows: &Shows) -> Vec<Schedule> {
    if matches!(shows, Unrepeatable) { arrivals() } else { schedules() }
}

/// Runs the checks of `cases` whose detail begins with `detail` on mutants. `(id, file, edits, how it shows)`.
pub fn all_caught(cases: impl IntoIterator<Item = Case<Device>>, detail: &str, mutants: &[(&str, &str, &[Edit], Shows)]) {
    let good = on(emulator());
    let checks: Vec<_> = cases.into_iter().flat_map(|c| c.prepare(&good)).filter(|c| c.detail.starts_with(detail)).collect();
    assert!(!checks.is_empty(), "no check begins with '{detail}'");
    for check in &checks {
        let outputs = check.compute(&good).expect("the check must run without a bug");
        assert_eq!(check.verdict(&outputs).wrong, None, "the check must pass without a bug");
    }
    for (id, file, edits, shows) in mutants {
        let device = mutant(id, file, edits);
        let (mut faults, mut wrong, mut differs, mut conflicts) = (Vec::new(), Vec::new(), false, 0);
        for check in &checks {
            let mut results = Vec::new();
            for schedule in under(shows) {
                let device = device.with(schedule);
                match check.compute(&on(device.clone())) {
                    Err(e) => faults.push(e.to_string()),
                    Ok(outputs) => {
                        wrong.extend(check.verdict(&outputs).wrong);
                        results.push(bits(&outputs));
                    }
                }
                conflicts += device.take_counters().shared_conflicts;
            }
            differs |= results.iter().any(|r| *r != results[0]);
        }
        let caught = match shows {
            Fault(said) => faults.iter().any(|f| f.contains(said)),
            Wrong => !wrong.is_empty(),
            Conflicts => conflicts > 0 && faults.is_empty() && wrong.is_empty(),
            Unrepeatable => faults.is_empty() && wrong.is_empty() && differs,
        };
        println!("{id}: {} faults, {} wrong, {conflicts} conflicts", faults.len(), wrong.len());
        assert!(caught, "{id} should show as {shows:?}; faults {faults:?}, wrong {wrong:?}, {conflicts} conflicts");
    }
}

/// A result, and whether it is right.
pub type Checked = Result<(Vec<f64>, std::result::Result<(), String>)>;

/// Runs the mutants of one job that is no case of the self-test. `(id, file, edits, how it shows)`.
pub fn all_caught_by(job: impl Fn(&Emulator) -> Checked, mutants: &[(&str, &str, &[Edit], Shows)]) {
    let (result, right) = job(&emulator()).expect("the job must run without a bug");
    right.expect("the job must pass without a bug");
    drop(result);
    for (id, file, edits, shows) in mutants {
        let device = mutant(id, file, edits);
        let (mut faults, mut wrong, mut results, mut conflicts) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for schedule in under(shows) {
            let device = device.with(schedule);
            match job(&device) {
                Err(e) => faults.push(e.to_string()),
                Ok((result, right)) => {
                    wrong.extend(right.err());
                    results.push(arrays::bits(&result));
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

#[test]
fn linear() {
    all_caught(
        gemm::case::<bf16, Device>(Pass::Fprop, LinearProblem { n: 70, c: 72, k: 40 }, Depth::Every),
        "tiled, integers",
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
    let whole: &[Edit] = &[("elementwise.cu", "len - first < 8 ? static_cast<int>(len - first) : 8", "8")];
    all_caught(elementwise::cases::<bf16, Device>(2051), "", &[("tail_as_whole", "elementwise", whole, Fault("after an allocation"))]);
}

/// Each library holds the kernels of one file only: forward and backward are cases of their own.
const FUSED: Fused = Fused { residual: true, relu: true };

#[test]
fn batch_norm() {
    all_caught(
        norm::train::<bf16, Device>(515, 72, FUSED),
        "",
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

#[test]
fn batch_norm_backward() {
    all_caught(
        norm::backward::<bf16, Device>(515, 72, FUSED),
        "",
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
    all_caught(
        pool::max::<bf16, Device>(pool::EVEN_AND_ODD),
        "",
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
    all_caught(
        loss::case::<f32, Device>(33, 40),
        "",
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
            ("smoothing_without_share", "loss", &[("loss.cu", "* named + even;", "* named + (named > 0.f ? 0.f : even);")], Wrong),
        ],
    );
}

#[test]
fn mixed_cross_entropy() {
    let labels: Vec<u32> = (0..33).map(|i| i * 7 % 40).collect();
    let second: Vec<u32> = labels.iter().rev().copied().collect();
    let logits = integers(1, 33 * 40);
    let (losses, d) = loss_mixed::mixed_reference(40, 0.1, &logits, &labels, &second, 0.75);
    let job = |device: &Emulator| -> Checked {
        let got = loss_mixed::run_mixed::<f32>(device, 40, 0.1, 1.0, &logits, &labels, Some((&second, 0.75)))?;
        let right =
            close(&got.losses, &losses, |i| 1e-6 * losses[i]).and_then(|()| close(&got.dlogits, &d, |i| 4e-7 * (d[i].abs() + 1.0 / 33.0)));
        Ok(([got.losses, got.dlogits].concat(), right))
    };
    all_caught_by(
        job,
        &[
            (
                "shares_swapped_in_the_gradient",
                "loss",
                &[("loss.cu", "k == label ? first_share : 0.f) + (k == second", "k == second ? first_share : 0.f) + (k == label")],
                Wrong,
            ),
            ("second_left_out_of_the_loss", "loss", &[("loss.cu", " + second_share * (top - second_truth)", "")], Wrong),
            ("every_row_has_the_first_second", "loss", &[("loss.cu", "second_labels[row]", "second_labels[0]")], Wrong),
        ],
    );
}

#[test]
fn augmentation() {
    all_caught(
        augment::case::<f32, Device>(16).into_iter().chain(augment::windows()).chain(augment::reduced()),
        "",
        &[
            ("no_antialias", "augment", &[("augment.cu", "support = scale > 1.0 ? scale : f64(1.0)", "support = f64(1.0)")], Wrong),
            ("never_mirrored", "augment", &[("augment.cu", "p.flip ? size - 1 - x : x", "x")], Wrong),
            ("rows_of_the_crop", "augment", &[("augment.cu", "(row * p.width + column)", "(row * p.crop_width + column)")], Wrong),
            (
                "taps_beyond_crop",
                "augment",
                &[("augment.cu", "max(min(static_cast<int>(end.v), from), first + 1)", "static_cast<int>(end.v)")],
                Fault("a read of"),
            ),
            (
                "weights_cut",
                "augment",
                &[("augment.cu", "static_cast<double>(1 << kBits) + 0.5)", "static_cast<double>(1 << kBits))")],
                Wrong,
            ),
            (
                "cut_between_the_directions",
                "augment",
                &[("augment.cu", "int filtered[3] = {kHalf, kHalf, kHalf}", "int filtered[3] = {}")],
                Wrong,
            ),
            ("cut_at_the_end", "augment", &[("augment.cu", "int sum[3] = {kHalf, kHalf, kHalf}", "int sum[3] = {}")], Wrong),
            (
                "rows_always_first",
                "augment",
                &[("augment.cu", "columns_first = p.to_height < p.crop_height && ", "columns_first = false && ")],
                Wrong,
            ),
            ("columns_first_by_any_shrinking", "augment", &[("augment.cu", "> 2 * (p.crop_width", "> (p.crop_width")], Wrong),
            (
                "window_at_the_corner",
                "augment",
                &[("augment.cu", "p.top + at", "at"), ("augment.cu", "return p.left + ", "return ")],
                Wrong,
            ),
            ("weights_not_waited_for", "augment", &[("augment.cu", "    __syncthreads();\n", "")], Fault("race")),
            (
                "all_weights_are_kept",
                "augment",
                &[("augment.cu", "return count > kKept ? taps.weight(i) : table.get", "return table.get")],
                Fault("shared"),
            ),
        ],
    );
}
