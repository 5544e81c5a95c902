//! Every setting of a training run, and where its value comes from: defaults, then the preset of the data (`demo` is small), then
//! `--config`, then flags.

mod check;
mod choices;
mod optimizer;
mod ranges;
mod schedule;
mod settings;

pub use choices::{AnnealShape, Augment, OnSaveError, Opt, Precision, Sched, StopOrSkip};
pub use ranges::expected;
pub use schedule::Resolved;
pub use settings::Config;

use crate::error::{Error, Result};
use crate::files;
use crate::text::nearest;
use std::path::Path;

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
        flags.check_paths()?;
        flags.check_integers()?;
        let internal = |e: toml::ser::Error| Error::internal("settings do not serialise").source(e);
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
        let mut preset: toml::Table = match data {
            "demo" => DEMO.parse().map_err(|e: toml::de::Error| Error::internal("the demo's preset").source(e))?,
            _ => toml::Table::new(),
        };
        // Settings that belong to others give way with them, unless they were typed themselves.
        let says = |key: &str, word: &str| {
            let value = if typed(key) { settled.get(key) } else { file.get(key).or(settled.get(key)) };
            value.and_then(toml::Value::as_str) == Some(word)
        };
        let mut gone: Vec<&str> = Vec::new();
        if !says("opt", "sgd") {
            gone.extend(["lr", "weight-decay", "nesterov"]);
        }
        if ["momentum", "dampening"].iter().any(|key| typed(key) || file.contains_key(*key)) {
            gone.push("nesterov");
        }
        if says("sched", "onecycle") || says("sched", "constant") {
            gone.push("warmup-epochs");
        }
        if typed("lr-base") || file.contains_key("lr-base") {
            gone.push("lr");
        }
        gone.iter().for_each(|key| drop(preset.remove(*key)));
        let others = file.get("opt").and_then(toml::Value::as_str).is_some_and(|opt| !says("opt", opt));
        if others {
            ["lr", "lr-base", "weight-decay", "clip-grad-norm", "opt-betas", "opt-eps", "nesterov"]
                .iter()
                .for_each(|key| drop(file.remove(*key)));
        }
        // Two ways to say one thing: what was typed replaces what the file says.
        for (typed_key, other) in [("lr-base", "lr"), ("crop-pct", "val-resize-size"), ("val-resize-size", "crop-pct")] {
            if typed(typed_key) {
                file.remove(other);
            }
        }
        for (key, value) in preset.into_iter().chain(file) {
            if !typed(&key) {
                settled.insert(key, value);
            }
        }
        let mut config: Self = settled.try_into().map_err(|e: toml::de::Error| Error::internal("settings do not deserialise").source(e))?;
        (config.threads, config.output, config.resume) = (flags.threads, flags.output, flags.resume);
        (config.config, config.dry_run) = (flags.config, flags.dry_run);
        config.settle_optimizer();
        config.check()?;
        Ok(config)
    }

    /// Whether neither a flag nor the file that `self` names nor the demo's preset says how large a batch is. To be asked before
    /// [`Config::resolve`].
    ///
    /// # Errors
    /// Those of the file.
    pub fn leaves_batch_open(&self, given: impl Fn(&str) -> bool) -> Result<bool> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let in_file = if given("data") { None } else { file.get("data").and_then(toml::Value::as_str) };
        Ok(!given("batch_size") && !file.contains_key("batch-size") && in_file.unwrap_or(&self.data) != "demo")
    }

    /// Whether the file that `self` names says which images to train on.
    ///
    /// # Errors
    /// Those of the file.
    pub fn names_data(&self) -> Result<bool> {
        self.config.as_deref().map_or(Ok(false), |path| Ok(read_file(path)?.contains_key("data")))
    }

    /// As the run's `config.toml`.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::internal("settings do not serialise").source(e))
    }
}

/// Bytes of a file of settings: ours have two thousand.
const MOST_SETTINGS: u64 = 1 << 20;

fn read_file(path: &Path) -> Result<toml::Table> {
    let text = String::from_utf8(files::read_file(path, MOST_SETTINGS)?)
        .map_err(|e| Error::usage("settings are text in TOML").at(path.display().to_string()).source(e))?;
    let place = |line: usize| format!("{}, line {line}", path.display());
    if let Some((line, what)) = other_format(&text) {
        return Err(Error::usage(format!("settings are TOML, and this looks like {what}"))
            .at(place(line))
            .next("one setting a line: epochs = 90; opt = \"sgd\"; decay-milestones = [30, 60]. A run's config.toml shows them all"));
    }
    let wrong = |e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let unknown = e.message().strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        if let Some((key, rest)) = unknown {
            // The names that serde lists stand between the other backticks.
            let near = nearest(key, rest.split('`').skip(1).step_by(2)).map(|near| format!("{near}? "));
            return Error::usage(format!("there is no setting '{key}'"))
                .at(place(line))
                .next(format!("{}imagenet-engine train --help lists the settings", near.unwrap_or_default()));
        }
        let near = e.span().and_then(|span| text.get(..span.end)).and_then(|until| until.lines().rfind(|line| line.contains('=')));
        if let (Some((key, value)), Some(wanted)) = (near.and_then(|line| line.split_once('=')), wanted(e.message())) {
            let key = key.trim();
            let wanted = expected(&format!("--{key}")).unwrap_or(wanted);
            return Error::usage(format!("{key} = {}: expected {wanted}", value.trim()))
                .at(place(line))
                .next("imagenet-engine train --help lists the settings");
        }
        Error::usage("a setting has the wrong type, or this is no TOML")
            .at(place(line))
            .source(e)
            .next("imagenet-engine train --help lists the settings")
    };
    toml::from_str::<Config>(&text).map_err(wrong)?; // names and types, with their lines
    text.parse().map_err(wrong)
}

/// What serde wanted, as people say it; nothing for a message about something else than a value.
fn wanted(message: &str) -> Option<String> {
    let of_value = ["invalid type", "invalid value", "unknown variant"].iter().any(|start| message.starts_with(start));
    let what = message.split_once("expected ").filter(|_| of_value)?.1;
    Some(match what {
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "text in quotes".to_owned(),
        "a sequence" => "numbers in brackets, such as [30, 60]".to_owned(),
        "f64" => "a number, such as 0.1 or 1e-3".to_owned(),
        "u64" | "usize" => "a whole number of at least 0".to_owned(),
        words => words.replace('`', ""),
    })
}

/// The first line that is of another format, and which.
fn other_format(text: &str) -> Option<(usize, &'static str)> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let (number, line) = lines.find(|(_, line)| !line.is_empty() && !line.starts_with('#'))?;
    if line.starts_with('{') {
        return Some((number, "JSON"));
    }
    let key = line.split(':').next().unwrap_or(line);
    let word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let yaml = line == "---" || line.contains(':') && word || line.starts_with("- ");
    yaml.then_some((number, "YAML"))
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
        let matches = Alone::command().args_override_self(true).get_matches_from(args);
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

    /// The demo's preset and a file's settings are of one optimizer and schedule; another one takes its own defaults.
    #[test]
    fn another_optimizer_or_schedule_does_not_inherit() {
        for sched in ["cosine", "onecycle", "step", "sgdr", "poly", "linear", "constant"] {
            for opt in ["sgd", "adamw", "lion", "lars", "lamb"] {
                let c = resolve("", &["--sched", sched, "--opt", opt]).unwrap();
                let warned = c.schedule(125).unwrap().warnings.join(" ");
                assert!(!warned.contains("does nothing") && !warned.contains("rate for sgd"), "{sched} {opt}: {warned}");
            }
        }
        let peak = |file: &str, flags: &[&str]| resolve(file, flags).unwrap().peak_lr();
        assert_eq!((peak("", &[]), peak("", &["--opt", "lion"]), peak("", &["--lr-base", "0.8"])), (0.02, 1e-4 / 8.0, 0.1));
        assert!(resolve("", &["--momentum", "0"]).is_ok() && resolve("", &["--dampening", "0.1"]).is_ok());
        let run = resolve("data = 'x'\nopt = 'sgd'\nlr = 0.3", &["--nesterov"]).unwrap().to_toml().unwrap();
        let lamb = resolve(&run, &["--opt", "lamb"]).unwrap();
        assert_eq!((lamb.peak_lr(), lamb.decays()[0], lamb.clip(), lamb.nesterov), (1e-3, 1e-2, Some(1.0), false));
        assert_eq!(peak(&run, &["--opt", "lamb", "--lr", "0.01"]), 0.01);
        assert_eq!((peak(&run, &[]), peak(&run, &["--lr-base", "0.7"])), (0.3, 0.7));
    }

    #[test]
    fn a_repeated_list_counts_once_the_last() {
        let c = resolve(
            "data = 'x'",
            &["--decay-milestones", "30,60", "--decay-milestones", "70", "--rrc-scale", "0.1,1", "--rrc-scale", "0.2,1"],
        )
        .unwrap();
        assert_eq!((c.decay_milestones, c.rrc_scale), (vec![70.0], vec![0.2, 1.0]));
    }

    #[test]
    fn validation_s_settings_go_round_and_replace_each_other() {
        let text = "data = 'x'\nval-resize-size = 240\nval-crop-size = 200\nval-interpolation = 'bicubic'\nallow-same = true";
        let c = resolve(text, &[]).unwrap();
        let again = resolve(&c.to_toml().unwrap(), &[]).unwrap();
        assert_eq!((&again, again.val_resize_size, again.allow_same), (&Config { config: again.config.clone(), ..c }, Some(240), true));
        let transform = |flags: &[&str]| resolve(text, flags).unwrap().validation().settle(None).unwrap().to_string();
        assert_eq!(transform(&[]), "Resize(240, bicubic), CenterCrop(200)");
        assert_eq!(transform(&["--crop-pct", "0.95"]), "Resize(210, bicubic), CenterCrop(200)"); // 210.5 cut
        let share = |crop: &str, share: &str| {
            let c = resolve("data = 'x'", &["--val-crop-size", crop, "--crop-pct", share]).unwrap();
            c.validation().settle(None).unwrap().resize
        };
        // math.floor(size / crop_pct) of Python
        assert_eq!([share("224", "0.875"), share("224", "0.95"), share("288", "0.9"), share("224", "1")], [256, 235, 320, 224]);
        let both = resolve("data = 'x'\nval-resize-size = 240\ncrop-pct = 0.9", &[]).unwrap_err().to_string();
        assert!(both.contains("--val-resize-size and --crop-pct"), "{both}");
    }

    #[test]
    fn wrong_settings_are_named() {
        for (file, flags, needle) in [
            ("epoch = 3", &[][..], "no setting 'epoch'"),
            ("lr = 0.1\nepoch = 3", &[], "c.toml, line 2\n  next:  epochs?"),
            ("epochs: 90\nlr: 0.1", &[], "looks like YAML"),
            ("# ours\n{\"epochs\": 90}", &[], "line 2\n"),
            ("", &["--momentum", "1.5"], "--momentum 1.5: expected a number of at least 0 and below 1"),
            ("", &["--lr", "0"], "--lr 0: expected a number above 0"),
            ("epochs = 'many'", &[], "epochs = 'many': expected a whole number from 1 to 16,777,216"),
            ("lr = true", &[], "lr = true: expected a number above 0"),
            ("nesterov = 1", &[], "nesterov = 1: expected true or false"),
            ("opt = 'adam'", &[], "opt = 'adam': expected one of sgd, adamw"),
            ("epochs = 0", &[], "--epochs"),
            ("", &["--rrc-scale", "0.5"], "--rrc-scale"),
            ("val-resize-size = 0", &[], "--val-resize-size"),
            ("", &["--val-crop-size", "64", "--val-resize-size", "63"], "--val-crop-size"),
            ("", &["--crop-pct", "0"], "--crop-pct"),
            ("", &["--crop-pct", "nan"], "--crop-pct"),
            ("", &["--nesterov", "--momentum", "0"], "--nesterov"),
            ("", &["--wd", "nan"], "--weight-decay"),
        ] {
            let error = resolve(file, flags).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{needle}: {error}");
        }
    }
}
