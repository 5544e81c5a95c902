//! Checks an op's derivative against central differences, on a backend that computes in f64.
//!
//! With a random upstream gradient r the scalar `L = sum(r * op(inputs, weights))` is differentiated both ways by every input and
//! every weight: by the tape, and as `(L(v+h) - L(v-h)) / 2h`. In f64 the two agree to about 1e-9; a wrong derivative does not.

use super::{Tape, Value};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::rng::{Purpose, Stream};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// An op's inputs, all of which get a gradient.
pub struct Case {
    pub inputs: Vec<(Shape, Vec<f64>)>,
    pub weights: Vec<f64>,
    pub running: Vec<f64>,
}

/// The worst disagreement found.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// Relative to the larger of the element and the root mean square of its tensor's gradient.
    pub error: f64,
    /// Which element of which input, and the two values.
    pub place: String,
    /// How many elements were compared.
    pub compared: usize,
}

/// Differentiates `op` both ways with step `h`.
///
/// # Errors
/// Those of the op, and `Internal` where an input got no gradient at all.
pub fn gradcheck<B: Backend>(
    backend: &B,
    case: &Case,
    h: f64,
    op: impl Fn(&mut Tape<'_, B>, &[Value<B>]) -> Result<Value<B>>,
) -> Result<Disagreement> {
    let upstream = |len: usize| {
        let mut stream = Stream::new(99, Purpose::Test, 0, len as u64);
        (0..len).map(|_| stream.normal()).collect::<Vec<f64>>()
    };
    let loss = |inputs: &[(Shape, Vec<f64>)], weights: &[f64]| -> Result<f64> {
        let (weights, mut running) = (backend.upload_f64(weights)?, backend.upload_f64(&case.running)?);
        let mut tape = Tape::training(backend, &weights, &mut running);
        let values = variables(&mut tape, inputs)?;
        let y = op(&mut tape, &values)?;
        let mut host = vec![0.0; y.shape().len()];
        backend.read_f64(y.view(), &mut host)?;
        Ok(host.iter().zip(upstream(host.len())).map(|(a, b)| a * b).sum())
    };

    let (weights, mut running) = (backend.upload_f64(&case.weights)?, backend.upload_f64(&case.running)?);
    // Poison: a parameter gradient that is added to instead of written shows.
    let mut arena = backend.upload_f64(&vec![f64::NAN; case.weights.len()])?;
    let mut tape = Tape::training(backend, &weights, &mut running);
    let values = variables(&mut tape, &case.inputs)?;
    let y = op(&mut tape, &values)?;
    let grad = backend.upload_f64(&upstream(y.shape().len()))?;
    let mut gradients = tape.backward(&y, grad, &mut arena, false)?;

    let mut worst = Disagreement { error: 0.0, place: String::new(), compared: 0 };
    for (i, value) in values.iter().enumerate() {
        let Some(gradient) = value.id.and_then(|id| gradients[id.index()].take()) else {
            return Err(Error::internal(format!("gradcheck: input {i} got no gradient")));
        };
        let mut tape_gradient = vec![0.0; B::len(&gradient)];
        backend.read_f64(B::all(&gradient), &mut tape_gradient)?;
        let mut inputs = case.inputs.clone();
        let differences = central_differences(&case.inputs[i].1, h, |v| {
            inputs[i].1.copy_from_slice(v);
            loss(&inputs, &case.weights)
        })?;
        worst.compare(&format!("input {i}"), &tape_gradient, &differences);
    }
    if !case.weights.is_empty() {
        let mut tape_gradient = vec![0.0; case.weights.len()];
        backend.read_f64(B::all(&arena), &mut tape_gradient)?;
        let differences = central_differences(&case.weights, h, |v| loss(&case.inputs, v))?;
        worst.compare("weights", &tape_gradient, &differences);
    }
    Ok(worst)
}

fn variables<B: Backend>(tape: &mut Tape<'_, B>, inputs: &[(Shape, Vec<f64>)]) -> Result<Vec<Value<B>>> {
    let backend = tape.backend();
    inputs.iter().map(|(shape, data)| Ok(tape.variable(Tensor::new(backend.upload_f64(data)?, *shape)))).collect()
}

fn central_differences(at: &[f64], h: f64, mut f: impl FnMut(&[f64]) -> Result<f64>) -> Result<Vec<f64>> {
    let mut v = at.to_vec();
    let mut differences = Vec::with_capacity(v.len());
    for i in 0..v.len() {
        v[i] = at[i] + h;
        let up = f(&v)?;
        v[i] = at[i] - h;
        let down = f(&v)?;
        v[i] = at[i];
        differences.push((up - down) / (2.0 * h));
    }
    Ok(differences)
}

impl Disagreement {
    fn compare(&mut self, name: &str, tape: &[f64], differences: &[f64]) {
        let rms = (differences.iter().map(|d| d * d).sum::<f64>() / differences.len().max(1) as f64).sqrt();
        for (i, (a, b)) in tape.iter().zip(differences).enumerate() {
            let error = (a - b).abs() / b.abs().max(rms).max(1e-6);
            self.compared += 1;
            if error > self.error || error.is_nan() {
                self.error = if error.is_nan() { f64::INFINITY } else { error };
                self.place = format!("{name}[{i}]: tape {a:e}, differences {b:e}");
            }
        }
    }
}
