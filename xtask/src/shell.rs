//! What every verb needs: where things are, how to run a program, how to speak.
//!
//! A failure is a sentence that a person can act on; there is nothing to match on.

use std::env;
use std::ffi::OsString;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// One line to standard output. A reader that has gone away is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// One line to standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// The top of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Where Cargo puts the programs of the dev profile: this one is among them.
pub(crate) fn programs() -> Result<PathBuf> {
    let here = env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))?;
    here.parent().map(Path::to_owned).ok_or_else(|| "this program lies in no folder".to_owned())
}

/// Cargo's target directory, wherever the configuration has put it.
pub(crate) fn target() -> Result<PathBuf> {
    let programs = programs()?;
    programs.parent().map(Path::to_owned).ok_or_else(|| format!("{} lies in no folder", programs.display()))
}

/// A program, run in the top folder, with the folder that `cargo install` fills first on its PATH.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", search_path());
    command
}

/// The Cargo that runs this program, so that both use one toolchain. It is not told of the package that this program is:
/// build scripts that look at such words (ring's does) would run again each time.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    let told = env::vars_os().map(|(name, _)| name);
    for name in told.filter(|name| {
        ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start))
    }) {
        cargo.env_remove(name);
    }
    cargo
}

/// The file that a shell would start for `program`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What a program prints on standard output, or `None` when it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs to the end, its output shown.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| format!("cannot run `{}`: {error}", spell(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", spell(command))) }
}

/// The command as one would type it.
pub(crate) fn spell(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let settings = command.get_envs().filter(|(key, _)| *key != "PATH").filter_map(|(key, value)| {
        let (key, value) = (key.to_string_lossy(), value?.to_string_lossy());
        Some(if value.contains(' ') { format!("{key}='{value}'") } else { format!("{key}={value}") })
    });
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy().into());
    settings.chain(words).collect::<Vec<String>>().join(" ")
}

/// As a person in the present folder would name the file.
pub(crate) fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

fn search_path() -> OsString {
    let given = env::var_os("PATH").unwrap_or_default();
    let folders = installed_by_cargo().into_iter().chain(env::split_paths(&given));
    env::join_paths(folders).unwrap_or(given)
}

fn installed_by_cargo() -> Option<PathBuf> {
    let home = env::var_os("CARGO_INSTALL_ROOT").or_else(|| env::var_os("CARGO_HOME")).map(PathBuf::from);
    Some(home.or_else(|| Some(env::home_dir()?.join(".cargo")))?.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_spelled_as_one_would_type_it() {
        let mut typed = command("/usr/bin/cargo");
        typed.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env_remove("NO_COLOR");
        assert_eq!(spell(&typed), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn a_failing_program_is_named() {
        let failure = run(command("sh").args(["-c", "exit 3"])).expect_err("exit 3 is a failure");
        assert!(failure.contains("sh -c exit 3"), "{failure}");
        assert!(failure.contains('3'), "{failure}");
    }

    #[test]
    fn programs_are_found_on_the_path_only() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
        assert_eq!(output(&mut command("no-such-program-anywhere")), None);
    }
}
