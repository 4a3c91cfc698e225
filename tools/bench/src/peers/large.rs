//! A mailbox of 100,000 messages (390 MB).

use std::fs;

use xtask::shell::{self, Result, command};

use super::load::values;
use super::mailboxes::MailboxContents;
use super::server_process::path_error;
use super::table::{Row, Target, Unit};
use super::{Accounts, MailPath, Testbed};

const CONTENTS: MailboxContents =
    MailboxContents { messages: 100_000, message_bytes: 4_000, share_files: false };
const ACCOUNT: &str = "big";
/// Outstanding RETR commands of a pipelining client.
const PIPELINE_DEPTH: &str = "32";

pub(super) fn accounts() -> Accounts {
    Accounts { plain: vec![ACCOUNT.to_owned()], ..Accounts::default() }
}

pub(super) fn rows(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    for path in MailPath::ALL {
        testbed.fill(path, ACCOUNT, CONTENTS)?;
    }
    // The mailboxes stay cached; sync completes their write-back.
    shell::run(&mut command("sync"))?;
    let paths = &MailPath::ALL;
    let first = testbed.compare(
        "100,000 messages: first open, no index",
        Unit::Time,
        rounds,
        paths,
        MailPath::pop3_name,
        |testbed, path| {
            testbed.remove_index(path, ACCOUNT)?;
            testbed.open(path, ACCOUNT)
        },
    )?;
    let warm = testbed.compare(
        "100,000 messages: login and STAT, warm",
        Unit::Time,
        3 * rounds,
        paths,
        MailPath::pop3_name,
        |testbed, path| testbed.open(path, ACCOUNT),
    )?;
    let all = testbed.compare(
        "100,000 messages: RETR of all, one by one",
        Unit::Rate,
        rounds,
        paths,
        MailPath::pop3_name,
        |testbed, path| testbed.fetch(path, ACCOUNT, &[]),
    )?;
    let ahead = testbed.compare(
        "100,000 messages: RETR of 20,000, pipelined",
        Unit::Rate,
        rounds,
        paths,
        MailPath::pop3_name,
        |testbed, path| testbed.fetch(path, ACCOUNT, &["--ahead", PIPELINE_DEPTH, "--limit", "20000"]),
    )?;
    let remove = testbed.compare(
        "100,000 messages: DELE 1 and QUIT",
        Unit::Time,
        rounds,
        paths,
        MailPath::pop3_name,
        |testbed, path| testbed.remove(path, ACCOUNT),
    )?;
    let rows = [(first, 8.0), (warm, 20.0), (remove, 30.0), (all, 2.0), (ahead, 3.0)];
    Ok(rows.into_iter().map(|(row, times)| Row { target: Some(Target::Ratio(times)), ..row }).collect())
}

impl Testbed {
    /// Removes the index files of a mailbox, and what processes have cached of them.
    fn remove_index(&mut self, path: MailPath, account: &str) -> Result {
        let mailbox = self.mailbox(path, account);
        if path == MailPath::Pennypost {
            let folder = mailbox.parent().unwrap_or(&mailbox);
            return self.restart_pennypost(|| remove_files(folder, ".index"));
        }
        let index =
            super::dovecot::indexes(&self.folder.join("dovecot"), &format!("{account}@{}", path.domain()));
        if index.exists() {
            fs::remove_dir_all(&index).map_err(|error| path_error(&index, &error))?;
        }
        if path == MailPath::Maildir { remove_files(&mailbox, "dovecot") } else { Ok(()) }
    }

    /// Returns seconds from connect to the reply to STAT.
    pub(super) fn open(&self, path: MailPath, account: &str) -> Result<f64> {
        Ok(values(&mut self.load("open", path, account)?)?[0])
    }

    /// Returns messages per second.
    pub(super) fn fetch(&self, path: MailPath, account: &str, options: &[&str]) -> Result<f64> {
        match values(self.load("fetch", path, account)?.args(options))?[..] {
            [seconds, messages, _] => Ok(messages / seconds),
            _ => Err("pop3-load fetch printed unexpected output".to_owned()),
        }
    }

    /// Returns seconds from DELE 1 to the reply to QUIT.
    pub(super) fn remove(&self, path: MailPath, account: &str) -> Result<f64> {
        Ok(values(&mut self.load("remove", path, account)?)?[0])
    }
}

/// Removes the files whose names start with `prefix`.
fn remove_files(folder: &std::path::Path, prefix: &str) -> Result {
    let entries = fs::read_dir(folder).map_err(|error| path_error(folder, &error))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        fs::remove_file(entry.path()).map_err(|error| path_error(&entry.path(), &error))?;
    }
    Ok(())
}
