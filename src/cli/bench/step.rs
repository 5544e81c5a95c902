//! `bench step`: the whole training step.

use super::super::Outcome;
use super::super::device::{Device, Job, open_device, set_threads};
use super::super::output::check_outputs;
use super::super::room::Asked;
use super::step_report::{Kernel, Rate, Report};
use crate::autograd::Profile;
use crate::backend::{Backend, Counters};
use crate::bench::ceilings::{self, Ceilings};
use crate::bench::subjects::Workload;
use crate::bench::{Row, step};
use crate::checkpoint::State;
use crate::cuda::timed::Timed;
use crate::data::Dataset;
use crate::data::crop::parse_side;
use crate::data::loader::{Loader, LoaderOptions, PictureInfo, Source};
use crate::data::made::{Scratch, write_noise};
use crate::data::synthetic::Synthetic;
use crate::data::validation::{Filter, ResizeCrop};
use crate::error::{Error, Result};
use crate::fit::host::Work;
use crate::models::Model;
use crate::train::config::{Config, Precision};
use crate::train::plan::Plan;
use crate::train::step::{Learner, Pictures};
use crate::train::trainer::{self, Datasets};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value = "auto")]
    device: String,
    /// [default: bf16 on cuda, fp32 on cpu]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    #[arg(long, default_value = "resnet50")]
    model: String,
    #[arg(long, short = 'b', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// Side of the images
    #[arg(long, value_name = "PIXELS", value_parser = parse_side, default_value_t = 224)]
    train_crop_size: u32,
    /// Packed images, for a second measurement with loaded ones instead of synthetic; `made`: shards of noise in a temporary folder
    #[arg(long, value_name = "DIR|made")]
    data: Option<PathBuf>,
    /// Steps timed, after two that are not; on a GPU so many times five, from five on
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// The figures as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The figures as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// An epoch of synthetic images: more than any measurement takes.
const PICTURES: usize = 1_281_167;
/// Batches in the shards of `--data made`.
const MADE_BATCHES: usize = 8;
/// On a GPU: steps that follow each other without a look at the device, where so many groups are asked for.
const GROUP: u32 = 5;
/// Steps whose kernels are timed one by one.
const TAKEN_APART: usize = 2;

/// Augmentation from raw bytes, forward, loss, backward and SGD, as `train` does them; the median counts. On a GPU steps follow each other
/// without waiting, as in training, and are looked at five by five.
///
/// # Errors
/// Those of the step and of the images; `Write` for the files.
pub fn run(args: &Args) -> Result<Outcome> {
    let began = Instant::now();
    check_outputs(crate::files::Kind::Report, [args.json.as_ref(), args.csv.as_ref()])?;
    set_threads(args.threads)?;
    let device = open_device(&args.device)?;
    let precision = device.precision(args.precision)?;
    let config = Config {
        model: args.model.clone(),
        batch_size: args.batch_size as usize,
        train_crop_size: args.train_crop_size as usize,
        warmup_epochs: Some(0.0),
        lr: Some(0.01),
        epochs: 1,
        ..Config::default()
    };
    let (mut loaded, mut made) = (None::<Arc<dyn Source>>, None);
    if let Some(dir) = &args.data {
        let noise = (dir == Path::new("made")).then(|| make(&config)).transpose()?;
        loaded = Some(Arc::new(Dataset::open(noise.as_ref().map_or(dir, |scratch| scratch.path()))?));
        made = noise; // stays until the end
    }
    let synthetic: Arc<dyn Source> = Arc::new(match &loaded {
        None => super::super::datasets::synthetic(config.train_crop_size, config.seed),
        Some(data) => {
            let PictureInfo { width, height, .. } = data.info(0)?;
            Synthetic::new(PICTURES, width, height, data.classes().len() as u32, config.seed)
        }
    });
    let model = Model::new(&config.model, synthetic.classes().len(), false)?;
    let transform = ResizeCrop { resize: args.train_crop_size, crop: args.train_crop_size, filter: Filter::Bilinear };
    for source in std::iter::once(&synthetic).chain(&loaded) {
        let data = Datasets { train: source.clone(), val: None, transform };
        Asked { device: &device, precision, work: Work::Trial, open: false }.settle(config.clone(), &model, &data)?;
    }
    let work = if precision == Precision::Bf16 { work_of(&device, &model, &config)? } else { None };
    let group = if matches!(device, Device::Cpu) || args.steps < GROUP { 1 } else { GROUP };
    let name = device.describe(precision);
    let report = device.run(precision, Measure { args, name, precision, config, model, synthetic, loaded, work, group, began })?;
    drop(made);
    report.print();
    report.write(args.json.as_deref(), args.csv.as_deref())?;
    Ok(Outcome::Done)
}

/// Shards of noise for several batches, the size of what `train` takes crops of that size from.
fn make(config: &Config) -> Result<Scratch> {
    let scratch = Scratch::new("bench-step")?;
    let side = (config.train_crop_size as u32 * 8).div_ceil(7) as u16;
    let count = MADE_BATCHES * config.batch_size;
    write_noise(scratch.path(), count, side, 1000, count.div_ceil(2))?;
    Ok(scratch)
}

/// What a step's operations must do at least, and how fast this GPU is at most; none where nobody asks.
fn work_of(device: &Device, model: &Model, config: &Config) -> Result<Option<(Vec<Row>, Ceilings)>> {
    let Device::Cuda(gpu) = device else { return Ok(None) };
    let workload = Workload::of(model, config.batch_size, config.train_crop_size)?;
    Ok(Some((step::work(workload, gpu.properties())?, ceilings::measure(gpu)?)))
}

struct Measure<'a> {
    args: &'a Args,
    name: String,
    precision: Precision,
    config: Config,
    model: Model,
    synthetic: Arc<dyn Source>,
    loaded: Option<Arc<dyn Source>>,
    work: Option<(Vec<Row>, Ceilings)>,
    /// Steps that are timed together.
    group: u32,
    began: Instant,
}

impl Job for Measure<'_> {
    type Output = Report;

    fn run<B: Backend>(self, backend: B) -> Result<Report> {
        let Self { config, model, synthetic, .. } = &self;
        let plan = Plan::new(config, synthetic.len() as u64)?;
        let state = State::fresh(model.layout.init(config.seed), model.layout.init_running());
        let options = plan.learner_options(config, model);
        let parameters = model.layout.len();
        let mut learner = Learner::new(backend, model.clone(), options, &state, Counters::default())?;
        drop(state); // the size of all weights
        let mut batches = self.batches(synthetic)?;
        take_step(&mut learner, &mut batches)?;
        end_steps(&mut learner)?;
        let start_up_s = self.began.elapsed().as_secs_f64();
        take_step(&mut learner, &mut batches)?;
        end_steps(&mut learner)?;
        let synthetic = self.rate(&mut learner, &mut batches)?;
        let kernels = self.kernels(&mut learner, &mut batches, synthetic.median_s)?;
        drop(batches);
        let loaded = match &self.loaded {
            None => None,
            Some(source) => {
                let mut batches = self.batches(source)?;
                for _ in 0..2 {
                    take_step(&mut learner, &mut batches)?;
                }
                end_steps(&mut learner)?;
                Some(self.rate(&mut learner, &mut batches)?)
            }
        };
        Ok(Report {
            device: self.name.clone(),
            precision: self.precision,
            model: config.model.clone(),
            parameters,
            crop_size: config.train_crop_size,
            batch: config.batch_size,
            start_up_s,
            synthetic,
            loaded,
            kernels,
        })
    }
}

/// Batches of `size`, ready for the step.
struct Batches {
    loader: Loader,
    size: usize,
}

impl Iterator for Batches {
    type Item = Result<Pictures>;

    fn next(&mut self) -> Option<Self::Item> {
        self.loader.next().map(|batch| batch.map(|b| trainer::pictures(b, self.size)))
    }
}

impl Measure<'_> {
    /// As many epochs of `source` as the steps may need.
    fn batches(&self, source: &Arc<dyn Source>) -> Result<Batches> {
        let epochs = 1 << 20;
        let loader = LoaderOptions::train(self.config.batch_size, self.args.train_crop_size, (0.08, 1.0), self.config.seed, epochs);
        Ok(Batches { loader: Loader::new(source.clone(), &loader)?, size: self.config.train_crop_size })
    }

    fn rate<B: Backend>(&self, learner: &mut Learner<B>, batches: &mut Batches) -> Result<Rate> {
        let mut times = Vec::new();
        for _ in 0..self.args.steps {
            // On a CPU the loader's work is that of other threads, and a batch is there when the step begins.
            let mut ready = if self.group == 1 { batches.next() } else { None };
            let start = Instant::now();
            for _ in 0..self.group {
                match ready.take() {
                    Some(pictures) => step_on(learner, pictures?)?,
                    None => take_step(learner, batches)?,
                }
            }
            end_steps(learner)?;
            times.push(start.elapsed().as_secs_f64() / f64::from(self.group));
        }
        Ok(Rate::of(times, self.config.batch_size))
    }

    /// Where the time of a step goes: by kernel on a GPU, by operation elsewhere.
    fn kernels<B: Backend>(&self, learner: &mut Learner<B>, batches: &mut Batches, step_s: f64) -> Result<Vec<Kernel>> {
        let backend = learner.backend().clone();
        let (mut launches, mut profile, mut update_s, mut timed) = (Vec::new(), Profile::default(), 0.0, true);
        for _ in 0..TAKEN_APART {
            learner.forget_recordings();
            let mut pictures = Some(next(batches)?);
            let found = backend.time_launches(&mut || pictures.take().map_or(Ok(()), |p| step_on(learner, p)))?;
            end_steps(learner)?;
            match found {
                Some(found) => launches.extend(found),
                None => timed = false,
            }
            if !timed {
                break;
            }
        }
        if timed {
            let unknown = (Vec::new(), Ceilings::default());
            let (work, ceilings) = self.work.as_ref().unwrap_or(&unknown);
            return Ok(Kernel::of_launches(&step::breakdown(&launches, TAKEN_APART, work, ceilings), step_s));
        }
        for _ in 0..TAKEN_APART {
            learner.accumulate(next(batches)?, Some(&mut profile))?;
            let before_update = Instant::now();
            learner.apply()?;
            end_steps(learner)?;
            update_s += before_update.elapsed().as_secs_f64();
        }
        Ok(Kernel::of_profile(&profile, update_s, TAKEN_APART, step_s))
    }
}

fn next(batches: &mut Batches) -> Result<Pictures> {
    batches.next().ok_or_else(|| Error::internal("the loader ended").at("bench step"))?
}

fn take_step<B: Backend>(learner: &mut Learner<B>, batches: &mut Batches) -> Result<()> {
    step_on(learner, next(batches)?)
}

fn step_on<B: Backend>(learner: &mut Learner<B>, pictures: Pictures) -> Result<()> {
    learner.accumulate(pictures, None)?;
    learner.apply()?;
    look(learner, false)
}

/// Waits for the device.
fn end_steps<B: Backend>(learner: &mut Learner<B>) -> Result<()> {
    look(learner, true)
}

fn look<B: Backend>(learner: &mut Learner<B>, all: bool) -> Result<()> {
    let reports = learner.reports(all)?;
    match reports.iter().find(|r| !r.measured.finite || r.measured.overflowed) {
        Some(bad) => Err(Error::non_finite("the loss is not finite").at(format!("step {}", bad.update))),
        None => Ok(()),
    }
}
