//! Every setting of a training run: one field a knob, which is a flag, a key of the TOML file and a line of the run's `config.toml`.
//!
//! Precedence: defaults, then the preset of the data (`demo` is small), then `--config`, then flags.

use crate::data::order::Shuffle;
use crate::error::{Error, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }
    };
}

choices!(
    /// `--sched`
    Sched {
        /// Half a cosine from the peak to the floor
        Cosine,
        /// The peak throughout
        Constant,
    }
);
choices!(
    /// `--opt`
    Opt {
        /// SGD with momentum
        Sgd,
    }
);
choices!(
    /// `--augment`
    Augment {
        /// Random resized crop and horizontal flip
        Standard,
        /// Centre crop, no flip
        None,
    }
);
choices!(
    /// `--precision`
    Precision { Bf16, Fp32 }
);

#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Packed training pictures: a folder `pack` wrote, `demo` (generated pictures), or `synthetic` (random pixels, for speed)
    #[arg(long, value_name = "DIR|demo|synthetic", default_value = "demo", help_heading = "Data")]
    pub data: String,
    /// Packed validation pictures
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// Side of the training pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 224, help_heading = "Data")]
    pub train_crop_size: usize,
    /// Side of the validation pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 224, help_heading = "Data")]
    pub val_crop_size: usize,
    /// What is done to training pictures
    #[arg(long, value_enum, default_value_t = Augment::Standard, help_heading = "Data")]
    pub augment: Augment,
    /// Share of the picture's area a random crop takes: LOW,HIGH
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', num_args = 1..=2, default_values_t = [0.08, 1.0], help_heading = "Data")]
    pub rrc_scale: Vec<f64>,
    /// Order of the training pictures
    #[arg(long, value_enum, default_value_t = Shuffle::Full, help_heading = "Data")]
    pub shuffle: Shuffle,
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
    #[arg(long, help_heading = "Model")]
    pub zero_init_residual: bool,
    /// Start from these weights (safetensors, torchvision names)
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,

    /// Passes over the training pictures
    #[arg(long, default_value_t = 90, help_heading = "Schedule")]
    pub epochs: u64,
    /// Stop after this many updates; the schedule still spans --epochs
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Pictures per batch and device
    #[arg(long, short = 'b', value_name = "N", default_value_t = 256, help_heading = "Schedule")]
    pub batch_size: usize,
    /// Batches per update
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Schedule")]
    pub grad_accum: usize,
    /// Peak learning rate; otherwise --lr-base scaled linearly to the batch
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Peak learning rate per --lr-base-size pictures of a batch
    #[arg(long, value_name = "RATE", default_value_t = 0.1, help_heading = "Schedule")]
    pub lr_base: f64,
    #[arg(long, value_name = "N", default_value_t = 256, help_heading = "Schedule")]
    pub lr_base_size: usize,
    /// Shape of the learning rate after the warm-up
    #[arg(long, value_enum, default_value_t = Sched::Cosine, help_heading = "Schedule")]
    pub sched: Sched,
    /// Epochs of linear warm-up (fractions allowed) [default: 5, or half the run where that is shorter; 0 with --sched constant]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_epochs: Option<f64>,
    /// Learning rate of the first update [default: 1% of the peak]
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_lr: Option<f64>,
    /// Floor of the learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-6, help_heading = "Schedule")]
    pub min_lr: f64,

    #[arg(long, value_enum, default_value_t = Opt::Sgd, help_heading = "Optimizer")]
    pub opt: Opt,
    #[arg(long, default_value_t = 0.9, help_heading = "Optimizer")]
    pub momentum: f64,
    /// Nesterov's momentum
    #[arg(long, help_heading = "Optimizer")]
    pub nesterov: bool,
    /// Weight decay of filters and matrices
    #[arg(long, visible_alias = "wd", default_value_t = 1e-4, help_heading = "Optimizer")]
    pub weight_decay: f64,
    /// Weight decay of normalisations
    #[arg(long, default_value_t = 0.0, help_heading = "Optimizer")]
    pub norm_weight_decay: f64,
    /// Weight decay of biases
    #[arg(long, default_value_t = 0.0, help_heading = "Optimizer")]
    pub bias_weight_decay: f64,
    #[arg(long, default_value_t = 0.0, help_heading = "Optimizer")]
    pub label_smoothing: f64,

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
    /// Updates between checkpoints [default: one checkpoint an epoch]
    #[arg(long, value_name = "N", help_heading = "Run")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<u64>,
    /// Checkpoints kept besides the best
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Run")]
    pub checkpoint_hist: usize,
    /// Epochs between validations; the last epoch always has one
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Run")]
    pub val_interval: u64,
    /// Updates between lines of metrics.jsonl and of the terminal
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

#[derive(clap::Parser)]
struct Alone {
    #[command(flatten)]
    config: Config,
}

impl Default for Config {
    /// The defaults of the flags, written once: above.
    fn default() -> Self {
        use clap::Parser;
        Alone::parse_from(["train"]).config
    }
}

/// What `train --data demo` means where neither file nor flag says otherwise: small enough for two CPU cores.
const DEMO: &str = r#"
model = "resnet18"
epochs = 8
batch-size = 32
lr = 0.02
nesterov = true
weight-decay = 5e-5
warmup-epochs = 0.5
train-crop-size = 32
val-crop-size = 32
rrc-scale = [0.8, 1.0]
log-interval = 10
"#;

impl Config {
    /// Settles `flags` (as parsed, `given` telling which were typed) with the preset and the file they name.
    ///
    /// # Errors
    /// `Data` if the file cannot be read; `Usage` for an unknown key or a value of the wrong type in it, with its line.
    pub fn resolve(flags: Self, given: impl Fn(&str) -> bool) -> Result<Self> {
        let internal = |e: toml::ser::Error| Error::internal("settings do not serialise").source(e);
        if i64::try_from(flags.seed).is_err() {
            return Err(Error::usage("must be at most 9223372036854775807").at("--seed")); // TOML knows no larger number
        }
        let mut settled = toml::Table::try_from(&flags).map_err(internal)?;
        let mut file = match &flags.config {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        if flags.resume.is_some() {
            file.remove("max-steps"); // where the last session stopped is not where this one must
        }
        let typed = |key: &str| given(&key.replace('-', "_"));
        let data = file.get("data").filter(|_| !typed("data")).and_then(toml::Value::as_str).unwrap_or(&flags.data);
        let preset: toml::Table = match data {
            "demo" => DEMO.parse().map_err(|e: toml::de::Error| Error::internal("the demo's preset").source(e))?,
            _ => toml::Table::new(),
        };
        for (key, value) in preset.into_iter().chain(file) {
            if !typed(&key) {
                settled.insert(key, value);
            }
        }
        let mut config: Self = settled.try_into().map_err(|e: toml::de::Error| Error::internal("settings do not deserialise").source(e))?;
        (config.threads, config.output, config.resume) = (flags.threads, flags.output, flags.resume);
        (config.config, config.dry_run) = (flags.config, flags.dry_run);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let bad = |flag: &str, what: &str| Err(Error::usage(what).at(flag.to_owned()).next("imagenet-engine train --help"));
        let positive: [(&str, u64); 10] = [
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size as u64),
            ("--grad-accum", self.grad_accum as u64),
            ("--lr-base-size", self.lr_base_size as u64),
            ("--checkpoint-hist", self.checkpoint_hist as u64),
            ("--val-interval", self.val_interval),
            ("--log-interval", self.log_interval),
            ("--save-every", self.save_every.unwrap_or(1)),
            ("--limit-train-batches", self.limit_train_batches.unwrap_or(1)),
            ("--limit-val-batches", self.limit_val_batches.unwrap_or(1)),
        ];
        for (flag, value) in [("--batch-size", self.batch_size as u64), ("--grad-accum", self.grad_accum as u64), ("--epochs", self.epochs)]
        {
            if value > 1 << 24 {
                return bad(flag, "must be at most 16777216");
            }
        }
        if let Some((flag, _)) = positive.iter().find(|(_, v)| *v == 0) {
            return bad(flag, "must be at least 1");
        }
        for (flag, side) in [("--train-crop-size", self.train_crop_size), ("--val-crop-size", self.val_crop_size)] {
            if !(1..=4096).contains(&side) {
                return bad(flag, "must lie between 1 and 4096");
            }
        }
        let &[low, high] = self.rrc_scale.as_slice() else { return bad("--rrc-scale", "needs two numbers, such as 0.08,1") };
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return bad("--rrc-scale", "needs 0 < LOW <= HIGH <= 1");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("--momentum", "must lie in [0, 1)");
        }
        if self.nesterov && self.momentum == 0.0 {
            return bad("--nesterov", "needs --momentum above 0");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return bad("--label-smoothing", "must lie in [0, 1)");
        }
        for (flag, decay) in [
            ("--weight-decay", self.weight_decay),
            ("--norm-weight-decay", self.norm_weight_decay),
            ("--bias-weight-decay", self.bias_weight_decay),
        ] {
            if !(decay.is_finite() && decay >= 0.0) {
                return bad(flag, "must be finite and not negative");
            }
        }
        if self.warmup_epochs.is_some_and(|w| !(w.is_finite() && w >= 0.0)) {
            return bad("--warmup-epochs", "must be finite and not negative");
        }
        Ok(())
    }

    /// The peak learning rate: `--lr`, or `--lr-base` scaled to the batch of one update.
    pub fn peak_lr(&self) -> f64 {
        let batch = (self.batch_size * self.grad_accum) as f64;
        self.lr.unwrap_or(self.lr_base * batch / self.lr_base_size as f64)
    }

    /// As the run's `config.toml`.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::internal("settings do not serialise").source(e))
    }
}

fn read_file(path: &Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::reading(path, e))?;
    let wrong = |e: toml::de::Error| {
        Error::usage("a setting is unknown or has the wrong type")
            .at(path.display().to_string())
            .source(e)
            .next("imagenet-engine train --help lists the settings")
    };
    toml::from_str::<Config>(&text).map_err(wrong)?; // names and types, with their lines
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, flags: &[&str]) -> Result<Config> {
        use clap::{CommandFactory, FromArgMatches};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let args = ["train", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
        let matches = Alone::command().get_matches_from(args);
        let flags = Alone::from_arg_matches(&matches).unwrap().config;
        Config::resolve(flags, |id| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine))
    }

    #[test]
    fn flags_beat_the_file_and_the_file_beats_defaults_and_preset() {
        let c = resolve("epochs = 3\nlr = 0.5\nmodel = 'resnet34'\ndata = 'x'", &["--lr", "0.25", "--epochs", "90"]).unwrap();
        assert_eq!((c.epochs, c.lr, c.model.as_str(), c.batch_size), (90, Some(0.25), "resnet34", 256));
        let demo = resolve("epochs = 3", &[]).unwrap();
        assert_eq!((demo.epochs, demo.model.as_str(), demo.train_crop_size), (3, "resnet18", 32));
        assert_eq!(resolve("", &["--model", "resnet50"]).unwrap().model, "resnet50");
    }

    #[test]
    fn feeding_a_run_s_config_back_gives_the_same_settings() {
        let c = resolve("data = 'x'\nlr = 0.3\nwarmup-epochs = 0.5", &["--nesterov", "--rrc-scale", "0.35,1"]).unwrap();
        let again = resolve(&c.to_toml().unwrap(), &[]).unwrap();
        assert_eq!(again.to_toml().unwrap(), c.to_toml().unwrap());
        assert!(again.nesterov && again.rrc_scale == [0.35, 1.0]);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (file, flags, needle) in [
            ("epoch = 3", &[][..], "unknown field `epoch`"),
            ("epochs = 'many'", &[], "invalid type"),
            ("epochs = 0", &[], "--epochs"),
            ("", &["--rrc-scale", "0.5"], "--rrc-scale"),
            ("", &["--momentum", "1.5"], "--momentum"),
            ("", &["--nesterov", "--momentum", "0"], "--nesterov"),
            ("", &["--wd", "nan"], "--weight-decay"),
        ] {
            let error = resolve(file, flags).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{needle}: {error}");
        }
    }
}
