//! `cargo xtask bench`: runs the criterion benchmarks of mail-core and ws-bridge, prints them in one table with their
//! targets, and measures the mail catcher, and the page in a browser. With `--peers` it [compares the servers](peers) with Postfix
//! and Dovecot instead, and the catcher with MailDev.
//!
//! Results do not fail the run, because they depend on the machine.

mod criterion;
mod peers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use xtask::page;
use xtask::shell::{self, Result, cargo, command, eprint, print, target_dir};

use peers::Extent;

#[derive(Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench", about = "Measure Pennypost")]
struct Options {
    /// Compare with Postfix and Dovecot (as root; installs them on Debian) and MailDev (from npm) instead
    #[arg(long)]
    peers: bool,
    /// Repetitions of each measurement
    #[arg(long, value_name = "N", default_value_t = 3, requires = "peers", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only measurements whose name contains WORD: disk, deliveries, sessions, large, huge, idle, growth, authentication,
    /// outbound, catcher
    #[arg(long, value_name = "WORD", requires = "peers")]
    only: Option<String>,
    /// A tenth of the messages in `outbound`
    #[arg(long, requires = "peers")]
    quick: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let extent = Extent { rounds: options.rounds.into(), is_quick: options.quick };
    let result = if options.peers { peers::run(extent, options.only.as_deref()) } else { measure() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint(&format!("\nbench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result {
    let start = SystemTime::now();
    let mut benches = cargo();
    benches.args(["bench", "-p", "mail-core", "-p", "ws-bridge", "--bench", "*"]);
    if let Some(websockify) = websockify()? {
        benches.env("PENNYPOST_WEBSOCKIFY", websockify);
    }
    shell::run(&mut benches)?;
    print("");
    let measurements = criterion::read_since(start, &target_dir()?.join("criterion"))?;
    criterion::table(&measurements).iter().for_each(|line| print(line));
    peers::measure_catcher()?;
    measure_page()
}

/// Page size and load times, from the release build of the server.
fn measure_page() -> Result {
    page::refresh()?;
    shell::run(cargo().args(["build", "--release", "-p", "servers", "--bin", "pennypost"]))?;
    shell::run(cargo().args(["bench", "-p", "browser-tests", "--bench", "page"]))
}

/// Installs websockify from PyPI into a virtual environment. If the installation fails, the table has no websockify rows.
fn websockify() -> Result<Option<PathBuf>> {
    let folder = target_dir()?.join("websockify");
    let program = folder.join("bin/websockify");
    if program.exists() {
        return Ok(Some(program));
    }
    print("bench: installing websockify from PyPI, to compare the bridge with it");
    let installed = shell::run(command("python3").args(["-m", "venv"]).arg(&folder)).and_then(|()| {
        let pip = folder.join("bin/pip");
        shell::run(command(&pip.to_string_lossy()).args(["install", "--quiet", "websockify"]))
    });
    if let Err(error) = installed {
        eprint(&format!("bench: websockify is not measured ({error}); on Debian, install python3-venv"));
        return Ok(None);
    }
    Ok(Some(program))
}
