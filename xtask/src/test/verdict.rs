//! What Rust's test programs say of their tests, read on its way to the terminal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::shell::{Result, spell};

/// How a run of any number of test programs ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// With so many tests that passed.
    Passed(usize),
    /// With these that did not.
    Failed(Vec<String>),
}

/// Runs `cargo test` to its end, and shows its output line by line.
///
/// # Errors
/// It failed otherwise than by tests that say so: nothing was built, or a program ended before its result.
pub(super) fn of(tests: &mut Command, show: impl Fn(&str)) -> Result<Verdict> {
    let spelled = spell(tests);
    let failure = |what: &str| format!("`{spelled}` {what}");
    let mut child =
        tests.stdout(Stdio::piped()).spawn().map_err(|error| failure(&format!("cannot run: {error}")))?;
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).split(b'\n');
    let told = Told::by(lines.map_while(std::io::Result::ok).map(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        show(&line);
        line
    }));
    let status = child.wait().map_err(|error| failure(&format!("cannot be waited for: {error}")))?;
    match told {
        Told { failed, passed, .. } if status.success() && failed.is_empty() => Ok(Verdict::Passed(passed)),
        Told { failed, open: 0, .. } if !failed.is_empty() => Ok(Verdict::Failed(failed)),
        _ => Err(failure(&format!("ended with {status}"))),
    }
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Told {
    passed: usize,
    failed: Vec<String>,
    /// Programs that have begun and not told their result.
    open: usize,
}

impl Told {
    fn by(lines: impl Iterator<Item = String>) -> Self {
        let mut told = Self::default();
        for line in lines {
            if line.starts_with("running ") {
                told.open += 1;
            } else if let Some(result) = line.strip_prefix("test result: ") {
                told.open = told.open.saturating_sub(1);
                let passed = result.split_once(" passed").and_then(|(before, _)| before.rsplit(' ').next());
                told.passed += passed.and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
            } else if let Some(test) =
                line.strip_prefix("test ").and_then(|it| it.strip_suffix(" ... FAILED"))
            {
                told.failed.push(test.to_owned());
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::command;

    /// In silence: whoever reads what these tests say would take it for theirs.
    fn told(lines: &str, status: u8) -> Result<Verdict> {
        let script = format!("printf '{lines}'; exit {status}");
        of(command("sh").args(["-c", &script]), |_| ())
    }

    #[test]
    fn tests_that_pass_are_counted_and_those_that_fail_named() {
        let passed = "running 2 tests\ntest a ... ok\ntest b ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        let failed =
            "running 1 test\ntest m::c ... FAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(told(passed, 0), Ok(Verdict::Passed(2)));
        assert_eq!(told(&passed.repeat(2), 0), Ok(Verdict::Passed(4)));
        assert_eq!(told(&format!("{passed}{failed}"), 101), Ok(Verdict::Failed(vec!["m::c".to_owned()])));
    }

    #[test]
    fn what_is_no_failed_test_is_no_verdict() {
        let failed =
            "running 1 test\ntest m::c ... FAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        // Nothing was built; a program ended in the midst of its tests, beside one that has told its own.
        for said in
            ["", "running 2 tests\ntest a ... ok\n", &format!("{failed}running 2 tests\ntest a ... ok\n")]
        {
            let error = told(said, 101).expect_err(said);
            assert!(error.contains("101"), "{error}");
        }
    }
}
