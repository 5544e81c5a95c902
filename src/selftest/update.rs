//! The optimizers' kernels and what surrounds them: three updates, one of them left out, against the rules in f64 stored in f32.
//!
//! Tensors end off multiples of four and over more than one piece of a norm. Shown: new parameters, state, their copy in bf16, the moving
//! average, what was measured, the counters. Sums of squares have another order here than in the kernels, so results may differ by the
//! rounding of f32 where they lie on its edge: 2 ulp are allowed.

use super::case::{Case, Check, Expected, Output};
use super::numbers::{normal, rounded};
use super::on_driver::{OnDriver, down};
use super::tolerance::ulp;
use crate::backend::{Counters, Hyper, ParamGroup, ParamGroups, UpdateRule, UpdateTable};
use crate::cuda::launch::Driver;
use crate::cuda::update::{Arenas, Control, Groups};
use crate::error::Result;
use crate::optim::{AdamW, Lamb, Lars, Lion, Sgd};
use half::bf16;
use std::sync::Arc;

/// Ends of the tensors; the first two decay.
const ENDS: [usize; 4] = [5, 16_403, 16_404, 16_475];
const LEN: usize = ENDS[3];
const CLIP: f64 = 30.0;
const UPDATES: usize = 3;
/// The update whose gradient is not finite.
const BROKEN: usize = 1;

pub fn edges<D: Driver>() -> Vec<Case<OnDriver<D>>> {
    vec![
        case("sgd", Sgd { nesterov: true, dampening: 0.0 }, 0.1),
        case("adamw", AdamW { beta2: 0.99, eps: 1e-8 }, 1e-2),
        case("lion", Lion { beta2: 0.98 }, 1e-3),
        case("lars", Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: false }, 0.5),
        case("lamb", Lamb { beta2: 0.99, eps: 1e-6 }, 1e-2),
    ]
}

fn groups() -> ParamGroups {
    ParamGroups(ENDS.iter().enumerate().map(|(i, &end)| ParamGroup { end, weight_decay: if i < 2 { 0.01 } else { 0.0 } }).collect())
}

fn table(lr: f64) -> UpdateTable {
    UpdateTable { lr: vec![lr, lr, 0.5 * lr], momentum: vec![0.9, 0.85, 0.8], average_decay: vec![0.1, 0.2, 0.3] }
}

fn gradient(update: usize) -> Vec<f64> {
    let mut g = rounded::<f32>(&normal(10 + update as u64, LEN));
    if update == BROKEN {
        g[LEN - 1] = f64::INFINITY;
    }
    g
}

/// Everything an update leaves.
struct Numbers {
    params: Vec<f64>,
    state: Vec<f64>,
    average: Vec<f64>,
}

fn begin(state: usize) -> Numbers {
    let params = rounded::<f32>(&normal(1, LEN));
    Numbers { average: params.clone(), state: vec![0.0; state * LEN], params }
}

fn norm(v: impl Iterator<Item = f64>) -> f64 {
    v.map(|v| v * v).sum::<f64>().sqrt()
}

/// One update by the rule, tensor by tensor.
fn apply<R: UpdateRule>(rule: &R, table: &UpdateTable, update: usize, applied: u64, n: &mut Numbers) {
    let g = gradient(update);
    let scale = (CLIP / (norm(g.iter().copied()) + 1e-6)).min(1.0);
    let own = |n: &Numbers, i: usize| (0..R::STATE).map(|s| n.state[s * LEN + i]).collect::<Vec<_>>();
    let mut from = 0;
    for group in groups().0 {
        let hyper = Hyper { lr: table.lr[update], momentum: table.momentum[update], weight_decay: group.weight_decay, applied };
        let step = rule.begin(&hyper);
        let trust = if R::LAYERWISE {
            let weights = norm((from..group.end).map(|i| n.params[i]));
            let measured = norm((from..group.end).map(|i| rule.measure(&step, n.params[i], scale * g[i], &own(n, i))));
            rule.trust(&step, weights, measured)
        } else {
            1.0
        };
        for (i, g) in g.iter().enumerate().take(group.end).skip(from) {
            let mut state = own(n, i);
            n.params[i] = f64::from(rule.update(&step, trust, n.params[i], scale * g, &mut state) as f32);
            state.iter().enumerate().for_each(|(s, v)| n.state[s * LEN + i] = f64::from(*v as f32));
        }
        from = group.end;
    }
    let keep = table.average_decay[update];
    n.average.iter_mut().zip(&n.params).for_each(|(a, p)| *a = f64::from((keep * *a + (1.0 - keep) * p) as f32));
}

fn near(name: &'static str, want: Vec<f64>) -> Expected {
    let bounds: Vec<f64> = want.iter().map(|v| 2.0 * ulp::<f32>(*v)).collect();
    Expected::within(name, want, move |i| bounds[i])
}

fn case<R: UpdateRule, D: Driver>(op: &'static str, rule: R, lr: f64) -> Case<OnDriver<D>> {
    Case::new(("update", op), format!("{LEN} parameters in {} tensors", ENDS.len()), "f32", move |_: &OnDriver<D>| {
        let table = table(lr);
        let mut n = begin(R::STATE);
        for (applied, update) in (0..UPDATES).filter(|u| *u != BROKEN).enumerate() {
            apply(&rule, &table, update, applied as u64, &mut n);
        }
        let shadow = n.params.iter().map(|p| bf16::from_f32(*p as f32).to_f64()).collect::<Vec<_>>();
        let slack: Vec<f64> = shadow.iter().map(|v| ulp::<bf16>(*v)).collect(); // where f32 lies on the edge of two bf16
        let last = norm(gradient(UPDATES - 1).into_iter());
        let expected = Arc::new(vec![
            near("params", n.params),
            near("state", n.state),
            Expected::within("shadow", shadow, move |i| slack[i]),
            near("average", n.average),
            Expected::exact("restored", vec![1.0]),
            Expected::within("grad_norm", vec![last], move |_| 1e-12 * last),
            // steps, skipped, finite, overflowed, mean loss of the last update
            Expected::exact("counters", vec![UPDATES as f64, 1.0, 1.0, 0.0, 2.5]),
        ]);
        vec![Check::new("", &expected, move |device: &OnDriver<D>| run(device, &rule, lr))]
    })
}

fn run<R: UpdateRule, D: Driver>(device: &OnDriver<D>, rule: &R, lr: f64) -> Result<Vec<Output>> {
    let n = begin(R::STATE);
    let driver = device.driver();
    let (mut params, mut state, mut average) = (device.up::<f32>(&n.params)?, device.up::<f32>(&n.state)?, device.up::<f32>(&n.average)?);
    let mut shadow = device.output::<bf16>(LEN)?;
    let (before, mut after) = (device.up::<f32>(&[1.0])?, device.up::<f32>(&[2.0])?);
    let losses = device.raw(&[10.0f64, 0.0, 0.0])?;
    let mut control = Control::new(driver, &table(lr), Counters::default(), LEN)?;
    let mut groups = Groups::new(driver, &groups())?;
    for update in 0..UPDATES {
        let grads = device.up::<f32>(&gradient(update))?;
        control.include_loss(losses.ptr(), 4)?;
        control.measure(Some(CLIP), grads.ptr(), LEN)?;
        let arenas = Arenas { params: params.ptr_mut(), grads: grads.ptr(), state: state.ptr_mut(), shadow: shadow.ptr_mut() };
        control.update(rule, &mut groups, &arenas)?;
        control.average(params.ptr(), average.ptr_mut(), LEN)?;
        control.restore_if_skipped(before.ptr(), after.ptr_mut(), 1)?;
        control.advance()?;
    }
    device.check_guards()?;
    let end = control.measured()?;
    let flag = |set: bool| f64::from(u8::from(set));
    let counters = vec![end.counters.step as f64, end.counters.skipped as f64, flag(end.finite), flag(end.overflowed), end.mean_loss];
    Ok(vec![
        Output::new("params", down(&params)?),
        Output::new("state", down(&state)?),
        Output::new("shadow", down(&shadow)?),
        Output::new("average", down(&average)?),
        Output::new("restored", down(&after)?),
        Output::new("grad_norm", vec![end.grad_norm]),
        Output::new("counters", counters),
    ])
}
