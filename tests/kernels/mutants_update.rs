//! Planted bugs in the optimizers' kernels and in what surrounds them; see mutants.rs.
//!
//! Each library holds the kernels of one file, so the control block is laid as the others would leave it.

use crate::arrays::up;
use crate::common::normal;
use crate::common::tolerance::close;
use crate::mutants::Shows::{self, Fault, Unrepeatable, Wrong};
use crate::mutants::{Checked, all_caught_by};
use crate::planted::Edit;
use crate::update::{Numbers, Run, SGD, block, gradients, len, on_cpu, parameters, same, table, tensors};
use half::bf16;
use imagenet_engine::backend::{Counters, ParamGroup, ParamGroups, UpdateRule};
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::optim::{AdamW, Lamb, Lars, Lion, Sgd};

type Mutant = (&'static str, &'static str, &'static [Edit], Shows);

fn flat(numbers: &Numbers) -> Vec<f64> {
    numbers.bits().into_iter().map(f64::from).collect()
}

/// Two steps of `rule` alone, of which `first` has gone through before, against the CPU's; the clip scales the gradients.
fn steps<R: UpdateRule>(rule: R, first: Counters) -> impl Fn(&Emulator) -> Checked {
    let (groups, table) = (tensors(6), table(0.1));
    let start = Numbers::new::<R>(parameters(&groups));
    let (mut want, mut scales) = (start.clone(), Vec::new());
    for i in 0..2 {
        let (g, counters) = (gradients(&groups, i), Counters { step: first.step + i, ..first });
        let (mut next, norm) = on_cpu::<f32, R>(&rule, &groups, &table, Some(10.0), counters, &want, &g);
        next.average.clone_from(&want.average);
        want = next;
        scales.push(10.0 / (norm + 1e-6));
    }
    move |device| {
        let mut run = Run::new(device, &groups, &table, first, &start);
        for i in 0..2 {
            run.control.block.write(&[block(Counters { step: first.step + i, ..first }, scales[i as usize], true)])?;
            run.step(&rule, &gradients(&groups, i))?;
        }
        let (got, shadow, outcome) = (run.numbers(), run.shadow.to_host()?, run.control.measured()?);
        let shadowed = shadow.iter().zip(&want.params).all(|(s, p)| s.to_bits() == bf16::from_f32(*p).to_bits());
        let right = same(&got, &want)
            .and_then(|()| if shadowed { Ok(()) } else { Err("the shadow".into()) })
            .and_then(|()| if outcome.overflowed { Err("overflow".into()) } else { Ok(()) });
        Ok((flat(&got), right))
    }
}

/// Some updates skipped before: what counts them all shows.
const SOME_SKIPPED: Counters = Counters { step: 5, skipped: 2 };

#[test]
fn the_loop_of_every_rule() {
    let all_skipped = Counters { step: 3, skipped: 3 };
    let mutants: &[Mutant] = &[
        (
            "border_inside_a_four",
            "sgd",
            &[("include/update.cuh", "end - first < static_cast<uint64_t>(count) ? static_cast<int>(end - first) : count", "count")],
            Wrong,
        ),
        ("decay_of_the_tensor_before", "sgd", &[("include/update.cuh", "now.hyper(group)", "now.hyper(max(group - 1, 0))")], Wrong),
        ("border_one_late", "sgd", &[("include/update.cuh", "groups[middle].end > at", "groups[middle].end >= at")], Wrong),
        ("tail_left_out", "sgd", &[("include/fours.cuh", "&& first < len;", "&& first + 3 < len;")], Wrong),
        (
            "tail_as_whole",
            "sgd",
            &[("include/fours.cuh", "len - first < 4 ? static_cast<int>(len - first) : 4", "4")],
            Fault("after an allocation"),
        ),
        ("skipped_ones_count", "sgd", &[("include/update.cuh", "control->step - control->skipped}", "control->step}")], Wrong),
        ("not_clipped", "sgd", &[("include/update.cuh", "scale * g.v[i], own", "f64(g.v[i]), own")], Wrong),
        ("shadow_of_the_gradient", "sgd", &[("include/update.cuh", "arenas.shadow + first, p,", "arenas.shadow + first, g,")], Wrong),
        ("momentum_for_rate", "sgd", &[("include/update.cuh", "{now.lr, now.momentum,", "{now.momentum, now.lr,")], Wrong),
        ("dampened_at_first", "sgd", &[("sgd.cu", "hyper.applied == 0 ? f64(1.0) : 1.0 - dampening", "1.0 - dampening")], Wrong),
        ("without_nesterov", "sgd", &[("sgd.cu", "nesterov ? g + step.momentum * b : b", "b")], Wrong),
    ];
    all_caught_by(steps(SGD, all_skipped), mutants);
    let past_the_end = Counters { step: 41, skipped: 0 };
    let row: &[Edit] = &[("include/update.cuh", "min(control->step, num_rates - 1)", "control->step")];
    all_caught_by(steps(SGD, past_the_end), &[("row_past_the_end", "sgd", row, Fault("a read of"))]);
}

/// A gradient that is not finite, and one that overflows.
#[test]
fn what_is_not_finite() {
    let groups = tensors(6);
    let before = Numbers::new::<Sgd>(parameters(&groups));
    let skipped = |device: &Emulator| -> Checked {
        let mut run = Run::new(device, &groups, &table(0.1), Counters::default(), &before);
        run.control.block.write(&[block(Counters::default(), 1.0, false)])?;
        run.step(&SGD, &gradients(&groups, 0))?;
        let got = run.numbers();
        Ok((flat(&got), same(&got, &before)))
    };
    all_caught_by(skipped, &[("applied_all_the_same", "sgd", &[("include/update.cuh", "if (!now.control->finite) return;", "")], Wrong)]);
    let overflows = |place: usize, value: f32| {
        let groups = groups.clone();
        move |device: &Emulator| -> Checked {
            let mut numbers = Numbers::new::<AdamW>(parameters(&groups));
            numbers.params[place] = value;
            let mut run = Run::new(device, &groups, &table(0.1), Counters::default(), &numbers);
            let mut g = gradients(&groups, 0);
            g[place] = if value > 1.0 { 1.0 } else { 1e25 };
            run.step(&AdamW { beta2: 0.9, eps: 1e-8 }, &g)?;
            let told = run.control.measured()?.overflowed;
            Ok((vec![], if told { Ok(()) } else { Err("the overflow was not told".into()) }))
        }
    };
    // AdamW's steps are about the rate: the parameter is infinite from the start.
    let parameter: &[Edit] = &[("include/update.cuh", "sound &= is_finite(p.v[i]);", "")];
    let state: &[Edit] = &[("include/update.cuh", "sound &= is_finite(state[s].v[i]);", "")];
    all_caught_by(overflows(20_004, f32::INFINITY), &[("parameters_unlooked_at", "adamw", parameter, Wrong)]);
    all_caught_by(overflows(20_004, 1.0), &[("state_unlooked_at", "adamw", state, Wrong)]);
}

#[test]
fn adamw() {
    let mutants: &[Mutant] = &[
        (
            "betas_swapped",
            "adamw",
            &[("adamw.cu", "beta2 * state[1] + (1.0 - beta2)", "step.beta1 * state[1] + (1.0 - step.beta1)")],
            Wrong,
        ),
        ("corrected_by_step", "adamw", &[("include/update.cuh", "control->step - control->skipped}", "control->step}")], Wrong),
        ("counted_from_zero", "adamw", &[("adamw.cu", "hyper.applied + 1", "hyper.applied")], Wrong),
        ("eps_inside_the_root", "adamw", &[("adamw.cu", "square_root(v) / step.root + eps", "square_root(v + eps) / step.root")], Wrong),
        (
            "planes_one_upon_the_other",
            "adamw",
            &[("include/update.cuh", "load_four(arenas.state + s * now.shape.len + first", "load_four(arenas.state + first")],
            Wrong,
        ),
    ];
    all_caught_by(steps(AdamW { beta2: 0.99, eps: 1e-8 }, SOME_SKIPPED), mutants);
}

#[test]
fn lion() {
    let mutants: &[Mutant] = &[
        (
            "buffer_by_beta1",
            "lion",
            &[("lion.cu", "beta2 * state[0] + (1.0 - beta2) * g", "step.beta1 * state[0] + (1.0 - step.beta1) * g")],
            Wrong,
        ),
        ("zero_has_a_sign", "lion", &[("lion.cu", "direction < 0.0 ? -1.0 : 0.0", "-1.0")], Wrong),
        ("decay_coupled", "lion", &[("lion.cu", "1.0 - hyper.lr * hyper.weight_decay", "1.0 - hyper.weight_decay")], Wrong),
    ];
    all_caught_by(steps(Lion { beta2: 0.99 }, SOME_SKIPPED), mutants);
}

#[test]
fn lars() {
    let mutants: &[Mutant] = &[
        ("trusted_without_decay", "lars", &[("lars.cu", "step.weight_decay == 0.0 || weight_norm", "weight_norm")], Wrong),
        ("zero_norms_scale", "lars", &[("lars.cu", " || weight_norm == 0.0 || grad_norm == 0.0", "")], Wrong),
        ("first_tensors_trust", "lars", &[("include/layerwise.cuh", "trusts[piece.group] =", "trusts[0] =")], Wrong),
        ("norms_in_one_place", "lars", &[("include/layerwise.cuh", "mine[group.pieces + at] =", "mine[at] =")], Wrong),
        ("norm_of_the_whole_gradient", "lars", &[("include/layerwise.cuh", "scale * arenas.grads[at]", "f64(arenas.grads[at])")], Wrong),
        ("stale_ticket", "lars", &[("include/ticket.cuh", "if (last) *ticket = 0;", "")], Wrong),
        ("one_ticket_for_all", "lars", &[("include/layerwise.cuh", "tickets + piece.group,", "tickets,")], Wrong),
        ("piece_beyond_its_tensor", "lars", &[("include/square_sums.cuh", "if (i >= count) continue;", "")], Fault("a read of")),
        ("trust_of_another_tensor", "lars", &[("include/update.cuh", "trust = trusts[group]", "trust = trusts[0]")], Wrong),
    ];
    all_caught_by(steps(Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: true }, SOME_SKIPPED), mutants);
}

#[test]
fn lamb() {
    let mutants: &[Mutant] = &[
        ("measured_without_decay", "lamb", &[("lamb.cu", "+ eps) + step.weight_decay * p;", "+ eps);")], Wrong),
        ("norms_swapped", "lamb", &[("lamb.cu", "weight_norm / direction_norm", "direction_norm / weight_norm")], Wrong),
        ("not_corrected", "lamb", &[("lamb.cu", "m / step.correction /", "m /")], Wrong),
        ("measures_the_gradient", "lamb", &[("lamb.cu", "return direction(step, p, g, state, m, v);", "return g;")], Wrong),
        (
            "state_of_the_first_piece",
            "lamb",
            &[("include/layerwise.cuh", "s * now.shape.len + at]", "s * now.shape.len + at - piece.begin]")],
            Wrong,
        ),
    ];
    all_caught_by(steps(Lamb { beta2: 0.999, eps: 1e-6 }, SOME_SKIPPED), mutants);
}

/// Seven pieces, measured twice; `bad` is a gradient put at the end of the first.
fn measured(bad: Option<f32>, by_bits: bool) -> impl Fn(&Emulator) -> Checked {
    let count = 100_003;
    let groups = ParamGroups(vec![ParamGroup { end: count, weight_decay: 0.0 }]);
    let numbers = Numbers::new::<Sgd>(vec![0.0; count]);
    let of = |update: u64| -> Vec<f32> { normal(update, count).iter().map(|g| (g * g * g) as f32).collect() };
    let (table, both) = (table(0.1), [of(1), of(2)]);
    let norms = [0, 1].map(|i| on_cpu::<f32, _>(&SGD, &groups, &table, None, Counters::default(), &numbers, &both[i]).1);
    move |device| {
        let mut run = Run::new(device, &groups, &table, Counters::default(), &numbers);
        let (mut got, mut right) = (Vec::new(), Ok(()));
        for (g, norm) in both.iter().zip(norms) {
            let mut g = g.clone();
            if let Some(bad) = bad {
                g[16_383] = bad;
            }
            run.measure(Some(1.0), &g)?;
            let (now, outcome) = (run.control.block.to_host()?[0], run.control.measured()?);
            got.extend([now.grad_norm, now.scale]);
            let close_enough = || {
                let bound = if by_bits { 0.0 } else { 1e-12 };
                close(&[now.grad_norm, now.scale], &[norm, 1.0 / (norm + 1e-6)], |i| bound * [norm, 1.0 / norm][i])
            };
            let verdict = match (bad, outcome.finite) {
                (None, true) => close_enough(),
                (Some(_), false) => Ok(()),
                _ => Err(format!("finite: {}", outcome.finite)),
            };
            right = right.and(verdict);
        }
        Ok((got, right))
    }
}

#[test]
fn the_norm() {
    let early = |after: &'static str| -> &'static [Edit] {
        match after {
            "lanes" => &[("include/square_sums.cuh", "    __syncthreads();  // lanes before rows\n", "")],
            "rows" => &[("include/square_sums.cuh", "    __syncthreads();  // rows before their total\n", "")],
            _ => &[("include/square_sums.cuh", "        __syncthreads();  // all is staged\n", "")],
        }
    };
    let mutants: &[Mutant] = &[
        ("rows_read_early", "grad", early("lanes"), Fault("shared memory race")),
        ("total_read_early", "grad", early("rows"), Fault("shared memory race")),
        ("slabs_read_early", "grad", early("staged"), Fault("shared memory race")),
        ("stale_ticket", "grad", &[("include/ticket.cuh", "if (last) *ticket = 0;", "")], Wrong),
        ("ticket_one_early", "grad", &[("include/ticket.cuh", "(parts) - 1", "(parts) - 2")], Wrong),
        (
            "tail_as_whole",
            "grad",
            &[("grad.cu", "len - first < kPiece ? static_cast<int>(len - first) : kPiece", "kPiece")],
            Fault("a read of"),
        ),
        ("clip_without_its_term", "grad", &[("grad.cu", "/ (norm + 1e-6);", "/ norm;")], Wrong),
        ("lost_digits", "grad", &[("include/square_sums.cuh", "return total + lost;", "return total;")], Wrong),
        ("scale_left_alone", "grad", &[("grad.cu", "control->scale = ratio", "if (clip < 0) control->scale = ratio")], Wrong),
    ];
    all_caught_by(measured(None, true), mutants);
    let by_arrival: &[Edit] = &[("include/square_sums.cuh", "from + first + i", "from + first + (i + blockIdx.x) % here")];
    all_caught_by(measured(None, false), &[("sums_by_arrival", "grad", by_arrival, Unrepeatable)]);
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let unseen: &[Edit] = &[("grad.cu", "is_finite(norm) && control->loss_finite", "control->loss_finite")];
        all_caught_by(measured(Some(bad), true), &[("never_looked", "grad", unseen, Wrong)]);
    }
}

#[test]
fn the_loss_and_the_update() {
    let groups = tensors(4);
    let numbers = Numbers::new::<Sgd>(parameters(&groups));
    let job = |device: &Emulator| -> Checked {
        let mut run = Run::new(device, &groups, &table(0.1), Counters::default(), &numbers);
        for loss in [f64::INFINITY, 1.0] {
            run.control.include_loss(imagenet_engine::cuda::memory::Array::from_host(device, &[loss])?.ptr(), 1)?;
        }
        run.measure(None, &gradients(&groups, 0))?;
        Ok((vec![], if run.control.measured()?.finite { Err("finite".into()) } else { Ok(()) }))
    };
    let mutants: &[Mutant] = &[
        ("loss_ignored", "grad", &[("grad.cu", "is_finite(norm) && control->loss_finite", "is_finite(norm)")], Wrong),
        (
            "last_loss_decides",
            "grad",
            &[("grad.cu", "!is_finite(f64(sums[0]))) control->loss_finite = 0", "true) control->loss_finite = is_finite(f64(sums[0]))")],
            Wrong,
        ),
    ];
    all_caught_by(job, mutants);
}

/// An applied update and a skipped one: average, running statistics, counters.
#[test]
fn what_follows_the_step() {
    let groups = tensors(6);
    let before = Numbers::new::<Sgd>(parameters(&groups));
    let new = gradients(&groups, 0);
    let job = |device: &Emulator| -> Checked {
        let mut run = Run::new(device, &groups, &table(0.1), Counters::default(), &before);
        let (count, values) = (len(&groups), up::<f32>(device, &new.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()));
        let (mut got, mut right) = (Vec::new(), Ok(()));
        for (step, finite) in [(2, true), (3, false)] {
            let mut now = block(Counters { step, skipped: 1 }, 1.0, finite);
            now.loss_finite = 0;
            run.control.block.write(&[now])?;
            let old = run.average.to_host()?;
            run.control.average(values.ptr(), run.average.ptr_mut(), count)?;
            run.params.write(&before.params)?;
            run.control.restore_if_skipped(values.ptr(), run.params.ptr_mut(), count)?;
            run.control.advance()?;
            let keep = table(0.1).average_decay[step as usize];
            let mix = |(a, v): (&f32, &f32)| (keep * f64::from(*a) + (1.0 - keep) * f64::from(*v)) as f32;
            let average = if finite { old.iter().zip(&new).map(mix).collect() } else { old };
            let want = Numbers { params: if finite { before.params.clone() } else { new.clone() }, state: before.state.clone(), average };
            right = right.and(same(&run.numbers(), &want));
            let (outcome, after) = (run.control.measured()?, run.control.block.to_host()?[0]);
            let counters = Counters { step: step + 1, skipped: 1 + u64::from(!finite) };
            if outcome.counters != counters || after.loss_finite != 1 {
                right = right.and(Err(format!("{after:?}")));
            }
            got.extend(flat(&run.numbers()));
        }
        Ok((got, right))
    };
    let mutants: &[Mutant] = &[
        ("shares_swapped", "average", &[("average.cu", "keep * a.v[i] + enter * v.v[i]", "enter * a.v[i] + keep * v.v[i]")], Wrong),
        (
            "in_f32",
            "average",
            &[(
                "average.cu",
                "static_cast<float>((keep * a.v[i] + enter * v.v[i]).v)",
                "static_cast<float>(keep.v) * a.v[i] + static_cast<float>(enter.v) * v.v[i]",
            )],
            Wrong,
        ),
        ("averages_skipped_updates", "average", &[("average.cu", "    if (!control->finite) return;\n", "")], Wrong),
        ("always_restores", "average", &[("average.cu", "    if (control->finite) return;\n", "")], Wrong),
        ("all_are_skipped", "average", &[("average.cu", "control->finite == 0;", "1;")], Wrong),
        ("loss_never_forgotten", "average", &[("average.cu", "control->loss_finite = 1;", "")], Wrong),
        ("tail_left_out", "average", &[("include/fours.cuh", "&& first < len;", "&& first + 3 < len;")], Wrong),
    ];
    all_caught_by(job, mutants);
}
