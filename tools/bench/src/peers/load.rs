//! Runs `pop3-load` and reads the values it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use xtask::shell::{self, Result, target_dir};

use super::server_process::with_raised_file_limit;
use super::{MailPath, PASSWORD, Testbed};

/// Runs it to completion.
pub(super) fn values(command: &mut Command) -> Result<Vec<f64>> {
    let printed = command.stderr(Stdio::inherit()).output();
    let printed =
        printed.map_err(|error| format!("cannot run `{}`: {error}", shell::command_line(command)))?;
    let line = String::from_utf8_lossy(&printed.stdout);
    let values: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
    match values {
        Some(values) if printed.status.success() && !values.is_empty() => Ok(values),
        _ => Err(format!("`{}` failed", shell::command_line(command))),
    }
}

/// Calls `measure` while pop3-load keeps its connections open.
pub(super) fn while_connected<T>(command: &mut Command, measure: impl FnOnce() -> T) -> Result<T> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child =
        child.map_err(|error| format!("cannot run `{}`: {error}", shell::command_line(command)))?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output was asked for"));
    let mut line = String::new();
    let ready = output.read_line(&mut line).is_ok() && line.trim() == "ready";
    let result = ready.then(measure);
    // pop3-load stops at the end of its standard input.
    drop(child.stdin.take());
    let _ = output.read_to_string(&mut line);
    let ended = child.wait().map_err(|error| format!("cannot wait for pop3-load: {error}"))?;
    result.filter(|_| ended.success()).ok_or_else(|| format!("`{}` failed", shell::command_line(command)))
}

pub(super) fn pop3_load() -> Result<Command> {
    Ok(with_raised_file_limit(&target_dir()?.join("release/pop3-load")))
}

/// Appends per second.
pub(super) fn disk(folder: &Path, threads: usize, appends: usize) -> Result<f64> {
    let mut disk = pop3_load()?;
    disk.arg("disk").arg(folder).args(["--threads", &threads.to_string(), "--appends", &appends.to_string()]);
    Ok(appends as f64 / values(&mut disk)?[0])
}

impl Testbed {
    /// `pop3-load COMMAND` for an account; `%` in its name is replaced by a number.
    pub(super) fn load(&self, subcommand: &str, path: MailPath, account: &str) -> Result<Command> {
        let mut load = pop3_load()?;
        load.args([
            subcommand,
            &self.pop3(path).to_string(),
            &format!("{account}@{}", path.domain()),
            PASSWORD,
        ]);
        Ok(load)
    }
}
