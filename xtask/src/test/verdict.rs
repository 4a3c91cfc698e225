//! What Rust's test programs say of their tests, read on its way to the terminal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use xtask::shell::{Result, command_line};

/// What the test programs of one run have told, each to its end.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) programs: usize,
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
}

/// Runs `cargo test` to its end, and shows its output line by line.
///
/// # Errors
/// Nothing was built, a program ended before its result, or not every test that failed has been named.
pub(super) fn of(tests: &mut Command, show: impl Fn(&str)) -> Result<Told> {
    let spelled = command_line(tests);
    let failure = |what: &str| format!("`{spelled}` {what}");
    let mut child =
        tests.stdout(Stdio::piped()).spawn().map_err(|error| failure(&format!("cannot run: {error}")))?;
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).split(b'\n');
    let told = read(lines.map_while(std::io::Result::ok).map(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        show(&line);
        line
    }));
    let status = child.wait().map_err(|error| failure(&format!("cannot be waited for: {error}")))?;
    match told {
        Some(told) if told.failed.is_empty() == status.success() => Ok(told),
        _ => Err(failure(&format!("ended with {status}"))),
    }
}

/// `None` where the lines do not tell all.
fn read(lines: impl Iterator<Item = String>) -> Option<Told> {
    let mut told = Told::default();
    let (mut results, mut failures) = (0, 0);
    for line in lines {
        if line.starts_with("running ") {
            told.programs += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            results += 1;
            told.passed += number_before(result, " passed")?;
            failures += number_before(result, " failed")?;
        } else if let Some(test) = line.strip_prefix("test ").and_then(|it| it.strip_suffix(" ... FAILED")) {
            told.failed.push(test.to_owned());
        }
    }
    (results == told.programs && failures == told.failed.len()).then_some(told)
}

fn number_before(result: &str, word: &str) -> Option<usize> {
    result.split_once(word)?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::shell::command;

    const PASSED: &str =
        "running 2 tests\ntest a ... ok\ntest b ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
    const FAILED: &str =
        "running 1 test\ntest m::c ... FAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n";

    /// In silence: whoever reads what these tests say would take it for theirs.
    fn told(lines: &str, status: u8) -> Result<Told> {
        let script = format!("printf '{lines}'; exit {status}");
        of(command("sh").args(["-c", &script]), |_| ())
    }

    #[test]
    fn tests_that_pass_are_counted_and_those_that_fail_named() {
        assert_eq!(told(PASSED, 0), Ok(Told { programs: 1, passed: 2, failed: vec![] }));
        assert_eq!(told(&PASSED.repeat(2), 0), Ok(Told { programs: 2, passed: 4, failed: vec![] }));
        let failed = vec!["m::c".to_owned()];
        assert_eq!(told(&format!("{PASSED}{FAILED}"), 101), Ok(Told { programs: 2, passed: 2, failed }));
    }

    #[test]
    fn what_does_not_tell_all_is_a_failure() {
        let begun = "running 2 tests\ntest a ... ok\n";
        let garbled = FAILED.replace(" ... ", " ... a word in between\n");
        // Nothing was built; a program ended in the midst of its tests, alone, beside one that told its own, or as if all
        // were well; a test failed without a name, alone or beside another; all seems well but for the exit code.
        for (said, status) in [
            ("", 101),
            (begun, 101),
            (&format!("{FAILED}{begun}"), 101),
            (begun, 0),
            (&garbled, 101),
            (&format!("{FAILED}{garbled}"), 101),
            (PASSED, 101),
        ] {
            let error = told(said, status).expect_err(said);
            assert!(error.contains("ended with"), "{error}");
        }
    }
}
