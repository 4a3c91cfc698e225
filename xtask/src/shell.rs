//! Helpers shared by the commands: workspace paths, child processes, output.
//!
//! Errors are sentences for the user. No caller matches on them.

use std::env;
use std::ffi::OsString;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

pub type Result<T = ()> = std::result::Result<T, String>;

/// Prints a line to standard output; a closed pipe is ignored.
pub fn print(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints a line to standard error.
pub fn eprint(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Directory of the programs of the dev profile, where the running program is as well.
///
/// # Errors
/// The path of the running program is unknown.
pub fn profile_dir() -> Result<PathBuf> {
    let program =
        env::current_exe().map_err(|error| format!("the path of this program is unknown: {error}"))?;
    let folder = program.parent().ok_or("this program has no parent directory")?;
    // A test program is in `deps`.
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

/// Cargo's target directory.
///
/// # Errors
/// The path of the running program is unknown.
pub fn target_dir() -> Result<PathBuf> {
    let profile = profile_dir()?;
    profile
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} has no parent directory", profile.display()))
}

/// A program that runs in the workspace root and finds what `cargo install` installed.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace_root()).env("PATH", search_path());
    command
}

/// The Cargo that runs this program, and so the same toolchain. Its variables for this package are removed, because
/// build scripts that watch them (ring's does) would run again.
pub fn cargo() -> Command {
    let mut cargo = command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    let names = env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| {
        ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix))
    }) {
        cargo.env_remove(name);
    }
    cargo
}

/// The file that a shell would run for `program`.
pub fn find_program(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Trimmed standard output of a program; `None` if it cannot be started or fails.
pub fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program to completion with inherited output.
///
/// # Errors
/// The program cannot be started, or fails.
pub fn run(command: &mut Command) -> Result {
    let status =
        command.status().map_err(|error| format!("cannot run `{}`: {error}", command_line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed with {status}", command_line(command))) }
}

/// The command as a user would type it.
pub fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let variables = command.get_envs().filter(|(key, _)| *key != "PATH").filter_map(|(key, value)| {
        let (key, value) = (key.to_string_lossy(), value?.to_string_lossy());
        Some(if value.contains(' ') { format!("{key}='{value}'") } else { format!("{key}={value}") })
    });
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy().into());
    variables.chain(words).collect::<Vec<String>>().join(" ")
}

/// The path relative to the working directory, if the file is below it.
pub fn relative_path(path: &Path) -> String {
    let working_directory = env::current_dir().unwrap_or_default();
    path.strip_prefix(working_directory).unwrap_or(path).display().to_string()
}

fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = cargo_bin().into_iter().chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path)
}

/// Directory in which `cargo install` puts programs.
fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_INSTALL_ROOT").or_else(|| env::var_os("CARGO_HOME")).map(PathBuf::from);
    Some(home.or_else(|| Some(env::home_dir()?.join(".cargo")))?.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_shows_variables_and_arguments() {
        let mut command = command("/usr/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env_remove("NO_COLOR");
        assert_eq!(command_line(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn failing_program_is_named_in_the_error() {
        let error = run(command("sh").args(["-c", "exit 3"])).expect_err("exit 3 is a failure");
        assert!(error.contains("sh -c exit 3"), "{error}");
        assert!(error.contains('3'), "{error}");
    }

    #[test]
    fn missing_program_has_no_path_and_no_output() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-anywhere"), None);
        assert_eq!(stdout_of(&mut command("no-such-program-anywhere")), None);
    }
}
