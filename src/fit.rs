//! Whether a run fits a device's memory, before anything is taken of it: the run's own host code on a device of paper, for the batch that
//! was asked for and, if that does not fit, for others until the largest that does is found. [`host`] does the same for a run on the CPU.

pub mod host;

use crate::backend::{Counters, Crop, PictureView, StoredBatch};
use crate::checkpoint::State;
use crate::cuda::Element;
use crate::cuda::backend::Cuda;
use crate::cuda::paper::Paper;
use crate::cuda::timed::Properties;
use crate::data::held::Held;
use crate::data::loader::{LoaderOptions, Source};
use crate::data::validation::ResizeCrop;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::text::count;
use crate::train::config::{Config, Precision};
use crate::train::plan::Plan;
use crate::train::step::{Learner, LearnerOptions, Pictures};
use half::bf16;

/// Batches of an evaluation that are gone through: none after them needs memory that these did not.
const MOST_BATCHES: u64 = 8;

/// What a run asks of a device.
#[derive(Clone, Debug)]
pub struct Demand<'a> {
    pub config: &'a Config,
    pub precision: Precision,
    pub model: Model,
    /// Training pictures.
    pub pictures: u64,
    /// Width and height of the largest seen.
    pub stored: (u32, u32),
    /// Validation images.
    pub validated: u64,
    /// Width and height in which they reach the device.
    pub evaluated: (u32, u32),
}

impl<'a> Demand<'a> {
    /// Of training `model` on `train`.
    ///
    /// # Errors
    /// Those of the pictures.
    pub fn new(
        config: &'a Config,
        precision: Precision,
        model: Model,
        train: &dyn Source,
        val: Option<(&dyn Source, ResizeCrop)>,
    ) -> Result<Self> {
        let loader = LoaderOptions::train(config.batch_size, config.train_crop_size as u32, (1.0, 1.0), 0, 1);
        let stored = Held::of(train, &loader)?.size;
        // What is resized for evaluation is so on the host.
        let evaluated = val.map_or(Ok((1, 1)), |(v, t)| Held::prepared(v, t).map(|held| held.size))?;
        let (pictures, validated) = (train.len() as u64, val.map_or(0, |(v, _)| v.len() as u64));
        Ok(Self { config, precision, model, pictures, stored, validated, evaluated })
    }

    /// Bytes of device memory that training and evaluation with batches of `batch` take on a device like `device`.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn bytes(&self, batch: usize, device: &Properties) -> Result<usize> {
        let model = self.model.clone();
        // The shape of the schedule is the same for every batch, its length but not much.
        let options = Plan::new(self.config, self.pictures)?.learner_options(self.config, &model);
        let paper = Paper::new(device);
        match self.precision {
            Precision::Fp32 => self.run(&Cuda::<_, f32>::new(paper.clone())?, model, options, batch)?,
            Precision::Bf16 => self.run(&Cuda::<_, bf16>::new(paper.clone())?, model, options, batch)?,
        }
        Ok(paper.peak())
    }

    /// Two updates, so that everything has been met, and an evaluation with its last batch.
    fn run<T: Element>(&self, backend: &Cuda<Paper, T>, model: Model, options: LearnerOptions, batch: usize) -> Result<()> {
        let state = State::fresh(vec![0.0; model.layout.len()], model.layout.init_running());
        let mut learner = Learner::new(backend.clone(), model, options, &state, Counters::default())?;
        for _ in 0..2 {
            for _ in 0..self.config.grad_accum {
                learner.accumulate(images(self.stored, batch, self.config.train_crop_size), None)?;
            }
            learner.apply()?;
            learner.reports(true)?;
        }
        let (whole, rest) = (self.validated / batch as u64, (self.validated % batch as u64) as usize);
        let mut scorer = learner.scorer(false)?;
        // Some whole batches, since results of one are still on their way when the next begins.
        let whole = (0..whole.min(MOST_BATCHES)).map(|_| batch);
        for count in whole.chain([rest]).filter(|&count| count > 0) {
            scorer.begin(images(self.evaluated, count, self.config.val_crop_size))?;
            scorer.sums(false)?;
        }
        scorer.sums(true).map(drop)
    }

    /// The largest batch below `above` that takes at most `free` bytes; none if one picture is too many.
    ///
    /// # Errors
    /// Those of the settings.
    pub fn largest_batch(&self, above: usize, free: usize, device: &Properties) -> Result<Option<usize>> {
        let (mut too_few, mut too_many, mut fits) = (0, above, None);
        while too_few + 1 < too_many {
            let middle = usize::midpoint(too_few, too_many);
            match self.bytes(middle, device) {
                Ok(bytes) if bytes > free => too_many = middle,
                Ok(_) => (too_few, fits) = (middle, Some(middle)),
                // Batch norm wants more than one value a channel.
                Err(Error::Usage(_)) => too_few = middle,
                Err(other) => return Err(other),
            }
        }
        Ok(fits)
    }

    /// Refuses what does not fit into `free` bytes, with the batch that does.
    ///
    /// # Errors
    /// `Device` if it does not fit, and those of the settings.
    pub fn check(&self, free: usize, device: &Properties) -> Result<()> {
        let Config { batch_size, grad_accum, model, .. } = self.config;
        let needed = self.bytes(*batch_size, device)?;
        if needed <= free {
            return Ok(());
        }
        let error = Error::device(format!(
            "out of device memory: a batch of {} needs {}, {} are free",
            count(*batch_size as u64),
            gib(needed),
            gib(free)
        ))
        .at(format!("{}, {model} at {} pixels in {}", device.name, self.config.train_crop_size, self.precision.name()));
        let Some(largest) = self.largest_batch(*batch_size, free, device)? else {
            return Err(error
                .because("not even one image fits beside weights, gradients and the optimizer's state")
                .next("nvidia-smi shows who holds the memory; a smaller --model, or --device cpu"));
        };
        // The largest part of the batch that divides it keeps the update, and so the run, as asked for.
        let part = (1..=largest).rev().find(|part| batch_size % part == 0).unwrap_or(1);
        Err(error.because("the batch is too large for this device, or another program holds its memory (nvidia-smi)").next(format!(
            "--batch-size {largest} fits; --batch-size {part} --grad-accum {} makes the same steps",
            batch_size / part * grad_accum
        )))
    }
}

/// Bytes for people.
pub fn gib(bytes: usize) -> String {
    if bytes < 1 << 30 {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    } else {
        format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
    }
}

/// A batch of `count` images of one size for a network input of `size`.
fn images((width, height): (u32, u32), count: usize, size: usize) -> Pictures {
    let bytes = 3 * width as usize * height as usize;
    let crop = Crop::resized((0, 0, width, height), size as u32, false);
    let views = (0..count).map(|i| PictureView { offset: i * bytes, width, height, crop }).collect();
    let stored = StoredBatch { pixels: vec![0; count * bytes].into(), views, labels: vec![0; count] };
    Pictures { stored, size, mean: [0.0; 3], std: [1.0; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::Synthetic;
    use crate::data::validation::Filter;

    /// ResNet-50 on 256 pictures: what is said to fit runs on a device with that memory, and one picture more does not.
    #[test]
    fn the_largest_batch_runs_and_the_next_does_not() {
        let config = Config { lr: Some(0.1), ..Config::default() };
        let pictures = Synthetic::new(5000, 256, 256, 1000, 1);
        let model = Model::new("resnet50", 1000, false).unwrap();
        let as_stored = ResizeCrop { resize: 256, crop: 224, filter: Filter::Bilinear };
        let demand = Demand::new(&config, Precision::Bf16, model, &pictures, Some((&pictures, as_stored))).unwrap();
        let device = Properties { multiprocessors: 132, ..Properties::default() };
        let whole = demand.bytes(256, &device).unwrap();
        assert!((10 << 30..20 << 30).contains(&whole), "{whole}");
        let free = whole / 2;
        let largest = demand.largest_batch(256, free, &device).unwrap().unwrap();
        let fits = |batch| {
            let backend = Cuda::<_, bf16>::new(Paper::new(&device).with_memory(free)).unwrap();
            let options = Plan::new(&config, 5000).unwrap().learner_options(&config, &demand.model);
            demand.run(&backend, demand.model.clone(), options, batch)
        };
        fits(largest).unwrap();
        assert!(fits(largest + 1).unwrap_err().to_string().contains("out of device memory"));
        let said = demand.check(free, &device).unwrap_err().to_string();
        assert!(said.contains(&format!("--batch-size {largest} fits")) && said.contains("makes the same steps"), "{said}");
        assert!(demand.check(whole, &device).is_ok());
        assert!(demand.check(1 << 20, &device).unwrap_err().to_string().contains("not even one image"));
    }
}
