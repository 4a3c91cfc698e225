//! `cargo xtask fuzz`: lets cargo-fuzz try what its corpora have not tried yet, one target after another.

use std::fs;

use clap::Args;

use xtask::shell::{self, Result, command, print, stdout_of, workspace_root};

#[derive(Args)]
pub(crate) struct Options {
    /// How long each target is tried, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Try this one alone
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result {
    prepare()?;
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    for target in targets {
        print(&format!("\n== {target}, {} seconds", options.seconds));
        // The fuzzer's own flags need the nightly compiler; without sanitizers, as there is no unsafe code to watch.
        let mut fuzz = command("cargo");
        // What it finds out goes to a folder of its own, not among the committed inputs.
        let found = shell::target_dir()?.join("fuzz").join(&target);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        fuzz.args(["+nightly", "fuzz", "run", "--sanitizer", "none", &target]).arg(&found);
        fuzz.args([&format!("fuzz/corpus/{target}"), "--"]);
        fuzz.arg(format!("-max_total_time={}", options.seconds))
            .arg("-max_len=4096")
            .current_dir(workspace_root());
        shell::run(&mut fuzz).map_err(|sentence| {
            format!("{sentence}; mend it, then add the input below fuzz/artifacts/{target} to fuzz/corpus/{target}")
        })?;
    }
    Ok(())
}

/// The fuzzer and the compiler that it needs.
fn prepare() -> Result {
    if stdout_of(command("cargo").args(["+nightly", "--version"])).is_none() {
        print("fuzz: installing the nightly compiler, which the fuzzer needs");
        shell::run(command("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if stdout_of(command("cargo").args(["+nightly", "fuzz", "--version"])).is_none() {
        print("fuzz: building cargo-fuzz (crates.io), about two minutes");
        shell::run(command("cargo").args(["install", "cargo-fuzz"]))?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let listed = stdout_of(command("cargo").args(["+nightly", "fuzz", "list"]).current_dir(workspace_root()));
    let listed = listed.ok_or("cargo-fuzz does not list its targets")?;
    Ok(listed.lines().map(str::to_owned).collect())
}
