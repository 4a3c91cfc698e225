//! `cargo xtask test`: all checks, quickest first.
//!
//! The steps share a target directory and the workspace's features, so that nothing is built twice. Each step prints its
//! command, which can be run alone.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xtask::shell::{self, Result, cargo, command, command_line, print, stdout_of, workspace_root};
use xtask::{page, setup};

/// Limit for downloading the advisory database.
const FETCH_TIMEOUT: Duration = Duration::from_mins(3);

/// Tests of the page that run in Firefox, too.
const FIREFOX_TESTS: &str = "binary(browser)";

enum Action {
    Run(Command),
    /// `cargo test`; fails if no test runs. `cargo nextest` does so itself.
    RunTests(Command),
    Call(fn() -> Result),
}

pub(crate) fn run() -> Result {
    let mut times = Vec::new();
    let result = run_steps(&mut times);
    print("");
    for (name, time) in &times {
        print(&format!("{:>8.1} s  {name}", time.as_secs_f64()));
    }
    result?;
    print("\nAll checks passed.");
    Ok(())
}

fn run_steps(times: &mut Vec<(&'static str, Duration)>) -> Result {
    // The commands of the other steps depend on the tools that it installs.
    run_step(times, "set-up", Action::Call(setup::run))?;
    steps().into_iter().try_for_each(|(name, action)| run_step(times, name, action))
}

fn run_step(times: &mut Vec<(&'static str, Duration)>, name: &'static str, action: Action) -> Result {
    let start = Instant::now();
    if let Action::Run(command) | Action::RunTests(command) = &action {
        print(&format!("\n== {name}: {}", command_line(command)));
    }
    let result = match action {
        Action::Run(mut command) => shell::run(&mut command),
        Action::RunTests(mut command) => run_tests(&mut command),
        Action::Call(function) => function(),
    };
    times.push((name, start.elapsed()));
    result.map_err(|error| format!("step \"{name}\" failed: {error}"))
}

fn steps() -> Vec<(&'static str, Action)> {
    let mut documentation = with(cargo(), "doc --workspace --no-deps");
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    let mut steps = vec![
        // Without the crates of all targets, `cargo deny --offline` fails.
        ("dependencies", Action::Run(with(cargo(), "fetch --locked"))),
        ("licences and advisories", Action::Call(licences_and_advisories)),
        ("format", Action::Run(with(cargo(), "fmt --all --check"))),
        ("lints", Action::Run(with(cargo(), "clippy --workspace --all-targets -- -D warnings"))),
        // End-to-end tests start programs of other crates, and open the page.
        ("programs and page", Action::Call(|| page::build(&["--workspace"]))),
        ("native tests", Action::Run(native_tests())),
        ("documentation tests", Action::Run(with(cargo(), "test --workspace --doc"))),
        ("mail-core's tests on WebAssembly", Action::RunTests(on_wasm("mail-core"))),
        (
            "web-client's tests on WebAssembly",
            Action::RunTests(with(on_wasm("web-client"), "-- --skip in_browser")),
        ),
        ("web-client's tests in Chromium", Action::RunTests(in_chromium("web-client"))),
        (
            "mail-service for WebAssembly",
            Action::Run(with(cargo(), "build -p mail-service --target wasm32-unknown-unknown")),
        ),
        (
            "the page inside the program",
            Action::Run(with(cargo(), "nextest run -p ws-bridge --features embed --test page")),
        ),
        ("documentation", Action::Run(documentation)),
    ];
    if setup::is_long() {
        steps.push(("the page in Firefox", Action::Run(in_firefox())));
    }
    steps
}

fn native_tests() -> Command {
    let mut tests = with(cargo(), "nextest run --workspace");
    if setup::is_long() {
        tests.env("NEXTEST_PROFILE", "long");
    }
    tests
}

/// The browser client's main flows.
fn in_firefox() -> Command {
    let mut tests = cargo();
    tests.args(["nextest", "run", "-p", "browser-tests", "-E", FIREFOX_TESTS]);
    tests.env("PENNYPOST_BROWSER", "firefox");
    tests
}

/// Checks deny.toml. Without a connection to the advisory database, only the advisories are skipped.
fn licences_and_advisories() -> Result {
    let mut fetch = with(cargo(), "deny fetch db");
    // Git must not ask for a password.
    let is_fetched = succeeds_within(fetch.env("GIT_TERMINAL_PROMPT", "0"), FETCH_TIMEOUT);
    let check =
        if is_fetched { "deny --offline check" } else { "deny --offline check bans licenses sources" };
    let mut check = with(cargo(), check);
    print(&format!("\n== licences and advisories: {}", command_line(&check)));
    shell::run(&mut check)?;
    if !is_fetched {
        print(
            "NOT CHECKED: known vulnerabilities; `cargo deny fetch db` cannot download the advisory database.",
        );
    }
    Ok(())
}

/// Kills the program at the timeout.
fn succeeds_within(command: &mut Command, timeout: Duration) -> bool {
    let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < timeout => thread::sleep(Duration::from_millis(50)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn run_tests(tests: &mut Command) -> Result {
    let line = command_line(tests);
    let failed = |error| format!("cannot run `{line}`: {error}");
    let mut child = tests.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut any_passed = false;
    for line in BufReader::new(child.stdout.take().expect("stdout is piped"))
        .lines()
        .map_while(std::result::Result::ok)
    {
        any_passed |= line.starts_with("test result: ok. ") && !line.contains(" 0 passed");
        print(&line);
    }
    match child.wait().map_err(failed)? {
        status if !status.success() => Err(format!("`{line}` failed with {status}")),
        _ if any_passed => Ok(()),
        _ => Err(format!("`{line}` ran no tests")),
    }
}

/// A crate's tests as WebAssembly in Node.
fn on_wasm(package: &str) -> Command {
    let mut tests = cargo();
    tests.args(["test", "-p", package, "--target", "wasm32-unknown-unknown"]);
    tests.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner");
    // Debian 12 has no newer Node.
    if stdout_of(command("node").arg("--version")).is_some_and(|version| version.starts_with("v18.")) {
        let preload = workspace_root().join("xtask/src/node-18.cjs");
        tests.env("NODE_OPTIONS", format!("--require=\"{}\"", preload.display()));
    }
    tests
}

/// The tests of a crate that need a browser, in modules named `in_browser`.
fn in_chromium(package: &str) -> Command {
    let mut tests = with(on_wasm(package), "-- in_browser");
    // The default timeouts are too short for a busy machine.
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
    fn program_that_exceeds_the_timeout_is_killed() {
        let start = Instant::now();
        assert!(!succeeds_within(command("sleep").arg("600"), Duration::from_millis(100)));
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(succeeds_within(&mut command("true"), Duration::from_secs(60)));
        assert!(!succeeds_within(&mut command("false"), Duration::from_secs(60)));
        assert!(!succeeds_within(&mut command("no-such-program"), Duration::from_secs(60)));
    }

    #[test]
    fn test_run_without_a_passed_test_fails() {
        let run = |output: &str, status: u8| {
            let script = format!("printf '{output}'; exit {status}");
            run_tests(command("sh").args(["-c", &script]))
        };
        assert_eq!(run("test result: ok. 2 passed; 0 failed\\n", 0), Ok(()));
        assert_eq!(run("test result: ok. 0 passed\\ntest result: ok. 1 passed\\n", 0), Ok(()));
        let error = run("test result: ok. 0 passed; 0 failed\\n", 0).expect_err("no test ran");
        assert!(error.ends_with("ran no tests"), "{error}");
        assert!(run("", 0).is_err());
        assert!(run("test result: ok. 2 passed; 0 failed\\n", 1).is_err());
    }
}
