//! `cargo xtask fuzz`: runs cargo-fuzz for each target, starting from the committed corpora.

use std::fs;

use clap::Args;
use xtask::shell::{self, Result, command, print, stdout_of, target_dir, workspace_root};

#[derive(Args)]
pub(crate) struct Options {
    /// Duration per target, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run only this target
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    install()?;
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    for target in targets {
        print(&format!("\n== {target}, {} seconds", options.seconds));
        // New inputs go to a folder outside the repository.
        let new_inputs = target_dir()?.join("fuzz").join(&target);
        fs::create_dir_all(&new_inputs).map_err(|error| format!("{}: {error}", new_inputs.display()))?;
        // cargo-fuzz needs the nightly compiler. No sanitizer, because there is no unsafe code.
        let mut fuzz = command("cargo");
        fuzz.args(["+nightly", "fuzz", "run", "--sanitizer", "none", &target]).arg(&new_inputs);
        fuzz.args([&format!("fuzz/corpus/{target}"), "--"]);
        fuzz.arg(format!("-max_total_time={}", options.seconds)).arg("-max_len=4096");
        shell::run(fuzz.current_dir(workspace_root())).map_err(|error| {
            format!(
                "{error}; fix it, then add the input below fuzz/artifacts/{target} to fuzz/corpus/{target}"
            )
        })?;
    }
    Ok(())
}

/// Installs cargo-fuzz and the nightly compiler.
fn install() -> Result {
    if stdout_of(command("cargo").args(["+nightly", "--version"])).is_none() {
        print("fuzz: installing the nightly compiler");
        shell::run(command("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if stdout_of(command("cargo").args(["+nightly", "fuzz", "--version"])).is_none() {
        print("fuzz: building cargo-fuzz from crates.io (two minutes)");
        shell::run(command("cargo").args(["install", "cargo-fuzz"]))?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let list = stdout_of(command("cargo").args(["+nightly", "fuzz", "list"]));
    let list = list.ok_or("`cargo +nightly fuzz list` failed")?;
    Ok(list.lines().map(str::to_owned).collect())
}
