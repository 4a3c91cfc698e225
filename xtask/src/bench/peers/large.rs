//! A mailbox of 100,000 messages and 390 MB.

use std::fs;

use super::figures::{Row, Target, Unit};
use super::load::figures;
use super::mailboxes::Filling;
use super::process::at;
use super::{Accounts, Rig, Way};
use crate::shell::{self, Result, command};

pub(super) const FILLING: Filling = Filling { messages: 100_000, octets: 4_000, share_files: false };
const ACCOUNT: &str = "big";
/// How many RETR commands are on their way at a time, where the client does not wait for each.
const AHEAD: &str = "32";

pub(super) fn accounts() -> Accounts {
    Accounts { plain: vec![ACCOUNT.to_owned()], ..Accounts::default() }
}

pub(super) fn rows(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    for way in Way::ALL {
        rig.fill(way, ACCOUNT, FILLING)?;
    }
    // What was just written is in memory, but should not be on its way to the disk any more.
    shell::run(&mut command("sync"))?;
    let ways = &Way::ALL;
    let first = rig.compare(
        "100,000 messages: first open, no index",
        Unit::Time,
        rounds,
        ways,
        Way::pop3,
        |rig, way| {
            rig.forget(way, ACCOUNT)?;
            rig.open(way, ACCOUNT)
        },
    )?;
    let warm = rig.compare(
        "100,000 messages: login and STAT, warm",
        Unit::Time,
        3 * rounds,
        ways,
        Way::pop3,
        |rig, way| rig.open(way, ACCOUNT),
    )?;
    let all = rig.compare(
        "100,000 messages: RETR of all, one by one",
        Unit::Rate,
        rounds,
        ways,
        Way::pop3,
        |rig, way| rig.fetch(way, ACCOUNT, &[]),
    )?;
    let ahead = rig.compare(
        "100,000 messages: RETR of 20,000, pipelined",
        Unit::Rate,
        rounds,
        ways,
        Way::pop3,
        |rig, way| rig.fetch(way, ACCOUNT, &["--ahead", AHEAD, "--limit", "20000"]),
    )?;
    let remove =
        rig.compare("100,000 messages: DELE 1 and QUIT", Unit::Time, rounds, ways, Way::pop3, |rig, way| {
            rig.remove(way, ACCOUNT)
        })?;
    let rows = [(first, 8.0), (warm, 20.0), (remove, 30.0), (all, 3.0), (ahead, 3.0)];
    Ok(rows.into_iter().map(|(row, times)| Row { target: Some(Target::Times(times)), ..row }).collect())
}

impl Rig {
    /// Takes the caches of a mailbox away, and what a process may remember of them.
    fn forget(&mut self, way: Way, account: &str) -> Result {
        let mailbox = self.mailbox(way, account);
        if way == Way::Ours {
            let folder = mailbox.parent().unwrap_or(&mailbox);
            return self.restart_ours(|| remove_files(folder, ".index"));
        }
        let index =
            super::dovecot::indexes(&self.folder.join("dovecot"), &format!("{account}@{}", way.domain()));
        if index.exists() {
            fs::remove_dir_all(&index).map_err(|error| at(&index, &error))?;
        }
        if way == Way::Maildir { remove_files(&mailbox, "dovecot") } else { Ok(()) }
    }

    /// Seconds from the connection to the answer to STAT.
    pub(super) fn open(&self, way: Way, account: &str) -> Result<f64> {
        Ok(figures(&mut self.load("open", way, account)?)?[0])
    }

    /// Messages a second.
    pub(super) fn fetch(&self, way: Way, account: &str, options: &[&str]) -> Result<f64> {
        match figures(self.load("fetch", way, account)?.args(options))?[..] {
            [seconds, messages, _] => Ok(messages / seconds),
            _ => Err("pop3-load fetch printed something else than three figures".to_owned()),
        }
    }

    /// Seconds from DELE 1 to the answer to QUIT.
    pub(super) fn remove(&self, way: Way, account: &str) -> Result<f64> {
        Ok(figures(&mut self.load("remove", way, account)?)?[0])
    }
}

/// Those whose names begin so.
fn remove_files(folder: &std::path::Path, prefix: &str) -> Result {
    let entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        fs::remove_file(entry.path()).map_err(|error| at(&entry.path(), &error))?;
    }
    Ok(())
}
