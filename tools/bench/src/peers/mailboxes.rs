//! Generates large mailboxes with the same messages as `MyMailBox.txt`, mbox and Maildir.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::chown;
use std::path::Path;

use xtask::shell::Result;

use super::postfix::OWNER;
use super::server_process::path_error;
use super::{MailPath, Testbed};

/// Hard links per file, below the limit of common file systems.
const LINKS_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct MailboxContents {
    pub(super) messages: usize,
    /// Approximate size of a message.
    pub(super) message_bytes: usize,
    /// Hard-links the messages of a Maildir to few files, because creating a million files takes too long.
    pub(super) share_files: bool,
}

impl Testbed {
    /// Writes the mailbox of an account.
    pub(super) fn fill(&self, path: MailPath, account: &str, contents: MailboxContents) -> Result {
        let target = self.mailbox(path, account);
        let folder =
            if path == MailPath::Maildir { target.as_path() } else { target.parent().unwrap_or(&target) };
        let filled = fs::create_dir_all(folder).and_then(|()| match path {
            MailPath::Pennypost => records(&target, contents),
            MailPath::Mbox => mbox(&target, contents),
            MailPath::Maildir => maildir(&target, contents),
        });
        let owned =
            filled.and_then(|()| if path == MailPath::Pennypost { Ok(()) } else { chown_tree(folder) });
        owned.map_err(|error| path_error(&target, &error))
    }
}

/// Header fields after Subject, and the body.
fn remainder(number: usize, message_bytes: usize, line_end: &str) -> String {
    let mut text = format!(
        "Date: Sun, 22 Nov 2026 19:15:06 +0000{line_end}Message-ID: <{number}@peers.test>{line_end}{line_end}"
    );
    let line = "The quick brown fox jumps over the lazy dog. The quick brown fox jumps over";
    // The other header fields have about 200 bytes.
    while text.len() + line.len() + 200 < message_bytes {
        text.push_str(line);
        text.push_str(line_end);
    }
    text
}

fn first_fields(number: usize, line_end: &str) -> String {
    format!(
        "From: <sender@peers.test>{line_end}To: <big@peers.test>{line_end}Subject: Message {number}{line_end}"
    )
}

fn records(file: &Path, contents: MailboxContents) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for number in 1..=contents.messages {
        let (front, text) = (first_fields(number, "\r\n"), remainder(number, contents.message_bytes, "\r\n"));
        write!(
            out,
            "{front}Received: 2026-11-22 : 19 : 15\r\nReturn-Path: <sender@peers.test>\r\n\
             Received: from peers.test ([127.0.0.1]) by mx.peers.test with ESMTP id {number:026};\r\n \
             Sun, 22 Nov 2026 19:15:07 +0000\r\n{text}.\r\n"
        )?;
    }
    out.flush()
}

fn mbox(file: &Path, contents: MailboxContents) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for number in 1..=contents.messages {
        let (front, text) = (first_fields(number, "\n"), remainder(number, contents.message_bytes, "\n"));
        write!(out, "From sender@peers.test Sun Nov 22 19:15:07 2026\n{front}{text}\n")?;
    }
    out.flush()
}

/// Uses Postfix's file names, in `cur` as if the client had seen the messages.
fn maildir(folder: &Path, contents: MailboxContents) -> io::Result<()> {
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let mut first = None;
    for number in 1..=contents.messages {
        let file = folder.join(format!(
            "cur/{}.V801I{number:x}M{:06}.mx.peers.test:2,",
            1_795_000_000 + number / 1000,
            number % 1000
        ));
        match &first {
            Some(first) if contents.share_files && number % LINKS_MAX != 0 => fs::hard_link(first, &file)?,
            _ => {
                fs::write(
                    &file,
                    first_fields(number, "\n") + &remainder(number, contents.message_bytes, "\n"),
                )?;
                first = Some(file);
            }
        }
    }
    Ok(())
}

/// Changes the owner of a file or folder tree to the peers' user.
fn chown_tree(target: &Path) -> io::Result<()> {
    if target.is_dir() {
        fs::read_dir(target)?.try_for_each(|entry| chown_tree(&entry?.path()))?;
    }
    chown(target, Some(OWNER), Some(OWNER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_the_requested_size_and_no_line_that_starts_with_a_dot() {
        let message = first_fields(7, "\r\n") + &remainder(7, 4096, "\r\n");
        assert!((3_800..=4_096).contains(&message.len()), "{}", message.len());
        assert!(message.split("\r\n").all(|line| !line.starts_with('.')));
    }

    #[test]
    fn every_format_contains_all_messages() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let folder = folder.path();
        let contents = MailboxContents { messages: 30, message_bytes: 512, share_files: true };
        records(&folder.join("txt"), contents).expect("written");
        mbox(&folder.join("mbox"), contents).expect("written");
        maildir(&folder.join("maildir"), contents).expect("written");
        let read = |name| fs::read_to_string(folder.join(name)).expect("read");
        assert_eq!(read("txt").matches("\r\n.\r\n").count(), 30);
        assert_eq!(read("mbox").lines().filter(|line| line.starts_with("From ")).count(), 30);
        assert_eq!(fs::read_dir(folder.join("maildir/cur")).expect("listed").count(), 30);
    }
}
