//! A case: what is computed on a device, and what must come out.

use super::tolerance::ratio;
use crate::error::Result;
use std::sync::Arc;

/// How much of a case is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every way to divide the work, plain, added to what is there and twice over; the whole result.
    Every,
    /// The numbers that round plain, the integers added to what is there, the work divided as far as it goes; of a result whose
    /// reference takes more than `budget` multiplications, a sample.
    Layer { budget: u64 },
}

impl Depth {
    pub fn budget(self) -> u64 {
        match self {
            Self::Every => u64::MAX,
            Self::Layer { budget } => budget,
        }
    }
}

/// One array that a device computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: &'static str,
    pub values: Vec<f64>,
}

impl Output {
    pub fn new(name: &'static str, values: Vec<f64>) -> Self {
        Self { name, values }
    }
}

/// What an output must be.
#[derive(Clone, Debug)]
pub struct Expected {
    name: &'static str,
    want: Vec<f64>,
    /// The error allowed to each; empty where they must be equal.
    bound: Vec<f64>,
    /// Of a sample: which elements of how many.
    sample: Option<(Vec<usize>, usize)>,
    /// Some devices do not give it.
    optional: bool,
}

impl Expected {
    /// Equal, but for the sign of zero; NaN where NaN is expected.
    pub fn exact(name: &'static str, want: Vec<f64>) -> Self {
        Self { name, want, bound: Vec::new(), sample: None, optional: false }
    }

    pub fn within(name: &'static str, want: Vec<f64>, bound: impl Fn(usize) -> f64) -> Self {
        let bound = (0..want.len()).map(bound).collect();
        Self { bound, ..Self::exact(name, want) }
    }

    /// `want` is of the elements `at` only, of `len`. The others must be numbers: poison is none.
    #[must_use]
    pub fn sampled(mut self, at: Vec<usize>, len: usize) -> Self {
        self.sample = Some((at, len));
        self
    }

    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    fn verdict(&self, got: &[f64]) -> Verdict {
        let len = self.sample.as_ref().map_or(self.want.len(), |s| s.1);
        let wrong = |what: String| Verdict { worst: f64::INFINITY, wrong: Some(format!("{}: {what}", self.name)) };
        if got.len() != len {
            return wrong(format!("{} elements instead of {len}", got.len()));
        }
        if self.sample.is_some()
            && let Some(i) = got.iter().position(|v| v.is_nan())
        {
            return wrong(format!("element {i} of {len} is not a number"));
        }
        let place = |i: usize| self.sample.as_ref().map_or(i, |s| s.0[i]);
        let bound = |i: usize| self.bound.get(i).copied().unwrap_or(0.0);
        let (mut worst, mut first, mut count) = (0.0f64, None, 0);
        for (i, &want) in self.want.iter().enumerate() {
            let excess = ratio(got[place(i)], want, bound(i));
            worst = worst.max(excess);
            if excess > 1.0 {
                count += 1;
                first.get_or_insert(i);
            }
        }
        let wrong = first.map(|i| {
            let (at, allowed) = (place(i), bound(i));
            let all = self.want.len();
            format!(
                "{}: element {at} of {len} is {} instead of {}, {allowed:e} allowed; {count} of {all} wrong",
                self.name, got[at], self.want[i]
            )
        });
        Verdict { worst, wrong }
    }
}

/// How a result compares.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The largest error over its bound; where results must be equal, 0 or infinite.
    pub worst: f64,
    /// The first wrong element of each wrong array.
    pub wrong: Option<String>,
}

type Compute<O> = Box<dyn Fn(&O) -> Result<Vec<Output>> + Send + Sync>;

/// One computation on a device of kind `O`, and what must come out.
pub struct Check<O> {
    /// Which kernel of several, which numbers, what else varies within the case.
    pub detail: String,
    compute: Compute<O>,
    expected: Arc<Vec<Expected>>,
}

impl<O> Check<O> {
    pub fn new(
        detail: impl Into<String>,
        expected: &Arc<Vec<Expected>>,
        compute: impl Fn(&O) -> Result<Vec<Output>> + Send + Sync + 'static,
    ) -> Self {
        Self { detail: detail.into(), compute: Box::new(compute), expected: expected.clone() }
    }

    /// # Errors
    /// Of the device: what it reports of the launch, and of memory written where none was allocated.
    pub fn compute(&self, device: &O) -> Result<Vec<Output>> {
        (self.compute)(device)
    }

    /// Every output must be expected, and every expected array come out unless it is optional.
    pub fn verdict(&self, outputs: &[Output]) -> Verdict {
        let mut all = Verdict { worst: 0.0, wrong: None };
        let mut add = |verdict: Verdict| {
            all.worst = all.worst.max(verdict.worst);
            if let Some(text) = verdict.wrong {
                all.wrong = Some(all.wrong.take().map_or(text.clone(), |before| format!("{before}; {text}")));
            }
        };
        let missing = |what: String| Verdict { worst: f64::INFINITY, wrong: Some(what) };
        for output in outputs {
            match self.expected.iter().find(|e| e.name == output.name) {
                Some(expected) => add(expected.verdict(&output.values)),
                None => add(missing(format!("nothing is expected of '{}'", output.name))),
            }
        }
        for expected in self.expected.iter().filter(|e| !e.optional && !outputs.iter().any(|o| o.name == e.name)) {
            add(missing(format!("'{}' did not come out", expected.name)));
        }
        all
    }
}

type Prepare<O> = Box<dyn Fn(&O) -> Vec<Check<O>> + Send + Sync>;

/// One operation at one shape on one element type: the numbers and the reference are made once, for every kernel of the job.
pub struct Case<O> {
    /// The word that names the files: `conv`, `norm`, ...
    pub subject: &'static str,
    pub op: &'static str,
    pub shape: String,
    pub element: &'static str,
    prepare: Prepare<O>,
}

impl<O> Case<O> {
    pub fn new(
        (subject, op): (&'static str, &'static str),
        shape: impl Into<String>,
        element: &'static str,
        prepare: impl Fn(&O) -> Vec<Check<O>> + Send + Sync + 'static,
    ) -> Self {
        Self { subject, op, shape: shape.into(), element, prepare: Box::new(prepare) }
    }

    /// Makes the numbers and the reference. `device` says which kernels there are, and how it sums.
    pub fn prepare(&self, device: &O) -> Vec<Check<O>> {
        (self.prepare)(device)
    }

    /// What `--only` looks in.
    pub fn name(&self) -> String {
        format!("{} {} {} {}", self.subject, self.op, self.element, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expected: Vec<Expected>, outputs: Vec<Output>) -> Verdict {
        Check::<()>::new("", &Arc::new(expected), |()| Ok(Vec::new())).verdict(&outputs)
    }

    #[test]
    fn names_the_first_wrong_element_and_the_worst_ratio() {
        let expected = || vec![Expected::within("y", vec![1.0, 2.0, 3.0], |_| 0.5), Expected::exact("mask", vec![1.0])];
        let good = verdict(expected(), vec![Output::new("y", vec![1.0, 2.25, 3.0]), Output::new("mask", vec![1.0])]);
        assert_eq!(good, Verdict { worst: 0.5, wrong: None });
        let bad = verdict(expected(), vec![Output::new("y", vec![1.0, 4.0, 9.0]), Output::new("mask", vec![0.0])]);
        let text = bad.wrong.unwrap();
        assert!(bad.worst.is_infinite() && text.contains("y: element 1 of 3 is 4 instead of 2") && text.contains("2 of 3 wrong"), "{text}");
        assert!(text.contains("mask: element 0 of 1"), "{text}");
    }

    #[test]
    fn nothing_is_left_out_unseen() {
        assert!(verdict(vec![Expected::exact("y", vec![1.0])], vec![]).wrong.is_some());
        assert!(verdict(vec![Expected::exact("y", vec![1.0]).optional()], vec![]).wrong.is_none());
        assert!(verdict(vec![], vec![Output::new("y", vec![])]).wrong.is_some());
        let sample = || vec![Expected::exact("y", vec![3.0]).sampled(vec![2], 4)];
        assert!(verdict(sample(), vec![Output::new("y", vec![9.0, 9.0, 3.0, 9.0])]).wrong.is_none());
        assert!(verdict(sample(), vec![Output::new("y", vec![9.0, 9.0, 4.0, 9.0])]).wrong.is_some());
        let poisoned = verdict(sample(), vec![Output::new("y", vec![9.0, f64::NAN, 3.0, 9.0])]).wrong.unwrap();
        assert!(poisoned.contains("element 1 of 4 is not a number"), "{poisoned}");
    }
}
