//! Running `pop3-load`, and reading the figures that it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::with_many_files;
use super::{PASSWORD, Rig, Way};
use crate::shell::{self, Result, target};

/// Runs it to its end.
pub(super) fn figures(command: &mut Command) -> Result<Vec<f64>> {
    let printed = command.stderr(Stdio::inherit()).output();
    let printed = printed.map_err(|error| format!("cannot run `{}`: {error}", shell::spell(command)))?;
    let line = String::from_utf8_lossy(&printed.stdout);
    let figures: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
    match figures {
        Some(figures) if printed.status.success() && !figures.is_empty() => Ok(figures),
        _ => Err(format!("`{}` failed", shell::spell(command))),
    }
}

/// What `measure` finds while it holds its connections.
pub(super) fn held<T>(command: &mut Command, measure: impl FnOnce() -> T) -> Result<T> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot run `{}`: {error}", shell::spell(command)))?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output was asked for"));
    let mut line = String::new();
    let ready = output.read_line(&mut line).is_ok() && line.trim() == "ready";
    let found = ready.then(measure);
    // The end of its standard input is the word to end.
    drop(child.stdin.take());
    let _ = output.read_to_string(&mut line);
    let ended = child.wait().map_err(|error| format!("cannot wait for pop3-load: {error}"))?;
    found.filter(|_| ended.success()).ok_or_else(|| format!("`{}` failed", shell::spell(command)))
}

pub(super) fn program() -> Result<Command> {
    Ok(with_many_files(&target()?.join("release/pop3-load")))
}

pub(super) fn disk(folder: &Path, threads: usize, appends: usize) -> Result<f64> {
    let mut disk = program()?;
    disk.arg("disk").arg(folder).args(["--threads", &threads.to_string(), "--appends", &appends.to_string()]);
    Ok(appends as f64 / figures(&mut disk)?[0])
}

impl Rig {
    /// `pop3-load VERB` with an account of that way; `%` in its name stands for a number.
    pub(super) fn load(&self, verb: &str, way: Way, account: &str) -> Result<Command> {
        let mut load = program()?;
        load.args([verb, &self.pop3(way).to_string(), &format!("{account}@{}", way.domain()), PASSWORD]);
        Ok(load)
    }
}
