//! What a run is, in its first lines and in those of `--dry-run`: a word and a line each, aligned.

use super::datasets::{self, DEMO_TRAIN, DEMO_VAL, Opened};
use super::device::Device;
use crate::data::demo;
use crate::error::Result;
use crate::models::Model;
use crate::text::{count, counted, wrapped};
use crate::train::config::{Config, Precision};
use crate::train::plan::Plan;
use clap::ValueEnum;

/// A word and what there is to say about it.
pub type Fact = (&'static str, String);

/// Characters that the words take.
const WORDS: usize = 14;

/// A fact as text, broken at `columns`.
pub fn line((word, what): &Fact, columns: usize) -> String {
    wrapped(&format!("{word:<WORDS$}{what}"), columns, WORDS)
}

/// Whether a fact is one that is shown even where no progress is.
pub fn is_warning((word, _): &Fact) -> bool {
    *word == "warning"
}

/// What is settled before anything is computed: device, arithmetic, model, images, batch. `opened` is none for a demo not drawn yet.
///
/// # Errors
/// `Usage` for validation sizes that contradict each other.
pub fn settled(
    config: &Config,
    (device, precision): (&Device, Precision),
    model: &Model,
    opened: Option<&Opened>,
    memory: Option<Fact>,
) -> Result<Vec<Fact>> {
    let why = device.why(&config.device).map_or_else(String::new, |why| format!(" ({why})"));
    let (parameters, classes) = (count(model.layout.len() as u64), counted(model.classes as u64, "class"));
    let mut facts = vec![
        ("device", format!("{}{why}", device.name())),
        ("precision", precision.name().to_owned()),
        ("model", format!("{}, {parameters} parameters, {classes}", config.model)),
    ];
    match opened {
        Some(opened) => facts.extend(opened.said.iter().cloned()),
        None => {
            let of = |n: usize| format!("{} of {} x {}", counted(n as u64, "image"), demo::SIDE, demo::SIDE);
            facts.push(("train", format!("the demo: {}, generated when the run starts", of(DEMO_TRAIN))));
            facts.push(("val", format!("the demo: {}; {}", of(DEMO_VAL), datasets::demo_transform(config)?)));
        }
    }
    let accum = match config.grad_accum {
        1 => String::new(),
        parts => format!(" ({} x {parts} of --grad-accum)", config.batch_size),
    };
    facts.push(("batch", format!("{} per step{accum}", counted((config.batch_size * config.grad_accum) as u64, "image"))));
    facts.extend(memory);
    Ok(facts)
}

/// Schedule and optimizer.
pub fn rules(config: &Config) -> Fact {
    let word = |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_owned());
    ("schedule", format!("{}, with {}", word(config.sched.to_possible_value()), word(config.opt.to_possible_value())))
}

/// The steps and learning rates of `plan`, of which `done` steps are done.
pub fn plan(plan: &Plan, done: u64) -> Vec<Fact> {
    let last = plan.last_update;
    let (each, epochs) = (plan.updates_per_epoch, plan.total_updates / plan.updates_per_epoch.max(1));
    let stops = if last < plan.total_updates { format!("; stops after step {} (--max-steps)", count(last)) } else { String::new() };
    let left = match done {
        0 => String::new(),
        done => format!("; {} done, {} left", count(done), count(last.saturating_sub(done))),
    };
    let all = format!("{} per epoch, {} in {}{stops}{left}", count(each), count(plan.total_updates), counted(epochs, "epoch"));
    let mut facts = vec![("steps", all), ("learning rate", plan.rates())];
    facts.extend(plan.warnings.iter().map(|warning| ("warning", warning.clone())));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_counted_from_where_the_run_stands() {
        let config = Config { batch_size: 64, epochs: 4, warmup_epochs: Some(0.0), lr: Some(0.1), ..Config::default() };
        let said = |max_steps, done| plan(&Plan::new(&Config { max_steps, ..config.clone() }, 5000).unwrap(), done)[0].1.clone();
        assert_eq!(said(None, 0), "78 per epoch, 312 in 4 epochs");
        assert_eq!(said(None, 234), "78 per epoch, 312 in 4 epochs; 234 done, 78 left");
        assert_eq!(said(Some(100), 90), "78 per epoch, 312 in 4 epochs; stops after step 100 (--max-steps); 90 done, 10 left");
    }

    #[test]
    fn a_fact_is_aligned_and_broken_at_the_width() {
        let text = line(&("train", "packed/train: 1,281,167 images of 1,000 classes, short sides 256 to 512".to_owned()), 60);
        assert!(text.starts_with("train         packed") && text.lines().all(|l| l.chars().count() <= 60), "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("              "), "{text}");
    }
}
