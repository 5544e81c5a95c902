//! The optimizer's step: groups, schedule, state, pieces.

use crate::common::normal;
use crate::common::tolerance::equal;
use crate::{bits, down, on_threads, up};
use imagenet_engine::backend::{Hyper, Memory, ParamGroups, Update, UpdateRule};
use imagenet_engine::cpu::{Cpu, Real};

/// SGD with momentum, and a second number of state that counts the updates.
#[derive(Clone, Copy)]
struct Sgd;
impl UpdateRule for Sgd {
    const NAME: &'static str = "test-sgd";
    const STATE: usize = 2;
    fn update(&self, p: f32, g: f32, state: &mut [f32], h: &Hyper) -> f32 {
        assert_eq!(state[1], h.step as f32);
        state[1] += 1.0;
        state[0] = h.momentum * state[0] + (g + h.weight_decay * p);
        p - h.lr * state[0]
    }
}

fn run<T: Real>(len: usize, split: usize) -> (Vec<f64>, Vec<f64>) {
    let cpu = Cpu::<T>::new();
    let (mut p, mut state) = (up(&cpu, &normal(1, len)), cpu.zeros(2 * len).unwrap());
    let groups = ParamGroups(vec![(split, 0.25), (len, 0.0)]);
    let mut schedule = cpu.schedule(&[0.5, 0.25], &[0.0, 0.5], 0).unwrap();
    for step in 0..4 {
        let g = up(&cpu, &normal(10 + step, len));
        cpu.update(&Sgd, &mut schedule, &groups, Cpu::<T>::all_mut(&mut p), Cpu::<T>::all(&g), &mut state).unwrap();
    }
    assert_eq!(schedule.step(), 4);
    (down(&cpu, &p), down(&cpu, &state))
}

fn reference(len: usize, split: usize) -> (Vec<f64>, Vec<f64>) {
    let mut p: Vec<f32> = normal(1, len).iter().map(|&v| v as f32).collect();
    let mut m = vec![0.0f32; len];
    for step in 0..4u64 {
        // the table ends after two entries; its last one holds
        let (lr, momentum) = if step == 0 { (0.5, 0.0) } else { (0.25, 0.5) };
        for (i, g) in normal(10 + step, len).into_iter().enumerate() {
            let decay = if i < split { 0.25 } else { 0.0 };
            m[i] = momentum * m[i] + (g as f32 + decay * p[i]);
            p[i] -= lr * m[i];
        }
    }
    (p.iter().map(|&v| v.into()).collect(), m.iter().map(|&v| v.into()).chain(vec![4.0; len]).collect())
}

#[test]
fn same_as_a_plain_loop() {
    for (len, split) in [(1, 0), (10, 3), (10, 10), (40_000, 17_001)] {
        let (p, state) = reference(len, split);
        for (got_p, got_state) in [run::<f32>(len, split), run::<f64>(len, split)] {
            equal(&got_p, &p).unwrap();
            equal(&got_state, &state).unwrap();
        }
        assert!(split == 0 || equal(&run::<f32>(len, split - 1).0, &p).is_err(), "a group that ends one early must show");
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let results = on_threads(|| bits(&run::<f32>(50_000, 20_000).0));
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn resumes_at_the_step_given() {
    let cpu = Cpu::<f32>::new();
    assert_eq!(cpu.schedule(&[0.1], &[0.9], 77).unwrap().step(), 77);
}

#[test]
fn mismatches_are_errors() {
    let cpu = Cpu::<f32>::new();
    assert!(cpu.schedule(&[0.1, 0.2], &[0.9], 0).is_err());
    assert!(cpu.schedule(&[], &[], 0).is_err());
    let mut schedule = cpu.schedule(&[0.1], &[0.9], 0).unwrap();
    let (mut p, g) = ([0.0; 4], [0.0; 4]);
    let mut short = cpu.zeros(7).unwrap();
    let groups = |g: &[(usize, f32)]| ParamGroups(g.to_vec());
    assert!(cpu.update(&Sgd, &mut schedule, &groups(&[(4, 0.0)]), &mut p, &g, &mut short).is_err());
    let mut state = cpu.zeros(8).unwrap();
    for bad in [groups(&[]), groups(&[(3, 0.0)]), groups(&[(5, 0.0)]), groups(&[(4, 0.0), (2, 0.0), (4, 0.0)])] {
        assert!(cpu.update(&Sgd, &mut schedule, &bad, &mut p, &g, &mut state).is_err(), "{bad:?}");
    }
    assert!(cpu.update(&Sgd, &mut schedule, &groups(&[(4, 0.0)]), &mut p, &g[1..], &mut state).is_err());
    assert_eq!(schedule.step(), 0);
}
