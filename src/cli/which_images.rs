//! Which images a run is about: said by `--data` or its settings, and the demo's only where nothing else was asked for.

use crate::error::{Error, Result};
use crate::text::pasted;
use crate::train::config::Config;
use std::path::Path;

/// Settings of how a run runs and what it shows, not of what it learns or where it goes: with these alone the demo is meant.
const HOW: [&str; 6] = ["device", "precision", "threads", "workers", "seed", "dry_run"];

/// Refuses a command whose flags shape a run without saying on which images. `named`: its flags or its settings say so. `alone`: without
/// any such flag the demo is meant.
///
/// # Errors
/// `Usage`.
pub fn check(command: &str, named: bool, alone: bool, given: impl Fn(&str) -> bool) -> Result<()> {
    if named {
        return Ok(());
    }
    let flags = <Config as clap::Args>::augment_args(clap::Command::new(""));
    let typed = |arg: &&clap::Arg| given(arg.get_id().as_str()) && !HOW.contains(&arg.get_id().as_str());
    let shaping = flags.get_arguments().find(typed).and_then(clap::Arg::get_long);
    if alone && shaping.is_none() {
        return Ok(());
    }
    let because = shaping.map_or_else(|| "no --data".to_owned(), |flag| format!("--{flag} is given, and no --data"));
    let program = pasted(Path::new(&super::program()));
    Err(Error::usage("which images? --data DIR; --data demo for the generated ones")
        .because(because)
        .next(format!("{program} {command} --data demo, or --data with a folder that `pack` wrote")))
}
