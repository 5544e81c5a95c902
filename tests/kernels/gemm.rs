//! The linear layer: as convolution is tested.

use crate::common::tolerance::{U32, close, equal};
use crate::common::{integers, normal, oracle};
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, unit, up};
use half::bf16;
use imagenet_engine::cuda::Element;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::gemm::{self, Variant};
use imagenet_engine::shape::LinearProblem;

struct Outcome {
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
    dbias: Vec<f64>,
}

struct Inputs {
    x: Vec<f64>,
    w: Vec<f64>,
    dy: Vec<f64>,
    bias: Vec<f64>,
}

impl Inputs {
    fn new<T: Element>(pr: &LinearProblem, numbers: impl Fn(u64, usize) -> Vec<f64>) -> Self {
        let of = |seed, len| rounded::<T>(&numbers(seed, len));
        Self { x: of(1, pr.n * pr.c), w: of(2, pr.k * pr.c), dy: of(3, pr.n * pr.k), bias: rounded::<f32>(&numbers(4, pr.k)) }
    }
    fn absolute(&self) -> Self {
        let abs = |v: &[f64]| v.iter().map(|v| v.abs()).collect();
        Self { x: abs(&self.x), w: abs(&self.w), dy: abs(&self.dy), bias: abs(&self.bias) }
    }
    fn reference(&self, pr: &LinearProblem) -> Outcome {
        let dbias = (0..pr.k).map(|k| self.dy.iter().skip(k).step_by(pr.k).sum()).collect();
        Outcome {
            y: oracle::linear(pr, &self.x, &self.w, &self.bias),
            dx: oracle::linear_dx(pr, &self.dy, &self.w),
            dw: oracle::linear_dw(pr, &self.x, &self.dy),
            dbias,
        }
    }
}

/// Everything, the gradients added to ones if `accumulate`.
fn run<T: Element>(device: &Emulator, pr: &LinearProblem, variant: Variant, inputs: &Inputs, accumulate: bool) -> Outcome {
    let (x, w, dy) = (up::<T>(device, &inputs.x), up::<T>(device, &inputs.w), up::<T>(device, &inputs.dy));
    let bias = up::<f32>(device, &inputs.bias);
    let mut y = output::<T>(device, pr.n * pr.k);
    gemm::fprop(device, pr, variant, x.ptr(), w.ptr(), bias.ptr(), y.ptr_mut()).unwrap();
    let start = |len: usize| vec![if accumulate { 1.0 } else { f64::NAN }; len];
    let (mut dx, mut dw) = (up::<T>(device, &start(pr.n * pr.c)), up::<f32>(device, &start(pr.k * pr.c)));
    let mut dbias = up::<f32>(device, &start(pr.k));
    gemm::dgrad(device, pr, variant, dy.ptr(), w.ptr(), dx.ptr_mut(), accumulate).unwrap();
    gemm::wgrad(device, pr, variant, x.ptr(), dy.ptr(), dw.ptr_mut(), dbias.ptr_mut(), accumulate).unwrap();
    Outcome { y: down(&y), dx: down(&dx), dw: down(&dw), dbias: down(&dbias) }
}

fn check<T: Element>(pr: &LinearProblem) {
    for variant in gemm::variants::<T>(pr) {
        let what = format!("{variant:?} {} of {pr:?}", T::NAME);
        let inputs = Inputs::new::<T>(pr, integers);
        let want = inputs.reference(pr);
        let flat = |o: Outcome| [o.y, o.dx, o.dw, o.dbias].concat();
        let got = same_under_all_schedules(&what, |device| flat(run::<T>(device, pr, variant, &inputs, false)));
        let exact = [rounded::<T>(&want.y), rounded::<T>(&want.dx), want.dw.clone(), want.dbias.clone()].concat();
        equal(&got, &exact).unwrap_or_else(|e| panic!("integers, {what}: {e}"));
        let plus = |v: &[f64]| v.iter().map(|v| v + 1.0).collect::<Vec<_>>();
        let added = run::<T>(&emulator(), pr, variant, &inputs, true);
        equal(&added.dx, &rounded::<T>(&plus(&want.dx))).unwrap_or_else(|e| panic!("dx added, {what}: {e}"));
        equal(&added.dw, &plus(&want.dw)).unwrap_or_else(|e| panic!("dw added, {what}: {e}"));
        equal(&added.dbias, &plus(&want.dbias)).unwrap_or_else(|e| panic!("dbias added, {what}: {e}"));

        let inputs = Inputs::new::<T>(pr, normal);
        let (want, size) = (inputs.reference(pr), inputs.absolute().reference(pr));
        let got = run::<T>(&emulator(), pr, variant, &inputs, false);
        let u = unit::<T>();
        close(&got.y, &want.y, |i| u * want.y[i].abs() + 1e-6 * size.y[i]).unwrap_or_else(|e| panic!("y, {what}: {e}"));
        close(&got.dx, &want.dx, |i| u * want.dx[i].abs() + 1e-6 * size.dx[i]).unwrap_or_else(|e| panic!("dx, {what}: {e}"));
        close(&got.dw, &want.dw, |i| 6e-7 * size.dw[i]).unwrap_or_else(|e| panic!("dw, {what}: {e}"));
        // carried along, the rounding errors leave about one of the result
        close(&got.dbias, &want.dbias, |i| 2.0 * U32 * size.dbias[i]).unwrap_or_else(|e| panic!("dbias, {what}: {e}"));
    }
}

#[test]
fn any_shape() {
    for (n, c, k) in [(1, 1, 1), (3, 5, 10), (16, 33, 7)] {
        check::<f32>(&LinearProblem { n, c, k });
        check::<bf16>(&LinearProblem { n, c, k });
    }
}

#[test]
fn on_tensor_cores() {
    for (n, c, k) in [(1, 8, 8), (64, 64, 64), (65, 72, 8), (63, 200, 136), (5, 512, 1000), (127, 64, 16)] {
        check::<bf16>(&LinearProblem { n, c, k });
    }
}
