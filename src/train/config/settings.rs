//! Every setting of a training run: one field a knob, which is a flag, a key of the TOML file and a line of the run's `config.toml`.

use super::choices::{AnnealShape, Augment, OnSaveError, Opt, Precision, Sched, StopOrSkip};
use crate::data::order::Shuffle;
use crate::data::reading::{Io, PageCache, VerifyReads};
use crate::data::validation::Filter;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Packed training images: a folder `pack` wrote, `demo` (generated images, what `train` alone does), or `synthetic` (random pixels,
    /// for speed)
    #[arg(long, value_name = "DIR|demo|synthetic", default_value = "demo", hide_default_value = true, help_heading = "Data")]
    pub data: String,
    /// Packed validation images
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// Let --data and --val be the same images: validation then measures what was learned by heart
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Data")]
    pub allow_same: bool,
    /// Let --data be a folder packed as the split val and --val one packed as train
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Data")]
    pub allow_swapped: bool,
    /// Side of the network's input in training
    #[arg(long, value_name = "PIXELS", default_value_t = 224, help_heading = "Data")]
    pub train_crop_size: usize,
    /// Validation: torchvision's CenterCrop, and the side of the network's input
    #[arg(long, value_name = "PIXELS", default_value_t = 224, help_heading = "Data")]
    pub val_crop_size: usize,
    /// Validation: torchvision's Resize before the crop [default: the packed size if the crop takes 7/8 of it or more, else crop / 0.875]
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_resize_size: Option<usize>,
    /// Validation: timm's way to say the same: resize to floor(crop / SHARE)
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop_pct: Option<f64>,
    /// Validation: filter of the resize
    #[arg(long, value_enum, default_value_t = Filter::Bilinear, help_heading = "Data")]
    pub val_interpolation: Filter,
    /// What is done to training images
    #[arg(long, value_enum, default_value_t = Augment::Standard, help_heading = "Data")]
    pub augment: Augment,
    /// Share of the image's area a random crop takes: LOW,HIGH
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', action = clap::ArgAction::Set, num_args = 1..=2, default_values_t = [0.08, 1.0], help_heading = "Data")]
    pub rrc_scale: Vec<f64>,
    /// Order of the training images
    #[arg(long, value_enum, default_value_t = Shuffle::Full, help_heading = "Data")]
    pub shuffle: Shuffle,
    /// Neighbouring records that --shuffle block keeps together on disk [default: 256]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..=1 << 32), help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffle_block: Option<u64>,
    /// Blocks among whose records --shuffle block mixes [default: 32]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..=1 << 24), help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffle_window: Option<u64>,
    /// How bytes are read: pread, mmap (a file cut while in use ends the process), auto (mmap on known local file systems)
    #[arg(long, value_enum, default_value_t = Io::Pread, help_heading = "Data")]
    pub io: Io,
    /// When the CRC of a record is checked
    #[arg(long, value_enum, default_value_t = VerifyReads::Always, help_heading = "Data")]
    pub verify_reads: VerifyReads,
    /// What the page cache is told of coming images: auto steers it where they do not fit memory
    #[arg(long, value_enum, default_value_t = PageCache::Auto, help_heading = "Data")]
    pub page_cache: PageCache,
    /// What a damaged record does: stop (exit 65), or skip:N to put the next one in its place N times at most
    #[arg(long, value_name = "stop|skip:N", default_value_t = StopOrSkip::Stop, help_heading = "Data")]
    pub on_bad_record: StopOrSkip,
    /// Threads that read training images ahead [default: a quarter of the cores, 8 at most]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256), help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
    /// Use only the first N training batches of each epoch
    #[arg(long, value_name = "N", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_train_batches: Option<u64>,
    /// Use only the first N validation batches
    #[arg(long, value_name = "N", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_val_batches: Option<u64>,

    /// The network: resnet18, 34, 50, 101, 152
    #[arg(long, default_value = "resnet50", help_heading = "Model")]
    pub model: String,
    /// Start the last normalisation of each block at scale 0
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Model")]
    pub zero_init_residual: bool,
    /// Start from these weights (safetensors, torchvision names)
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,

    /// Passes over the training images
    #[arg(long, default_value_t = 90, help_heading = "Schedule")]
    pub epochs: u64,
    /// Stop after this many steps, with an evaluation; the schedule still spans --epochs
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Images per batch and device; on a CPU, where it is not given, a smaller one that fits memory is taken as --grad-accum parts
    #[arg(long, short = 'b', value_name = "N", default_value_t = 256, help_heading = "Schedule")]
    pub batch_size: usize,
    /// Batches per step
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Schedule")]
    pub grad_accum: usize,
    /// Peak learning rate; otherwise --lr-base scaled linearly to the batch
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Peak learning rate per --lr-base-size images of a step [default: sgd 0.1, adamw 1e-3, lion 1e-4, lars 1, lamb 1e-3]
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_base: Option<f64>,
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = "Schedule")]
    pub lr_base_size: usize,
    /// Shape of the learning rate after the warm-up
    #[arg(long, value_enum, default_value_t = Sched::Cosine, help_heading = "Schedule")]
    pub sched: Sched,
    /// Epochs of linear warm-up, fractions allowed [default: 5, or half the run where that is shorter; 0 with constant and onecycle]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_epochs: Option<f64>,
    /// Learning rate of the first step [default: 1% of the peak]
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_lr: Option<f64>,
    /// Floor of the learning rate (constant and onecycle have none)
    #[arg(long, value_name = "RATE", default_value_t = 1e-6, help_heading = "Schedule")]
    pub min_lr: f64,
    /// step: epochs between drops
    #[arg(long, value_name = "N", default_value_t = 30.0, help_heading = "Schedule")]
    pub decay_epochs: f64,
    /// multistep: epochs at which the rate drops, counted from the start of the run, such as 30,60,80
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', action = clap::ArgAction::Set, help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decay_milestones: Vec<f64>,
    /// step, multistep: what a drop multiplies the rate with
    #[arg(long, value_name = "FACTOR", default_value_t = 0.1, help_heading = "Schedule")]
    pub decay_rate: f64,
    /// sgdr: epochs of the first cycle [default: so that three cycles fill the run]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_epochs: Option<f64>,
    /// sgdr: each cycle is so many times as long as the one before
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Schedule")]
    pub cycle_mul: u64,
    /// sgdr: each cycle's peak is so many times as high as the one before
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, help_heading = "Schedule")]
    pub cycle_decay: f64,
    /// poly: the power of what is left of the run
    #[arg(long, value_name = "POWER", default_value_t = 2.0, help_heading = "Schedule")]
    pub poly_power: f64,
    /// onecycle: the share of the run that goes up, a fraction
    #[arg(long, value_name = "FRACTION", default_value_t = 0.3, help_heading = "Schedule")]
    pub pct_start: f64,
    /// onecycle: the first rate is the peak divided by this
    #[arg(long, value_name = "FACTOR", default_value_t = 25.0, help_heading = "Schedule")]
    pub div_factor: f64,
    /// onecycle: the last rate is the first divided by this
    #[arg(long, value_name = "FACTOR", default_value_t = 1e4, help_heading = "Schedule")]
    pub final_div_factor: f64,
    /// onecycle: down to the first rate as slowly as up, and only then to the last
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Schedule")]
    pub three_phase: bool,
    /// onecycle: how a phase goes
    #[arg(long, value_enum, default_value_t = AnnealShape::Cos, help_heading = "Schedule")]
    pub anneal: AnnealShape,
    /// onecycle: move momentum (beta1 of adamw, lion, lamb) against the rate
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Schedule")]
    pub cycle_momentum: bool,
    /// onecycle: momentum at the peak
    #[arg(long, value_name = "MOMENTUM", default_value_t = 0.85, help_heading = "Schedule")]
    pub base_momentum: f64,
    /// onecycle: momentum at the start and the end
    #[arg(long, value_name = "MOMENTUM", default_value_t = 0.95, help_heading = "Schedule")]
    pub max_momentum: f64,

    /// The optimizer
    #[arg(long, value_enum, default_value_t = Opt::Sgd, help_heading = "Optimizer")]
    pub opt: Opt,
    /// Momentum of sgd and lars
    #[arg(long, default_value_t = 0.9, help_heading = "Optimizer")]
    pub momentum: f64,
    /// Nesterov's momentum (sgd, lars)
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Optimizer")]
    pub nesterov: bool,
    /// Share of the gradient kept out of sgd's momentum after the first step
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Optimizer")]
    pub dampening: f64,
    /// Decay of the moments [default: adamw and lamb 0.9,0.999, lion 0.9,0.99]
    #[arg(long, value_name = "BETA1,BETA2", value_delimiter = ',', action = clap::ArgAction::Set, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_betas: Option<Vec<f64>>,
    /// Added to denominators [default: adamw and lars 1e-8, lamb 1e-6]
    #[arg(long, value_name = "EPS", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_eps: Option<f64>,
    /// lars: the trust ratio's factor
    #[arg(long, value_name = "FACTOR", default_value_t = 1e-3, help_heading = "Optimizer")]
    pub trust_coefficient: f64,
    /// Weight decay of filters and matrices [default: sgd and lars 1e-4, adamw and lamb 0.01, lion 0]
    #[arg(long, visible_alias = "wd", value_name = "DECAY", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Weight decay of normalisations
    #[arg(long, value_name = "DECAY", default_value_t = 0.0, help_heading = "Optimizer")]
    pub norm_weight_decay: f64,
    /// Weight decay of biases
    #[arg(long, value_name = "DECAY", default_value_t = 0.0, help_heading = "Optimizer")]
    pub bias_weight_decay: f64,
    /// Scale gradients down to this global norm, 0 for never [default: 0; lamb 1]
    #[arg(long, value_name = "NORM", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    #[arg(long, default_value_t = 0.0, help_heading = "Optimizer")]
    pub label_smoothing: f64,
    /// Keep a moving average of the weights, evaluated beside them
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Optimizer")]
    pub model_ema: bool,
    /// How much of the average a step keeps, in the long run; step t keeps at most (1+t)/(10+t)
    #[arg(long, value_name = "DECAY", default_value_t = 0.9998, help_heading = "Optimizer")]
    pub model_ema_decay: f64,
    /// What a loss or gradient that is not finite does: stop (exit 76), or skip:N to leave out N such steps at most
    #[arg(long, value_name = "stop|skip:N", default_value_t = StopOrSkip::Stop, help_heading = "Optimizer")]
    pub on_nonfinite: StopOrSkip,

    /// Seed of weights, order and augmentation
    #[arg(long, default_value_t = 42, help_heading = "Run")]
    pub seed: u64,
    /// auto, cpu, cuda, cuda:N, emulated
    #[arg(long, default_value = "auto", help_heading = "Run")]
    pub device: String,
    /// Arithmetic [default: fp32 on cpu, bf16 on cuda]
    #[arg(long, value_enum, help_heading = "Run")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// CPU threads [default: all]; results do not depend on it
    #[arg(long, value_name = "N", help_heading = "Run")]
    #[serde(skip)]
    pub threads: Option<usize>,
    /// Where the run goes [default: runs/<date>-<model>]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    #[serde(skip)]
    pub output: Option<PathBuf>,
    /// Go on from the newest checkpoint in --output (auto; fresh if there is none), or from this checkpoint
    #[arg(long, value_name = "auto|PATH", help_heading = "Run")]
    #[serde(skip)]
    pub resume: Option<String>,
    /// Steps between checkpoints [default: one checkpoint an epoch]
    #[arg(long, value_name = "N", help_heading = "Run")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<u64>,
    /// Checkpoints kept besides the best
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Run")]
    pub checkpoint_hist: usize,
    /// What a checkpoint that cannot be written does, a full disk say: stop (exit 73), or warn and go on to the next
    #[arg(long, value_enum, default_value_t, help_heading = "Run")]
    #[serde(skip_serializing_if = "OnSaveError::is_stop")]
    pub on_save_error: OnSaveError,
    /// Epochs between validations; the last epoch always has one
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Run")]
    pub val_interval: u64,
    /// Steps between lines of metrics.jsonl and of the terminal
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Run")]
    pub log_interval: u64,
    /// Settings in TOML, as the config.toml of a run; flags override
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Check everything, say what would run, and stop
    #[arg(long, help_heading = "Run")]
    #[serde(skip)]
    pub dry_run: bool,
}
