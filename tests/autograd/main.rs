//! Every op's derivative against central differences, in f64 through the same code that trains in f32; and proof that the check fails.

use imagenet_engine::autograd::gradcheck::{Case, Disagreement, gradcheck};
use imagenet_engine::autograd::{Function, Gradients, Param, Slot, Tape, Value, ValueId};
use imagenet_engine::backend::{Backend, Elementwise, Memory};
use imagenet_engine::cpu::Cpu;
use imagenet_engine::error::Result;
use imagenet_engine::ops::{self, ConvGeometry, NormParams, PoolGeometry};
use imagenet_engine::rng::{Purpose, Stream};
use imagenet_engine::shape::Shape;
use imagenet_engine::tensor::Tensor;

type Cpu64 = Cpu<f64>;

fn random(len: usize, item: u64) -> Vec<f64> {
    let mut stream = Stream::new(11, Purpose::Test, 0, item);
    (0..len).map(|_| stream.normal()).collect()
}

fn case(inputs: &[Shape], weights: usize, running: usize) -> Case {
    let inputs = inputs.iter().enumerate().map(|(i, s)| (*s, random(s.len(), i as u64))).collect();
    Case { inputs, weights: random(weights, 100), running: vec![1.0; running] }
}

fn check(case: &Case, op: impl Fn(&mut Tape<'_, Cpu64>, &[Value<Cpu64>]) -> Result<Value<Cpu64>>) -> Disagreement {
    gradcheck(&Cpu64::new(), case, 1e-5, op).unwrap()
}

fn agrees(name: &str, case: &Case, op: impl Fn(&mut Tape<'_, Cpu64>, &[Value<Cpu64>]) -> Result<Value<Cpu64>>) {
    let worst = check(case, op);
    let elements: usize = case.inputs.iter().map(|(s, _)| s.len()).sum::<usize>() + case.weights.len();
    assert_eq!(worst.compared, elements, "{name}");
    assert!(worst.error < 1e-7, "{name}: {worst:?}");
}

fn param(index: usize, start: usize, len: usize) -> Param {
    Param { index, range: start..start + len }
}

fn norm_params(channels: usize) -> NormParams {
    NormParams {
        gamma: param(0, 0, channels),
        beta: param(1, channels, channels),
        running: Slot(0..2 * channels),
        eps: 1e-5,
        momentum: 0.1,
    }
}

#[test]
fn conv() {
    for (h, w, c, k, r, s, stride, pad) in [
        (5, 6, 3, 4, 1, 1, 1, 0),
        (5, 5, 3, 2, 1, 1, 2, 0),
        (5, 6, 3, 4, 3, 3, 1, 1),
        (6, 5, 2, 3, 3, 3, 2, 1),
        (9, 8, 3, 2, 7, 7, 2, 3),
        (5, 6, 2, 3, 2, 3, 3, 2),
    ] {
        let weight = param(0, 0, k * r * s * c);
        let geometry = ConvGeometry { k, r, s, stride, pad };
        let case = case(&[Shape::new([2, h, w, c])], k * r * s * c, 0);
        agrees(&format!("conv {geometry:?}"), &case, |tape, x| ops::conv(tape, &x[0], &weight, geometry));
    }
}

#[test]
fn norm_in_each_of_its_forms() {
    let shape = Shape::new([2, 3, 4, 3]);
    for relu in [false, true] {
        agrees("norm", &case(&[shape], 6, 6), |tape, x| ops::norm(tape, &x[0], &norm_params(3), None, relu));
        agrees("norm with residual", &case(&[shape, shape], 6, 6), |tape, x| ops::norm(tape, &x[0], &norm_params(3), Some(&x[1]), relu));
    }
}

#[test]
fn pools_relu_add_linear() {
    let picture = Shape::new([2, 6, 7, 3]);
    let geometry = PoolGeometry { window: 3, stride: 2, pad: 1 };
    agrees("max_pool", &case(&[picture], 0, 0), |tape, x| ops::max_pool(tape, &x[0], geometry));
    agrees("average_pool", &case(&[picture], 0, 0), |tape, x| ops::average_pool(tape, &x[0]));
    agrees("relu", &case(&[picture], 0, 0), |tape, x| ops::relu(tape, &x[0]));
    agrees("add", &case(&[picture, picture], 0, 0), |tape, x| ops::add(tape, &x[0], &x[1]));
    let (weight, bias) = (param(0, 0, 15), param(1, 15, 3));
    agrees("linear", &case(&[Shape::new([4, 5])], 18, 0), |tape, x| ops::linear(tape, &x[0], &weight, &bias));
}

/// Values used twice, a block's shortcut, and one parameter used twice: contributions add up, whatever their order.
#[test]
fn branches_accumulate() {
    let shape = Shape::new([2, 4, 4, 3]);
    agrees("x + x", &case(&[shape], 0, 0), |tape, x| ops::add(tape, &x[0], &x[0]));
    let geometry = ConvGeometry { k: 3, r: 3, s: 3, stride: 1, pad: 1 };
    let (conv, pool) = (param(2, 6, 81), PoolGeometry { window: 3, stride: 1, pad: 1 });
    agrees("a residual block", &case(&[shape], 87, 6), |tape, x| {
        let y = ops::conv(tape, &x[0], &conv, geometry)?;
        let y = ops::norm(tape, &y, &norm_params(3), Some(&x[0]), true)?;
        let side = ops::max_pool(tape, &x[0], pool)?;
        let z = ops::conv(tape, &y, &conv, geometry)?;
        let z = ops::add(tape, &z, &side)?;
        ops::relu(tape, &z)
    });
}

/// The loss op's own gradient against differences of its own value.
#[test]
fn cross_entropy() {
    let (rows, classes, backend) = (5, 7, Cpu64::new());
    let labels = backend.upload_labels(&[0, 6, 3, 3, 1]).unwrap();
    let logits = random(rows * classes, 5);
    for (smoothing, scale) in [(0.0, 1.0), (0.1, 1.0), (0.1, 0.25)] {
        let evaluate = |logits: &[f64]| {
            let (weights, mut running) = (backend.zeros(0).unwrap(), backend.zeros(0).unwrap());
            let mut tape = Tape::training(&backend, &weights, &mut running);
            let x = tape.variable(Tensor::new(backend.upload_f64(logits).unwrap(), Shape::new([rows, classes])));
            let (metrics, grad) = ops::cross_entropy(&tape, &x, &labels, smoothing, scale).unwrap();
            let mut host = vec![0.0; rows * classes];
            backend.read_f64(Cpu64::all(&grad), &mut host).unwrap();
            use imagenet_engine::backend::Loss;
            (backend.metrics(metrics).unwrap().loss / rows as f64 * scale, host)
        };
        let (_, grad) = evaluate(&logits);
        for i in 0..logits.len() {
            let mut v = logits.clone();
            v[i] += 1e-5;
            let up = evaluate(&v).0;
            v[i] -= 2e-5;
            let difference = (up - evaluate(&v).0) / 2e-5;
            assert!((grad[i] - difference).abs() < 1e-8, "{i}: {} {difference}", grad[i]);
        }
    }
}

/// ReLU with a derivative that is wrong by `factor`, or that forgets its mask.
struct WrongRelu {
    x: Option<ValueId>,
    y: Tensor<Cpu64>,
    factor: f64,
    masked: bool,
}

impl Function<Cpu64> for WrongRelu {
    fn name(&self) -> &'static str {
        "wrong_relu"
    }

    fn backward(self: Box<Self>, grad: Vec64, gradients: &mut Gradients<'_, Cpu64>) -> Result<()> {
        let backend = gradients.backend();
        let mut host = vec![0.0; Cpu64::len(&grad)];
        let mut y = host.clone();
        backend.read_f64(Cpu64::all(&grad), &mut host)?;
        backend.read_f64(self.y.view(), &mut y)?;
        for (g, y) in host.iter_mut().zip(y) {
            *g *= if !self.masked || y > 0.0 { self.factor } else { 0.0 };
        }
        gradients.contribute_buffer(self.x, backend.upload_f64(&host)?)
    }
}

type Vec64 = <Cpu64 as Memory>::Buffer;

#[test]
fn a_wrong_derivative_is_caught() {
    let wrong = |factor: f64, masked: bool| {
        check(&case(&[Shape::new([3, 5])], 0, 0), move |tape, x| {
            let mut y = tape.backend().empty(15)?;
            tape.backend().relu(x[0].view(), Cpu64::all_mut(&mut y))?;
            let y = Tensor::new(y, x[0].shape());
            let saved = y.clone();
            Ok(tape.record(y, &[&x[0]], "wrong_relu", || WrongRelu { x: x[0].id, y: saved, factor, masked }))
        })
    };
    assert!(wrong(1.0, true).error < 1e-7, "the planted op is right when nothing is planted");
    assert!(wrong(1.0 + 1e-4, true).error > 5e-5, "off by one part in ten thousand");
    assert!(wrong(-1.0, true).error > 0.5, "sign");
    assert!(wrong(1.0, false).error > 0.5, "mask forgotten");
}

/// An input nobody differentiates through is an error, not a silent zero.
#[test]
fn a_missing_gradient_is_an_error() {
    fn run<B: Backend>(backend: &B) -> Result<Disagreement> {
        let case = Case { inputs: vec![(Shape::new([2, 2]), vec![1.0; 4]); 2], weights: vec![], running: vec![] };
        gradcheck(backend, &case, 1e-5, |tape, x| ops::relu(tape, &x[0]))
    }
    assert!(run(&Cpu64::new()).unwrap_err().to_string().contains("input 1"));
}
