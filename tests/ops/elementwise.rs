//! ReLU, its gradient and sums: exact, NaN included.

use crate::common::normal;
use crate::common::tolerance::equal;
use crate::{down, poison, up};
use imagenet_engine::backend::{Elementwise, Memory};
use imagenet_engine::cpu::{Cpu, Real};

fn check<T: Real>() {
    let cpu = Cpu::<T>::new();
    for len in [0, 1, 31, 32768, 70001] {
        let (mut a, b) = (normal(1, len), normal(2, len));
        if len > 2 {
            (a[0], a[1]) = (f64::NAN, 0.0);
        }
        let (da, db) = (up(&cpu, &a), up(&cpu, &b));
        let (ra, rb) = (Cpu::<T>::all(&da), Cpu::<T>::all(&db));
        let mut out = poison(&cpu, len);
        let rounded = |v: f64| if size_of::<T>() == 4 { f64::from(v as f32) } else { v };
        let each = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(&a, &b)| rounded(f(a, b))).collect::<Vec<_>>();
        cpu.relu(ra, Cpu::<T>::all_mut(&mut out)).unwrap();
        equal(&down(&cpu, &out), &each(&|a, _| if a < 0.0 { 0.0 } else { a })).unwrap();
        cpu.relu_backward(ra, rb, Cpu::<T>::all_mut(&mut out), false).unwrap();
        let masked = each(&|a, b| if a > 0.0 { b } else { 0.0 });
        equal(&down(&cpu, &out), &masked).unwrap();
        cpu.relu_backward(ra, rb, Cpu::<T>::all_mut(&mut out), true).unwrap();
        equal(&down(&cpu, &out), &masked.iter().map(|v| 2.0 * v).collect::<Vec<_>>()).unwrap();
        cpu.add(ra, rb, Cpu::<T>::all_mut(&mut out)).unwrap();
        equal(&down(&cpu, &out), &each(&|a, b| a + b)).unwrap();
        let mut into = up(&cpu, &b);
        cpu.add_assign(ra, Cpu::<T>::all_mut(&mut into)).unwrap();
        equal(&down(&cpu, &into), &each(&|a, b| a + b)).unwrap();
    }
    assert!(cpu.add(&[T::ONE; 2], &[T::ONE; 3], &mut [T::ONE; 2]).unwrap_err().to_string().contains("add"));
    assert!(cpu.relu(&[T::ONE; 2], &mut [T::ONE; 3]).is_err());
    assert!(cpu.relu_backward(&[T::ONE; 2], &[T::ONE; 2], &mut [T::ONE; 3], false).is_err());
    assert!(cpu.add_assign(&[T::ONE; 2], &mut [T::ONE; 3]).is_err());
}

#[test]
fn exact_f32() {
    check::<f32>();
}
#[test]
fn exact_f64() {
    check::<f64>();
}
