//! What surrounds a rule on the device: the gradients' norm, clipping, what is not finite, the moving average, counters, overflow; all
//! with the CPU backend's bits. The rules themselves are in update_rules.rs.

use crate::arrays::{output, same_under_all_schedules, up};
use crate::common::normal;
use crate::common::tolerance::close;
use crate::device::emulator;
use half::bf16;
use imagenet_engine::backend::{Counters, Memory, ParamGroup, ParamGroups, Update, UpdateRule, UpdateTable};
use imagenet_engine::cpu::{Cpu, Real};
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::launch::PtrMut;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::update::{Arenas, Control, Groups, UpdateControl};
use imagenet_engine::error::Result;
use imagenet_engine::optim::{AdamW, Sgd};

pub const SGD: Sgd = Sgd { nesterov: true, dampening: 0.25 };

/// Tensors whose ends fall on every place of a four, some of one number, one of none, two of several pieces; the last has `tail` numbers.
/// Every other one decays.
pub fn tensors(tail: usize) -> ParamGroups {
    let mut end = 0;
    let place = |(i, count): (usize, usize)| {
        end += count;
        ParamGroup { end, weight_decay: if i % 2 == 0 { 0.01 } else { 0.0 } }
    };
    ParamGroups([20_003, 1, 1, 1, 5, 2, 0, 64, 17_000, tail].into_iter().enumerate().map(place).collect())
}

/// Where fours are whole, and where they are not.
pub const TAILS: [usize; 2] = [3, 6];

pub fn len(groups: &ParamGroups) -> usize {
    groups.0.last().unwrap().end
}

/// 40 updates; later ones go by the last row.
pub fn table(peak: f64) -> UpdateTable {
    let lr = (0..40).map(|s| peak * f64::from(1 + s % 7) / 7.0).collect();
    let momentum = (0..40).map(|s| [0.85, 0.9, 0.95][s % 3]).collect();
    UpdateTable { lr, momentum, average_decay: (0..40).map(|s| f64::from(1 + s) / f64::from(10 + s)).collect() }
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// One tensor begins at zero.
pub fn parameters(groups: &ParamGroups) -> Vec<f32> {
    let mut p = narrow(&normal(1, len(groups)));
    p[20_006..20_011].fill(0.0);
    p
}

/// Of several sizes, some of them always zero, those of one tensor among them.
pub fn gradients(groups: &ParamGroups, update: u64) -> Vec<f32> {
    let size = 0.25 * 2f64.powi(update as i32 % 5 - 2);
    let mut g: Vec<f32> = normal(100 + update, len(groups)).iter().map(|g| (g * size) as f32).collect();
    g.iter_mut().step_by(11).for_each(|g| *g = 0.0);
    g[20_011..20_013].fill(0.0);
    g
}

/// Parameters, state, average.
#[derive(Clone, PartialEq)]
pub struct Numbers {
    pub params: Vec<f32>,
    pub state: Vec<f32>,
    pub average: Vec<f32>,
}

impl Numbers {
    pub fn new<R: UpdateRule>(params: Vec<f32>) -> Self {
        Self { state: vec![0.0; R::STATE * params.len()], average: params.clone(), params }
    }

    pub fn bits(&self) -> Vec<u32> {
        self.params.iter().chain(&self.state).chain(&self.average).map(|v| v.to_bits()).collect()
    }
}

/// Compares bit for bit and says where.
pub fn same(got: &Numbers, want: &Numbers) -> std::result::Result<(), String> {
    let wrong = |(what, got, want): (&str, &[f32], &[f32])| {
        let differ = got.iter().zip(want).position(|(a, b)| a.to_bits() != b.to_bits());
        differ.map(|i| format!("{what} {i} of {}: {:e} instead of {:e}", got.len(), got[i], want[i]))
    };
    let each =
        [("parameter", &got.params[..], &want.params[..]), ("state", &got.state, &want.state), ("average", &got.average, &want.average)];
    each.into_iter().find_map(wrong).map_or(Ok(()), Err)
}

/// One whole update by the CPU backend in `T`, rounded to f32; and the norm.
pub fn on_cpu<T: Real, R: UpdateRule>(
    rule: &R,
    groups: &ParamGroups,
    table: &UpdateTable,
    clip: Option<f64>,
    counters: Counters,
    before: &Numbers,
    grads: &[f32],
) -> (Numbers, f64) {
    let cpu = Cpu::<T>::new();
    let buffer = |v: &[f32]| cpu.upload(v).unwrap();
    let (mut params, grads, mut state, mut average) =
        (buffer(&before.params), buffer(grads), buffer(&before.state), buffer(&before.average));
    let (control, grads) = (&mut cpu.control(before.params.len(), table, counters).unwrap(), Cpu::<T>::all(&grads));
    cpu.measure(control, clip, grads).unwrap();
    cpu.update(rule, control, groups, Cpu::<T>::all_mut(&mut params), grads, &mut state).unwrap();
    cpu.average(control, Cpu::<T>::all(&params), Cpu::<T>::all_mut(&mut average)).unwrap();
    let host = |b| {
        let mut host = vec![0.0f32; Cpu::<T>::len(b)];
        cpu.read(Cpu::<T>::all(b), &mut host).unwrap();
        host
    };
    let norm = cpu.measured(control).unwrap().0.grad_norm;
    (Numbers { params: host(&params), state: host(&state), average: host(&average) }, norm)
}

/// Everything of a training run on the device.
pub struct Run {
    pub control: Control<Emulator>,
    pub groups: Groups<Emulator>,
    pub params: Array<f32, Emulator>,
    pub grads: Array<f32, Emulator>,
    pub state: Array<f32, Emulator>,
    pub average: Array<f32, Emulator>,
    pub shadow: Array<bf16, Emulator>,
}

impl Run {
    pub fn new(device: &Emulator, groups: &ParamGroups, table: &UpdateTable, counters: Counters, from: &Numbers) -> Self {
        let count = len(groups);
        let array = |v: &[f32]| Array::from_host(device, v).unwrap();
        Self {
            control: Control::new(device, table, counters, count).unwrap(),
            groups: Groups::new(device, groups).unwrap(),
            params: array(&from.params),
            grads: output(device, count),
            state: array(&from.state),
            average: array(&from.average),
            shadow: output(device, count),
        }
    }

    /// The rule alone, by whatever the control block says.
    pub fn step<R: UpdateRule>(&mut self, rule: &R, grads: &[f32]) -> Result<()> {
        let shadow = self.shadow.ptr_mut();
        self.step_with(rule, grads, shadow)
    }

    pub fn step_with<R: UpdateRule>(&mut self, rule: &R, grads: &[f32], shadow: PtrMut<bf16>) -> Result<()> {
        self.grads.write(grads)?;
        let (params, grads, state) = (self.params.ptr_mut(), self.grads.ptr(), self.state.ptr_mut());
        self.control.update(rule, &mut self.groups, &Arenas { params, grads, state, shadow })
    }

    pub fn measure(&mut self, clip: Option<f64>, grads: &[f32]) -> Result<()> {
        self.grads.write(grads)?;
        self.control.measure(clip, self.grads.ptr(), grads.len())
    }

    pub fn whole<R: UpdateRule>(&mut self, rule: &R, clip: Option<f64>, grads: &[f32]) -> Result<()> {
        self.measure(clip, grads)?;
        self.step(rule, grads)?;
        self.control.average(self.params.ptr(), self.average.ptr_mut(), self.params.len())?;
        self.control.advance()
    }

    pub fn numbers(&self) -> Numbers {
        Numbers { params: self.params.to_host().unwrap(), state: self.state.to_host().unwrap(), average: self.average.to_host().unwrap() }
    }
}

/// The block before an update, as `measure` leaves it.
pub fn block(counters: Counters, scale: f64, finite: bool) -> UpdateControl {
    let Counters { step, skipped } = counters;
    UpdateControl { step, skipped, grad_norm: 1.0, scale, finite: finite.into(), loss_finite: 1, ..UpdateControl::default() }
}

#[test]
fn the_norm_is_that_of_f64_and_of_the_cpu() {
    for count in [1, 2, 255, 257, 16_383, 16_384, 16_385, 100_003] {
        let g: Vec<f32> = normal(3, count).iter().map(|g| (g * 1e3) as f32).collect();
        let groups = ParamGroups(vec![ParamGroup { end: count, weight_decay: 0.0 }]);
        let numbers = Numbers::new::<Sgd>(vec![0.0; count]);
        let mut run = Run::new(&emulator(), &groups, &table(0.1), Counters::default(), &numbers);
        for clip in [None, Some(1.0), Some(1e9), Some(1.0)] {
            run.measure(clip, &g).unwrap();
            let got = run.control.measured().unwrap();
            let exact = g.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            close(&[got.grad_norm], &[exact], |_| 1e-12 * exact).unwrap();
            let cpu = on_cpu::<f32, _>(&SGD, &groups, &table(0.1), clip, Counters::default(), &numbers, &g).1;
            assert_eq!(got.grad_norm.to_bits(), cpu.to_bits(), "{count} gradients");
            assert!(got.finite && !got.overflowed);
            let scale = clip.map_or(1.0, |most| (most / (cpu + 1e-6)).min(1.0));
            assert_eq!(run.control.block.to_host().unwrap()[0].scale.to_bits(), scale.to_bits());
        }
    }
}

#[test]
fn same_bits_under_all_schedules_and_again() {
    let g = narrow(&normal(4, 200_001));
    same_under_all_schedules("grad_norm", |device| {
        let groups = ParamGroups(vec![ParamGroup { end: g.len(), weight_decay: 0.0 }]);
        let mut run = Run::new(device, &groups, &table(0.1), Counters::default(), &Numbers::new::<Sgd>(vec![0.0; g.len()]));
        let mut norm = || {
            run.measure(Some(1.0), &g).unwrap();
            run.control.measured().unwrap().grad_norm
        };
        let (first, second) = (norm(), norm());
        assert_eq!(first.to_bits(), second.to_bits(), "the second launch finds the ticket otherwise than the first");
        vec![first]
    });
}

#[test]
fn what_is_not_finite_changes_nothing_but_the_counters() {
    let groups = tensors(3);
    let before = Numbers::new::<Sgd>(parameters(&groups));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 17_000, len(&groups) - 1] {
            let mut run = Run::new(&emulator(), &groups, &table(0.1), Counters::default(), &before);
            let (running_before, mut running) = (up::<f32>(&emulator(), &[1.0; 7]), up::<f32>(&emulator(), &[2.0; 7]));
            let mut g = gradients(&groups, 0);
            g[place] = bad;
            run.whole(&SGD, Some(1.0), &g).unwrap();
            run.control.restore_if_skipped(running_before.ptr(), running.ptr_mut(), 7).unwrap();
            let got = run.control.measured().unwrap();
            assert_eq!((got.counters, got.finite, got.overflowed), (Counters { step: 1, skipped: 1 }, false, false));
            same(&run.numbers(), &before).unwrap();
            assert_eq!(running.to_host().unwrap(), [1.0; 7]);
            assert!(run.shadow.to_host().unwrap().iter().all(|v| v.is_nan()), "the shadow was written");
            // The next is the first one applied, at the second row.
            let g = gradients(&groups, 1);
            run.whole(&SGD, None, &g).unwrap();
            run.control.restore_if_skipped(up::<f32>(&emulator(), &[5.0; 7]).ptr(), running.ptr_mut(), 7).unwrap();
            assert_eq!(running.to_host().unwrap(), [1.0; 7], "an applied update brings nothing back");
            let want = on_cpu::<f32, _>(&SGD, &groups, &table(0.1), None, Counters { step: 1, skipped: 1 }, &before, &g).0;
            same(&run.numbers(), &want).unwrap();
            assert_eq!(run.control.measured().unwrap().counters, Counters { step: 2, skipped: 1 });
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_skips_the_update() {
    let groups = tensors(6);
    let before = Numbers::new::<Sgd>(parameters(&groups));
    for (bad, skipped) in [(f64::NAN, 1), (f64::INFINITY, 1), (3.0, 0)] {
        let mut run = Run::new(&emulator(), &groups, &table(0.1), Counters::default(), &before);
        for loss in [1.0, bad, 2.0] {
            let sums = Array::from_host(&emulator(), &[loss, f64::NAN, f64::NAN]).unwrap();
            run.control.include_loss(sums.ptr(), 3).unwrap();
        }
        run.whole(&SGD, None, &gradients(&groups, 0)).unwrap();
        assert_eq!(run.control.measured().unwrap().counters, Counters { step: 1, skipped });
        assert_eq!(run.numbers() == before, skipped == 1);
        run.whole(&SGD, None, &gradients(&groups, 1)).unwrap();
        assert_eq!(run.control.measured().unwrap().counters, Counters { step: 2, skipped }, "the loss counts for one update");
    }
}

#[test]
fn an_update_that_overflows_is_told() {
    for tail in TAILS {
        let groups = tensors(tail);
        for at in [0, 20_004, len(&groups) - 1] {
            let run_with = |p: f32, g: f32, adam: bool| {
                let (mut params, mut grads) = (parameters(&groups), gradients(&groups, 0));
                (params[at], grads[at]) = (p, g);
                let numbers = if adam { Numbers::new::<AdamW>(params) } else { Numbers::new::<Sgd>(params) };
                let mut run = Run::new(&emulator(), &groups, &table(1.0), Counters::default(), &numbers);
                let mut go = |grads: &[f32]| {
                    let done = if adam { run.whole(&AdamW { beta2: 0.9, eps: 1e-8 }, None, grads) } else { run.whole(&SGD, None, grads) };
                    done.unwrap();
                    run.control.measured().unwrap()
                };
                let first = go(&grads);
                assert!(first.finite && first.counters.skipped == 0);
                grads[at] = f32::NAN;
                assert!(!go(&grads).overflowed, "a skipped update overflows nothing");
                first.overflowed
            };
            assert!(run_with(3.4e38, -3e38, false), "a parameter, at {at}");
            assert!(run_with(1.0, 1e25, true), "the second moment, at {at}");
            assert!(!run_with(1.0, 1e5, true) && !run_with(3.4e38, 3e37, false));
        }
    }
}

#[test]
fn the_average_has_the_cpus_bits_wherever_it_lies() {
    let table = table(0.1);
    for (count, offset) in [(1, 0), (7, 1), (8, 0), (8, 1), (20_000, 0), (20_000, 3), (20_001, 0)] {
        let device = emulator();
        let control = Control::new(&device, &table, Counters { step: 3, skipped: 0 }, 1).unwrap();
        let (values, before) = (normal(1, count + offset), normal(2, count + offset));
        let (v, mut a) = (up::<f32>(&device, &values), up::<f32>(&device, &before));
        control.average(v.ptr().offset(offset), a.ptr_mut().offset(offset), count).unwrap();
        let cpu = Cpu::<f32>::new();
        let mut want = narrow(&before);
        let cpu_control = cpu.control(1 << 20, &table, Counters { step: 3, skipped: 0 }).unwrap();
        cpu.average(&cpu_control, &narrow(&values)[offset..], &mut want[offset..]).unwrap();
        let got = a.to_host().unwrap();
        assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{count} from {offset}");
    }
}

#[test]
fn mismatches_are_errors() {
    let device = emulator();
    let good = table(0.1);
    let bad_tables = [
        UpdateTable { momentum: vec![0.9], ..good.clone() },
        UpdateTable { lr: vec![], momentum: vec![], average_decay: vec![] },
        UpdateTable { average_decay: vec![0.5], ..good.clone() },
    ];
    for bad in bad_tables {
        assert!(Control::new(&device, &bad, Counters::default(), 4).is_err(), "{bad:?}");
    }
    let end = |end| ParamGroup { end, weight_decay: 0.0 };
    assert!(Groups::new(&device, &ParamGroups(vec![])).is_err() && Groups::new(&device, &ParamGroups(vec![end(4), end(2)])).is_err());
    let mut control = Control::new(&device, &UpdateTable { average_decay: vec![], ..good }, Counters::default(), 4).unwrap();
    let (grads, mut average) = (up::<f32>(&device, &[0.0; 20_000]), up::<f32>(&device, &[0.0; 4]));
    assert!(control.measure(None, grads.ptr(), 0).is_err() && control.measure(None, grads.ptr(), 20_000).is_err());
    assert!(control.average(grads.ptr(), average.ptr_mut(), 4).unwrap_err().to_string().contains("averaging"));
}
