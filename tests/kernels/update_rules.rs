//! Every rule's kernel against its Rust body: 50 updates of ten tensors, every bit of parameters, state, average and bf16 shadow.

use crate::arrays::same_under_all_schedules;
use crate::device::emulator;
use crate::update::{Numbers, Run, TAILS, gradients, on_cpu, parameters, same, table, tensors};
use half::bf16;
use imagenet_engine::backend::{Counters, Hyper, ParamGroup, ParamGroups, UpdateRule};
use imagenet_engine::cuda::launch::PtrMut;
use imagenet_engine::optim::{AdamW, Lamb, Lars, Lion, Sgd};

const UPDATES: u64 = 50;

/// Gradients that are not finite at the very first update and at a later one.
fn gradients_with_gaps(groups: &ParamGroups, update: u64) -> Vec<f32> {
    let mut g = gradients(groups, update);
    match update {
        0 => g[20_007] = f32::NAN,
        9 => g[0] = f32::INFINITY,
        _ => {}
    }
    g
}

fn check<R: UpdateRule>(rule: R, peak: f64) {
    for (tail, clip) in TAILS.into_iter().flat_map(|tail| [(tail, None), (tail, Some(30.0))]) {
        let (groups, table) = (tensors(tail), table(peak));
        let mut want = Numbers::new::<R>(parameters(&groups));
        let (mut counters, mut clipped) = (Counters::default(), 0);
        let mut run = Run::new(&emulator(), &groups, &table, counters, &want);
        for update in 0..UPDATES {
            let what = format!("{}, tail {tail}, clip {clip:?}, update {update}", R::NAME);
            let g = gradients_with_gaps(&groups, update);
            run.whole(&rule, clip, &g).unwrap();
            let got = run.control.measured().unwrap();
            let (next, norm) = on_cpu::<f32, R>(&rule, &groups, &table, clip, counters, &want, &g);
            let (exact, _) = on_cpu::<f64, R>(&rule, &groups, &table, clip, counters, &want, &g);
            let exact = Numbers { average: next.average.clone(), ..exact }; // in f64 it follows parameters that were not rounded
            same(&exact, &next).unwrap_or_else(|e| panic!("{what}, the CPU in f64: {e}"));
            same(&run.numbers(), &next).unwrap_or_else(|e| panic!("{what}: {e}"));
            counters = Counters { step: update + 1, skipped: counters.skipped + u64::from(!norm.is_finite()) };
            assert!(got.counters == counters && got.finite == norm.is_finite() && !got.overflowed, "{what}: {got:?}");
            assert!(got.grad_norm.to_bits() == norm.to_bits() || norm.is_nan() && got.grad_norm.is_nan(), "{what}: {}", got.grad_norm);
            clipped += u64::from(clip.is_some_and(|most| norm > most));
            want = next;
        }
        assert_eq!(counters, Counters { step: UPDATES, skipped: 2 });
        assert!(clip.is_none() || clipped > 5 && clipped < UPDATES - 5, "{clipped} updates were clipped");
        let shadow = run.shadow.to_host().unwrap();
        assert!(shadow.iter().zip(&want.params).all(|(s, p)| s.to_bits() == bf16::from_f32(*p).to_bits()), "the shadow of {}", R::NAME);
        let moved = want.params.iter().zip(parameters(&groups)).filter(|(a, b)| (*a - b).abs() > 1e-2).count();
        assert!(moved > 30_000, "{}: 50 updates must go somewhere, {moved} parameters did", R::NAME);
    }
    // In any order of blocks, warps and lanes.
    let (groups, table) = (tensors(6), table(peak));
    same_under_all_schedules(R::NAME, |device| {
        let mut run = Run::new(device, &groups, &table, Counters::default(), &Numbers::new::<R>(parameters(&groups)));
        for update in 0..3 {
            run.whole(&rule, Some(30.0), &gradients_with_gaps(&groups, update)).unwrap();
        }
        run.numbers().bits().into_iter().map(f64::from).collect()
    });
}

#[test]
fn sgd() {
    check(Sgd { nesterov: false, dampening: 0.0 }, 0.1);
    check(Sgd { nesterov: true, dampening: 0.0 }, 0.1);
    check(Sgd { nesterov: false, dampening: 0.3 }, 0.1);
}

#[test]
fn adamw() {
    check(AdamW { beta2: 0.99, eps: 1e-8 }, 0.02);
}

#[test]
fn lion() {
    check(Lion { beta2: 0.99 }, 0.01);
}

#[test]
fn lars() {
    check(Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: false }, 2.0);
    check(Lars { trust_coefficient: 0.02, eps: 1e-8, nesterov: true }, 2.0);
}

#[test]
fn lamb() {
    check(Lamb { beta2: 0.999, eps: 1e-6 }, 0.02);
}

/// Far into a run, powers have many factors.
#[test]
fn powers_have_the_cpus_bits() {
    let groups = ParamGroups(vec![ParamGroup { end: 6, weight_decay: 0.1 }]);
    let before = Numbers::new::<AdamW>(vec![1.0, -2.0, 0.5, 3.0, -0.25, 8.0]);
    for step in [0, 1, 6, 1000, 12_345, 450_000, 1 << 40] {
        let counters = Counters { step, skipped: step / 7 };
        let rule = AdamW { beta2: 0.999_999, eps: 1e-8 };
        let mut run = Run::new(&emulator(), &groups, &table(0.1), counters, &before);
        let g = [0.5, 0.25, -1.0, 3.0, 1e-6, 2.0];
        run.whole(&rule, None, &g).unwrap();
        same(&run.numbers(), &on_cpu::<f32, _>(&rule, &groups, &table(0.1), None, counters, &before, &g).0).unwrap();
    }
}

/// No shadow, no parameters, and a rule without a kernel.
#[test]
fn what_may_be_missing() {
    #[derive(Clone, Copy)]
    struct Unknown;
    impl UpdateRule for Unknown {
        const NAME: &'static str = "unknown";
        const STATE: usize = 1;
        type Step = ();
        fn begin(&self, _: &Hyper) {}
        fn update(&self, (): &(), _trust: f64, p: f64, _g: f64, _state: &mut [f64]) -> f64 {
            p
        }
    }
    let groups = tensors(3);
    let before = Numbers::new::<Sgd>(parameters(&groups));
    let mut run = Run::new(&emulator(), &groups, &table(0.1), Counters::default(), &before);
    let g = gradients(&groups, 0);
    assert!(run.step(&Unknown, &g).unwrap_err().to_string().contains("no kernel for the rule 'unknown'"));
    run.step_with(&crate::update::SGD, &g, PtrMut::null()).unwrap();
    let want = on_cpu::<f32, _>(&crate::update::SGD, &groups, &table(0.1), None, Counters::default(), &before, &g).0;
    assert_eq!(run.numbers().params, want.params);
    assert!(run.shadow.to_host().unwrap().iter().all(|v| v.is_nan()));
    let none = ParamGroups(vec![ParamGroup { end: 0, weight_decay: 0.0 }]);
    let mut run = Run::new(&emulator(), &none, &table(0.1), Counters::default(), &Numbers::new::<Sgd>(vec![]));
    run.step(&crate::update::SGD, &[]).unwrap();
}
