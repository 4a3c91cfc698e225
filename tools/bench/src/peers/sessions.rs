//! POP3 sessions of login, STAT and QUIT.

use xtask::shell::Result;

use super::load::values;
use super::mailboxes::MailboxContents;
use super::table::{Row, Target, Unit};
use super::{Accounts, MailPath, Testbed};

/// `p1` to `p100`.
const ACCOUNTS: usize = 100;
/// Sessions of the calibration run, which determines how many sessions run for `SECONDS`.
const SAMPLE: usize = 100;
const SECONDS: f64 = 2.0;
/// Limited by local ports in TIME-WAIT.
const SESSIONS_MAX: usize = 20_000;
const CONTENTS: MailboxContents = MailboxContents { messages: 10, message_bytes: 4096, share_files: false };

pub(super) fn accounts() -> Accounts {
    Accounts { hashed: (1..=ACCOUNTS).map(|number| format!("p{number}")).collect(), ..Accounts::default() }
}

pub(super) fn rows(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    for path in MailPath::ALL {
        for name in accounts().all() {
            testbed.fill(path, name, CONTENTS)?;
        }
        // First logins fill the password caches.
        run(testbed, path, ACCOUNTS)?;
    }
    let work = "POP3 sessions (login, STAT, QUIT), 20 at a time";
    let row =
        testbed.compare(work, Unit::Rate, rounds, &MailPath::ALL, MailPath::pop3_name, |testbed, path| {
            let seconds = run(testbed, path, SAMPLE)?;
            let sessions = ((SAMPLE as f64 * SECONDS / seconds) as usize).clamp(SAMPLE, SESSIONS_MAX);
            Ok(sessions as f64 / run(testbed, path, sessions)?)
        })?;
    Ok(vec![Row { target: Some(Target::Ratio(4.0)), ..row }])
}

fn run(testbed: &Testbed, path: MailPath, sessions: usize) -> Result<f64> {
    let mut load = testbed.load("sessions", path, "p%")?;
    load.args(["--sessions", &sessions.to_string(), "--accounts", &ACCOUNTS.to_string()]);
    Ok(values(&mut load)?[0])
}
