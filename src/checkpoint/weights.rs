//! Between a model's arenas and torchvision's named tensors: filters KRSC here, KCRS (OIHW) there.

use super::safetensors::{File, TensorOut};
use crate::error::{Error, Result};
use crate::nn::Layout;

/// Moves the channel axis of `[k, r*s, c]` (`to_torch`) or `[k, c, r*s]` (otherwise) to the other place.
fn permute(values: &[f32], shape: &[usize], to_torch: bool) -> Vec<f32> {
    let &[k, c, r, s] = shape else { return values.to_vec() };
    let (rows, columns) = if to_torch { (r * s, c) } else { (c, r * s) };
    let mut out = Vec::with_capacity(values.len());
    for filter in values.chunks_exact((rows * columns).max(1)).take(k) {
        for column in 0..columns {
            out.extend((0..rows).map(|row| filter[row * columns + column]));
        }
    }
    out
}

/// One arena (weights, or an optimizer's state) as named tensors, `prefix` before each name.
pub fn arena_to_tensors(layout: &Layout, prefix: &str, arena: &[f32]) -> Vec<TensorOut> {
    let one = |entry: &crate::nn::ParamEntry| {
        let values = permute(&arena[entry.param.range.clone()], &entry.shape, true);
        TensorOut::f32(format!("{prefix}{}", entry.name), &entry.shape, &values)
    };
    layout.params.iter().map(one).collect()
}

/// The running statistics as named tensors; `batches` is torch's `num_batches_tracked`.
pub fn running_to_tensors(layout: &Layout, running: &[f32], batches: u64) -> Vec<TensorOut> {
    let one = |entry: &crate::nn::RunningEntry| {
        let (mean, variance) = running[entry.slot.0.clone()].split_at(entry.channels);
        let shape = [entry.channels];
        [
            TensorOut::f32(format!("{}.running_mean", entry.prefix), &shape, mean),
            TensorOut::f32(format!("{}.running_var", entry.prefix), &shape, variance),
            TensorOut::i64_scalar(format!("{}.num_batches_tracked", entry.prefix), batches as i64),
        ]
    };
    layout.running.iter().flat_map(one).collect()
}

/// The inverse of [`arena_to_tensors`].
///
/// # Errors
/// `Data` naming the first tensor that is missing or has another shape.
pub fn arena_from_file(layout: &Layout, prefix: &str, file: &File) -> Result<Vec<f32>> {
    let mut arena = vec![0.0; layout.len()];
    for entry in &layout.params {
        let values = tensor(file, &format!("{prefix}{}", entry.name), &entry.shape)?;
        let torch_shape = entry.shape.as_slice();
        arena[entry.param.range.clone()].copy_from_slice(&permute(values, torch_shape, false));
    }
    Ok(arena)
}

/// The inverse of [`running_to_tensors`].
///
/// # Errors
/// As [`arena_from_file`].
pub fn running_from_file(layout: &Layout, prefix: &str, file: &File) -> Result<Vec<f32>> {
    let mut running = vec![0.0; layout.running_len()];
    for entry in &layout.running {
        let (mean, variance) = running[entry.slot.0.clone()].split_at_mut(entry.channels);
        mean.copy_from_slice(tensor(file, &format!("{prefix}{}.running_mean", entry.prefix), &[entry.channels])?);
        let name = format!("{prefix}{}.running_var", entry.prefix);
        variance.copy_from_slice(tensor(file, &name, &[entry.channels])?);
        if let Some(v) = variance.iter().find(|v| **v < 0.0) {
            return Err(Error::data(format!("tensor {name} holds the variance {v}")).at(file.path.display().to_string()));
        }
    }
    Ok(running)
}

/// Weights and running statistics for `model` from the tensors of `file` whose names begin with `prefix`.
///
/// # Errors
/// `Data` naming the first tensor that is missing or of another shape.
pub fn load_prefixed(model: &crate::models::Model, prefix: &str, file: &File) -> Result<(Vec<f32>, Vec<f32>)> {
    Ok((arena_from_file(&model.layout, prefix, file)?, running_from_file(&model.layout, prefix, file)?))
}

/// Weights and running statistics for `model` from `file`, which must hold exactly that model's tensors (optimizer state and moving
/// average aside).
///
/// # Errors
/// `Data` naming the first tensor that is missing, unknown, or of another shape.
pub fn load(model: &crate::models::Model, file: &File) -> Result<(Vec<f32>, Vec<f32>)> {
    super::check_format(file)?;
    let layout = &model.layout;
    if let Some(is) = crate::models::recognise(|tensor| file.tensors.contains_key(tensor)).filter(|is| *is != model.name) {
        return Err(Error::data(format!("weights of {is}, and --model says {}", model.name))
            .at(file.path.display().to_string())
            .next(format!("--model {is}; or weights of {}", model.name)));
    }
    let (weights, running) = load_prefixed(model, "", file)?;
    let expected = layout.params.len() + 2 * layout.running.len();
    let known = |name: &str| {
        layout.params.iter().any(|p| p.name == name)
            || layout.running.iter().any(|r| name.strip_prefix(&r.prefix).is_some_and(|n| n == ".running_mean" || n == ".running_var"))
    };
    let strangers: Vec<_> =
        file.tensors.keys().filter(|n| !n.starts_with("optimizer.") && !n.starts_with(super::EMA) && !known(n)).collect();
    match strangers.first() {
        Some(name) => Err(Error::data(format!("tensor {name} is none of the {expected} of {}", model.name))
            .at(file.path.display().to_string())
            .because("the file holds another model")
            .next("the --model it was trained with")),
        None => Ok((weights, running)),
    }
}

fn tensor<'a>(file: &'a File, name: &str, shape: &[usize]) -> Result<&'a [f32]> {
    let wrong = |what: String| {
        Err(Error::data(what)
            .at(file.path.display().to_string())
            .because("the file holds another model, or one for another number of classes")
            .next("the --model and the data it was trained with"))
    };
    match file.tensors.get(name) {
        Some(t) if t.shape == shape => Ok(&t.values),
        Some(t) => wrong(format!("tensor {name} has shape {:?}, the model needs {shape:?}", t.shape)),
        None => wrong(format!("tensor {name} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_is_its_own_inverse_and_matches_the_formula() {
        let shape = [2, 3, 2, 2];
        let krsc: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let torch = permute(&krsc, &shape, true);
        for k in 0..2 {
            for c in 0..3 {
                for rs in 0..4 {
                    assert_eq!(torch[(k * 3 + c) * 4 + rs], krsc[(k * 4 + rs) * 3 + c]);
                }
            }
        }
        assert_eq!(permute(&torch, &shape, false), krsc);
    }
}
