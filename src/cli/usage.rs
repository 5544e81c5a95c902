//! What the parser refuses, in the form of every other error: the flag with its value, what is expected, the next command.

use super::foreign;
use crate::error::Error;
use crate::text::{count, nearest};
use crate::train::config::expected;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;

/// The error of a command line that clap does not take. `command` has all subcommands, `args` what was typed, the program's name first.
///
/// Help and the version are no errors: clap prints them and the process ends.
pub fn refused(error: &clap::Error, command: &clap::Command, args: &[std::ffi::OsString]) -> Error {
    let kind = error.kind();
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        match error.print().and_then(|()| std::io::stdout().flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                return Error::write("cannot write the help").at("standard output").source(e).next("free room where it is redirected to");
            }
            _ => std::process::exit(error.exit_code()),
        }
    }
    let words: Vec<String> = args.iter().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let (called, command) = subcommand(command, &words);
    let help = format!("{} --help", std::iter::once(super::program()).chain(called.clone()).collect::<Vec<_>>().join(" "));
    let get = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let (flag, value) = (get(ContextKind::InvalidArg), get(ContextKind::InvalidValue));
    match (kind, flag, value) {
        (ErrorKind::UnknownArgument, Some(flag), _) => unknown(&flag, called.first().map(String::as_str), command, &help),
        (ErrorKind::InvalidSubcommand, _, _) => {
            let word = get(ContextKind::InvalidSubcommand).unwrap_or_default();
            let known = command.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>();
            let next = nearest(&word, known).map_or(help.clone(), |near| format!("{near}? {help} lists the commands"));
            Error::usage(format!("there is no command '{word}'")).next(next)
        }
        (ErrorKind::InvalidValue, Some(flag), Some(value)) if !value.is_empty() => {
            let known = get(ContextKind::ValidValue).unwrap_or_default();
            let flag = bare(&flag);
            let near = nearest(&value, known.split(", ")).map(|near| format!("{flag} {near}"));
            let one_of = if known.contains(", ") { "one of " } else { "" };
            Error::usage(format!("{flag} {value}: expected {one_of}{known}")).next(near.unwrap_or(help))
        }
        (ErrorKind::ValueValidation, Some(flag), Some(value)) => {
            let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let flag = bare(&flag);
            Error::usage(format!("{flag} {value}: {}", number(&flag, &source))).next(help)
        }
        (ErrorKind::MissingRequiredArgument, Some(flags), _) => Error::usage(format!("{flags} is missing")).next(help),
        (ErrorKind::InvalidValue, Some(flag), _) => {
            let flag = bare(&flag);
            let known = get(ContextKind::ValidValue).filter(|known| !known.is_empty()).map(|known| format!("one of {known}"));
            let wanted =
                known.or_else(|| expected(&flag).map(|words| words.to_string())).map_or_else(String::new, |wanted| format!(": {wanted}"));
            Error::usage(format!("{flag} needs a value{wanted}")).next(help)
        }
        _ => Error::usage(first_line(error)).next(help),
    }
}

/// The subcommands at the head of what was typed: their names, and the last of them.
fn subcommand<'a>(mut command: &'a clap::Command, words: &[String]) -> (Vec<String>, &'a clap::Command) {
    let mut called = Vec::new();
    for word in words {
        let Some(next) = command.find_subcommand(word) else { break };
        called.push(word.clone());
        command = next;
    }
    (called, command)
}

fn unknown(flag: &str, called: Option<&str>, command: &clap::Command, help: &str) -> Error {
    if !flag.starts_with('-') {
        return Error::usage(format!("'{flag}' is one word too many")).because("a value without its flag, or an unquoted space").next(help);
    }
    let word = flag.trim_start_matches('-');
    let known = || command.get_arguments().filter_map(clap::Arg::get_long);
    if let Some(answer) = foreign::answer(called, word) {
        let error = Error::usage(format!("there is no flag {flag}"));
        return match answer {
            foreign::Answer::Ours(ours) => error.next(ours),
            foreign::Answer::No(reason) => error.because(reason).next(help),
        };
    }
    let near = nearest(word, known()).map(|near| format!("--{near}? {help} lists the flags"));
    Error::usage(format!("there is no flag {flag}")).next(near.unwrap_or_else(|| format!("{help} lists the flags")))
}

/// `--epochs <N>` without its value's name.
fn bare(flag: &str) -> String {
    flag.split([' ', '=', '[']).next().unwrap_or(flag).to_owned()
}

/// What a value should have been. `source` is what its parser said.
fn number(flag: &str, source: &str) -> String {
    if let Some(expected) = expected(flag) {
        return format!("expected {expected}");
    }
    if let Some((low, high)) = source.split_once(" is not in ").and_then(|(_, range)| range.split_once("..")) {
        let low = if low.is_empty() { "0" } else { low };
        return match high.strip_prefix('=').unwrap_or(high) {
            "" => format!("expected a whole number, {low} or more"),
            high if high.parse::<u64>().is_ok_and(|n| n >= i64::MAX as u64 - 1) => format!("expected a whole number, {low} or more"),
            high => {
                let high = high.parse().map_or_else(|_| high.to_owned(), count);
                format!("expected a whole number from {low} to {high}")
            }
        };
    }
    match source {
        "invalid digit found in string" | "cannot parse integer from empty string" => "expected a whole number".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "expected a number, such as 0.1 or 1e-3".to_owned(),
        text if text.starts_with("number too") => "the number is too large".to_owned(),
        text => text.to_owned(),
    }
}

/// What clap says first, without its prefix: the rest are a usage line and a hint.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>();
    lines.join(" ")
}
