//! The forward record: values, who made them, and how many consumers each has.

use super::{Gradients, Profile};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::ops::Range;
use std::time::Instant;

/// A parameter: its place in the arena of weights (and of gradients and optimizer state, which have the same layout).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// Position among the model's parameters.
    pub index: usize,
    pub range: Range<usize>,
}

/// A place in the arena of running statistics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub Range<usize>);

/// A value on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueId(usize);

impl ValueId {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A tensor and, if gradients flow to it, its place on the tape.
pub struct Value<B: Backend> {
    pub tensor: Tensor<B>,
    pub id: Option<ValueId>,
}

impl<B: Backend> Clone for Value<B> {
    fn clone(&self) -> Self {
        Self { tensor: self.tensor.clone(), id: self.id }
    }
}

impl<B: Backend> Value<B> {
    /// A value without a gradient, such as the pictures.
    pub fn constant(tensor: Tensor<B>) -> Self {
        Self { tensor, id: None }
    }

    pub fn shape(&self) -> Shape {
        self.tensor.shape()
    }

    pub fn view(&self) -> B::Ref<'_> {
        self.tensor.view()
    }
}

/// The derivative of one op. Its fields are what the forward pass saved; they are freed as the backward pass goes.
pub trait Function<B: Backend> {
    /// The op's name, for errors and profiles.
    fn name(&self) -> &'static str;

    /// Takes the gradient by the op's value and adds to those of its inputs and parameters.
    fn backward(self: Box<Self>, grad: B::Buffer, gradients: &mut Gradients<'_, B>) -> Result<()>;
}

/// Whether batch statistics are taken and running ones updated, or the running ones used.
pub(crate) enum Running<'a, B: Backend> {
    Update(&'a mut B::Buffer),
    Use(&'a B::Buffer),
}

struct Node<B: Backend> {
    function: Option<Box<dyn Function<B>>>,
    len: usize,
    consumers: usize,
}

/// One forward pass over one model.
pub struct Tape<'a, B: Backend> {
    backend: &'a B,
    weights: &'a B::Buffer,
    running: Running<'a, B>,
    nodes: Vec<Node<B>>,
    profile: Option<&'a mut Profile>,
    since: Instant,
}

impl<'a, B: Backend> Tape<'a, B> {
    /// A tape for training: `running` statistics are updated, gradients recorded.
    pub fn training(backend: &'a B, weights: &'a B::Buffer, running: &'a mut B::Buffer) -> Self {
        Self::with(backend, weights, Running::Update(running))
    }

    /// A tape for evaluation: `running` statistics are used, nothing is recorded.
    pub fn evaluation(backend: &'a B, weights: &'a B::Buffer, running: &'a B::Buffer) -> Self {
        Self::with(backend, weights, Running::Use(running))
    }

    fn with(backend: &'a B, weights: &'a B::Buffer, running: Running<'a, B>) -> Self {
        Self { backend, weights, running, nodes: Vec::new(), profile: None, since: Instant::now() }
    }

    /// Adds the time of each op to `profile`. Exact only where ops run synchronously.
    #[must_use]
    pub fn profiled(mut self, profile: Option<&'a mut Profile>) -> Self {
        self.profile = profile;
        self.since = Instant::now();
        self
    }

    pub fn backend(&self) -> &'a B {
        self.backend
    }

    pub fn is_training(&self) -> bool {
        matches!(self.running, Running::Update(_))
    }

    pub fn weights(&self, param: &Param) -> B::Ref<'a> {
        B::view(self.weights, param.range.clone())
    }

    pub(crate) fn running(&mut self) -> &mut Running<'a, B> {
        &mut self.running
    }

    /// A value that gradients are wanted for, though no op made it. Tests differentiate by such inputs.
    pub fn variable(&mut self, tensor: Tensor<B>) -> Value<B> {
        let id = self.push(None, tensor.shape().len());
        Value { tensor, id: Some(id) }
    }

    /// Puts the value of an op on the tape. `inputs` are the values the backward pass will contribute to; one that appears twice
    /// counts twice. `function` is built only when training.
    pub fn record<F: Function<B> + 'static>(
        &mut self,
        tensor: Tensor<B>,
        inputs: &[&Value<B>],
        name: &'static str,
        function: impl FnOnce() -> F,
    ) -> Value<B> {
        self.lap(name, false);
        if !self.is_training() {
            return Value::constant(tensor);
        }
        for id in inputs.iter().filter_map(|v| v.id) {
            self.nodes[id.0].consumers += 1;
        }
        let id = self.push(Some(Box::new(function())), tensor.shape().len());
        Value { tensor, id: Some(id) }
    }

    fn push(&mut self, function: Option<Box<dyn Function<B>>>, len: usize) -> ValueId {
        self.nodes.push(Node { function, len, consumers: 0 });
        ValueId(self.nodes.len() - 1)
    }

    /// Books the time since the last booking to `name`.
    pub fn lap(&mut self, name: &'static str, backward: bool) {
        let now = Instant::now();
        if let Some(profile) = &mut self.profile {
            profile.add(name, backward, now - self.since);
        }
        self.since = now;
    }

    /// Runs the tape backwards from `output`, whose gradient is `grad`, into the arena `arena`. Parameters in `arena` are
    /// overwritten by their first contribution, or added to if `accumulate` (gradients of several micro-batches).
    ///
    /// Returns the gradients of the tape's variables.
    ///
    /// # Errors
    /// `Internal` if `output` is not on this tape.
    pub fn backward(
        mut self,
        output: &Value<B>,
        grad: B::Buffer,
        arena: &mut B::Buffer,
        accumulate: bool,
    ) -> Result<Vec<Option<B::Buffer>>> {
        let Some(last) = output.id.filter(|id| id.0 < self.nodes.len()) else {
            return Err(Error::internal("backward from a value that is not on the tape"));
        };
        let (mut functions, lens, consumers) = self.take_nodes();
        let mut gradients = Gradients::new(self.backend, self.weights, arena, accumulate, lens, consumers);
        gradients.give(last, grad)?;
        for index in (0..=last.0).rev() {
            let Some(function) = functions[index].take() else { continue };
            // A value nobody differentiated through has no gradient; neither have its inputs, through it.
            let Some(grad) = gradients.take(ValueId(index)) else { continue };
            let name = function.name();
            function.backward(grad, &mut gradients)?;
            self.lap(name, true);
        }
        Ok(gradients.into_values())
    }

    #[allow(clippy::type_complexity)] // three columns of the same table
    fn take_nodes(&mut self) -> (Vec<Option<Box<dyn Function<B>>>>, Vec<usize>, Vec<usize>) {
        let mut functions = Vec::with_capacity(self.nodes.len());
        let mut lens = Vec::with_capacity(self.nodes.len());
        let mut consumers = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.drain(..) {
            functions.push(node.function);
            lens.push(node.len);
            consumers.push(node.consumers);
        }
        (functions, lens, consumers)
    }
}
