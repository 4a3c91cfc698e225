//! Memory for connections that are open and say nothing.

use super::figures::{Row, Target, Unit};
use super::load::{held, program};
use super::process::{files_max, memory};
use super::{Accounts, Rig, Way};
use crate::shell::{Result, say};

/// Fewer where the system does not let a process have the files for it: a signed-in session has two.
const OURS: usize = 10_000;
const SPARE: usize = 200;
/// The peers have a process for each.
const PEERS: usize = 400;
/// How mail is stored is nothing to a connection.
const WAYS: [Way; 2] = [Way::Ours, Way::Mbox];
const KIB: f64 = 1024.0;

/// Signing in ten thousand times is no part of this, so the passwords are plain.
pub(super) fn accounts() -> Accounts {
    Accounts { plain: (1..=OURS).map(|number| format!("i{number}")).collect(), ..Accounts::default() }
}

pub(super) fn rows(rig: &mut Rig, _rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let ours = OURS.min(files_max()?.saturating_sub(SPARE) / 2);
    say(&format!("connections to Pennypost: {ours}, to a peer: {PEERS}"));
    // What is made once, with the first connection, is no connection's.
    for way in WAYS {
        held(program()?.arg("idle-smtp").arg(rig.smtp(way).to_string()).args(["--connections", "1"]), || ())?;
        held(rig.load("idle-pop3", way, "i%")?.args(["--connections", "1"]), || ())?;
    }
    let work = "memory of an idle SMTP connection, after EHLO";
    rows.push(rig.compare(
        work,
        Unit::Memory,
        1,
        &WAYS,
        |way| if way == Way::Ours { way.smtp() } else { "Postfix" },
        |rig, way| {
            let (server, count) = match way {
                Way::Ours => (rig.ours.server.id(), ours),
                Way::Maildir | Way::Mbox => (rig.postfix.server.id(), PEERS),
            };
            let before = memory(server);
            let mut load = program()?;
            load.arg("idle-smtp").arg(rig.smtp(way).to_string()).args(["--connections", &count.to_string()]);
            Ok(held(&mut load, || memory(server))?.saturating_sub(before) as f64 / count as f64)
        },
    )?);
    let work = "memory of an idle POP3 session, signed in";
    rows.push(rig.compare(
        work,
        Unit::Memory,
        1,
        &WAYS,
        |way| if way == Way::Ours { way.pop3() } else { "Dovecot" },
        |rig, way| {
            let (server, count) = match way {
                Way::Ours => (rig.ours.server.id(), ours),
                Way::Maildir | Way::Mbox => (rig.dovecot.server.id(), PEERS),
            };
            let before = memory(server);
            let mut load = rig.load("idle-pop3", way, "i%")?;
            load.args(["--connections", &count.to_string()]);
            Ok(held(&mut load, || memory(server))?.saturating_sub(before) as f64 / count as f64)
        },
    )?);
    rows.iter_mut().for_each(|row| row.target = Some(Target::AtMost(8.0 * KIB)));
    Ok(rows)
}
