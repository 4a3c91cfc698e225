//! Memory of idle connections.

use xtask::shell::{Result, print};

use super::load::{pop3_load, while_connected};
use super::server_process::{open_files_max, tree_memory};
use super::table::{Row, Target, Unit};
use super::{Accounts, MailPath, Testbed};

/// Upper limit; a signed-in session needs two open files.
const PENNYPOST_CONNECTIONS: usize = 10_000;
/// Open files that are not connections.
const OTHER_FILES: usize = 200;
/// The peers run a process per connection.
const PEER_CONNECTIONS: usize = 400;
/// The mailbox format does not matter here.
const PATHS: [MailPath; 2] = [MailPath::Pennypost, MailPath::Mbox];
const KIB: f64 = 1024.0;

/// Plain passwords, because 10,000 hash computations would take minutes.
pub(super) fn accounts() -> Accounts {
    Accounts {
        plain: (1..=PENNYPOST_CONNECTIONS).map(|number| format!("i{number}")).collect(),
        ..Accounts::default()
    }
}

pub(super) fn rows(testbed: &mut Testbed, _rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let connections = PENNYPOST_CONNECTIONS.min(open_files_max()?.saturating_sub(OTHER_FILES) / 2);
    print(&format!("connections to Pennypost: {connections}, to a peer: {PEER_CONNECTIONS}"));
    // Allocations of the first connection are not counted.
    for path in PATHS {
        while_connected(
            pop3_load()?.arg("idle-smtp").arg(testbed.smtp(path).to_string()).args(["--connections", "1"]),
            || (),
        )?;
        while_connected(testbed.load("idle-pop3", path, "i%")?.args(["--connections", "1"]), || ())?;
    }
    let work = "memory of an idle SMTP connection, after EHLO";
    rows.push(testbed.compare(
        work,
        Unit::Memory,
        1,
        &PATHS,
        |path| if path == MailPath::Pennypost { path.smtp_name() } else { "Postfix" },
        |testbed, path| {
            let (server, count) = match path {
                MailPath::Pennypost => (testbed.pennypost.server.id(), connections),
                MailPath::Maildir | MailPath::Mbox => (testbed.postfix.server.id(), PEER_CONNECTIONS),
            };
            let before = tree_memory(server);
            let mut load = pop3_load()?;
            load.arg("idle-smtp")
                .arg(testbed.smtp(path).to_string())
                .args(["--connections", &count.to_string()]);
            Ok(while_connected(&mut load, || tree_memory(server))?.saturating_sub(before) as f64
                / count as f64)
        },
    )?);
    let work = "memory of an idle POP3 session, signed in";
    rows.push(testbed.compare(
        work,
        Unit::Memory,
        1,
        &PATHS,
        |path| if path == MailPath::Pennypost { path.pop3_name() } else { "Dovecot" },
        |testbed, path| {
            let (server, count) = match path {
                MailPath::Pennypost => (testbed.pennypost.server.id(), connections),
                MailPath::Maildir | MailPath::Mbox => (testbed.dovecot.server.id(), PEER_CONNECTIONS),
            };
            let before = tree_memory(server);
            let mut load = testbed.load("idle-pop3", path, "i%")?;
            load.args(["--connections", &count.to_string()]);
            Ok(while_connected(&mut load, || tree_memory(server))?.saturating_sub(before) as f64
                / count as f64)
        },
    )?);
    rows.iter_mut().for_each(|row| row.target = Some(Target::AtMost(8.0 * KIB)));
    Ok(rows)
}
