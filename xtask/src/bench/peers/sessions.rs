//! POP3 sessions of login, STAT and QUIT.

use super::figures::{Row, Target, Unit};
use super::load::figures;
use super::mailboxes::Filling;
use super::{Accounts, Rig, Way};
use crate::shell::Result;

/// `p1` to `p100`.
const ACCOUNTS: usize = 100;
/// So many tell how many it takes to fill so many seconds. A port rests for a minute: there are not more than these.
const SAMPLE: usize = 100;
const SECONDS: f64 = 2.0;
const SESSIONS_MAX: usize = 20_000;
const FILLING: Filling = Filling { messages: 10, octets: 4096, share_files: false };

pub(super) fn accounts() -> Accounts {
    Accounts { hashed: (1..=ACCOUNTS).map(|number| format!("p{number}")).collect(), ..Accounts::default() }
}

pub(super) fn rows(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    for way in Way::ALL {
        for name in accounts().all() {
            rig.fill(way, name, FILLING)?;
        }
        // Everybody has signed in before, some time today.
        run(rig, way, ACCOUNTS)?;
    }
    let work = "POP3 sessions (login, STAT, QUIT), 20 at a time";
    let row = rig.compare(work, Unit::Rate, rounds, &Way::ALL, Way::pop3, |rig, way| {
        let seconds = run(rig, way, SAMPLE)?;
        let sessions = ((SAMPLE as f64 * SECONDS / seconds) as usize).clamp(SAMPLE, SESSIONS_MAX);
        Ok(sessions as f64 / run(rig, way, sessions)?)
    })?;
    Ok(vec![Row { target: Some(Target::Times(4.0)), ..row }])
}

fn run(rig: &Rig, way: Way, sessions: usize) -> Result<f64> {
    let mut load = rig.load("sessions", way, "p%")?;
    load.args(["--sessions", &sessions.to_string(), "--accounts", &ACCOUNTS.to_string()]);
    Ok(figures(&mut load)?[0])
}
