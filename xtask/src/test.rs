//! `cargo xtask test`: every check, in the order in which they fail fastest.
//!
//! The steps share one target directory and one set of features (that of the whole workspace), so that nothing is
//! built twice. The command of each step is its heading: any of them can be typed alone.

mod verdict;

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use verdict::Told;
use xtask::shell::{self, Result, cargo, command, command_line, print, stdout_of, workspace_root};
use xtask::{page, setup};

type Step = (&'static str, Command);

/// How long the database of known vulnerabilities may take to come.
const FETCH_MAX: Duration = Duration::from_mins(3);
const NATIVE: &str = "native tests";
/// Where more tests than this fail, it is no accident.
const WAVERING_MAX: usize = 3;

pub(crate) fn run() -> Result {
    let (mut times, mut wavering) = (Vec::new(), Vec::new());
    let outcome = run_steps(&mut times, &mut wavering);
    print("");
    for (name, time) in &times {
        print(&format!("{:>8.1} s  {name}", time.as_secs_f64()));
    }
    for test in &wavering {
        print(&format!("TO BE MENDED: {test} failed once, and passed when it ran alone."));
    }
    outcome?;
    print("\nAll checks passed.");
    Ok(())
}

fn run_steps(times: &mut Vec<(&'static str, Duration)>, wavering: &mut Vec<String>) -> Result {
    let mut timed = |name, step: &mut dyn FnMut() -> Result| {
        let start = Instant::now();
        let outcome = step();
        times.push((name, start.elapsed()));
        outcome.map_err(|sentence| format!("the step \"{name}\" failed: {sentence}"))
    };
    timed("set-up", &mut setup::run)?;
    timed("licences and advisories", &mut dependencies)?;
    for (name, mut command) in steps() {
        print(&format!("\n== {name}: {}", command_line(&command)));
        timed(name, &mut || match name {
            NATIVE => {
                wavering.extend(native(&mut command)?);
                Ok(())
            }
            _ => shell::run(&mut command),
        })?;
    }
    Ok(())
}

/// The native tests. A few that failed run again, alone: some wait for a browser, or for a hundred connections, on a machine
/// that others use as well. Those that pass then are returned, to be named at the end.
fn native(tests: &mut Command) -> Result<Vec<String>> {
    let first = verdict::of(tests, print)?;
    match first.failed.len() {
        0 => return Ok(Vec::new()),
        1..=WAVERING_MAX => {}
        many => return Err(format!("{many} tests failed")),
    }
    // The whole workspace again, so that nothing is built with other features.
    let mut alone = with(cargo(), "test --workspace --no-fail-fast -- --test-threads=1 --exact");
    alone.args(&first.failed);
    print(&format!("\n== once more, alone: {}", command_line(&alone)));
    wavering(first, &verdict::of(&mut alone, print)?)
}

/// The tests that failed and then passed, if all of them did.
fn wavering(first: Told, second: &Told) -> Result<Vec<String>> {
    if !second.failed.is_empty() {
        return Err(format!("these tests failed, alone as well: {}", second.failed.join(", ")));
    }
    if second.programs < first.programs || second.passed < first.failed.len() {
        return Err(format!("these tests failed, and did not all run again: {}", first.failed.join(", ")));
    }
    Ok(first.failed)
}

/// What deny.toml asks of our dependencies. Where the database of known vulnerabilities cannot be had, that is said, and the
/// rest is looked at all the same: our own work is no worse for it.
fn dependencies() -> Result {
    let mut fetch = with(cargo(), "deny fetch db");
    // Nobody is there to be asked for a password.
    let fetched = succeeds_within(fetch.env("GIT_TERMINAL_PROMPT", "0"), FETCH_MAX);
    let check = if fetched { "deny --offline check" } else { "deny --offline check bans licenses sources" };
    let mut check = with(cargo(), check);
    print(&format!("\n== licences and advisories: {}", command_line(&check)));
    shell::run(&mut check)?;
    if !fetched {
        print(
            "NOT CHECKED: known vulnerabilities; `cargo deny fetch db` cannot reach the advisory database.",
        );
    }
    Ok(())
}

/// Whether a command succeeds in this time. One that does not is ended.
fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < limit => thread::sleep(Duration::from_millis(50)),
            _ => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn steps() -> Vec<Step> {
    let mut documentation = with(cargo(), "doc --workspace --no-deps");
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    vec![
        ("format", with(cargo(), "fmt --all --check")),
        ("lints", with(cargo(), "clippy --workspace --all-targets -- -D warnings")),
        // The end-to-end tests of one crate start the programs of another.
        ("programs", with(cargo(), "build --workspace")),
        // Those of the browser client open the page.
        ("the page", page::build()),
        (NATIVE, with(cargo(), "test --workspace --no-fail-fast")),
        ("mail-core's tests on WebAssembly", on_wasm("mail-core")),
        ("web-client's tests on WebAssembly", with(on_wasm("web-client"), "-- --skip in_browser")),
        ("web-client's tests in Chromium", in_chromium("web-client")),
        ("mail-service, for WebAssembly", {
            with(cargo(), "build -p mail-service --target wasm32-unknown-unknown")
        }),
        ("the page inside the program", with(cargo(), "test -p ws-bridge --features embed --test page")),
        ("documentation", documentation),
    ]
}

/// A crate's tests, as WebAssembly in Node.
fn on_wasm(package: &str) -> Command {
    let mut tests = cargo();
    tests.args(["test", "-p", package, "--target", "wasm32-unknown-unknown"]);
    tests.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner");
    // Debian 12 has no newer one.
    if stdout_of(command("node").arg("--version")).is_some_and(|version| version.starts_with("v18.")) {
        tests.env(
            "NODE_OPTIONS",
            format!("--require=\"{}\"", workspace_root().join("xtask/src/node-18.cjs").display()),
        );
    }
    tests
}

/// Those of a crate's tests that need a browser: the modules `in_browser`.
fn in_chromium(package: &str) -> Command {
    let mut tests = with(on_wasm(package), "-- in_browser");
    // The runner starts the first driver that it finds, and gives it seconds on a machine that may be busy.
    tests.env("WASM_BINDGEN_USE_BROWSER", "1").env("CHROMEDRIVER", "chromedriver");
    tests.env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60").env("WASM_BINDGEN_TEST_TIMEOUT", "120");
    tests
}

fn with(mut command: Command, arguments: &str) -> Command {
    command.args(arguments.split(' '));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_the_second_time_wavers() {
        let told = |programs, passed, failed: &[&str]| {
            let failed = failed.iter().map(ToString::to_string).collect();
            Told { programs, passed, failed }
        };
        let first = || told(9, 100, &["a", "b"]);
        assert_eq!(wavering(first(), &told(9, 2, &[])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        let still = wavering(first(), &told(9, 1, &["b"])).expect_err("one still fails");
        assert!(still.ends_with("alone as well: b"), "{still}");
        for less in [told(9, 1, &[]), told(8, 2, &[])] {
            let less = wavering(first(), &less).expect_err("not all ran");
            assert!(less.contains("did not all run again"), "{less}");
        }
    }

    #[test]
    fn a_command_without_an_end_is_ended() {
        let start = Instant::now();
        assert!(!succeeds_within(command("sleep").arg("600"), Duration::from_millis(100)));
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(succeeds_within(&mut command("true"), Duration::from_secs(60)));
        assert!(!succeeds_within(&mut command("false"), Duration::from_secs(60)));
        assert!(!succeeds_within(&mut command("no-such-program"), Duration::from_secs(60)));
    }
}
