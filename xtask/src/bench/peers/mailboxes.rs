//! Large mailboxes made by one generator: the same messages as MyMailBox.txt, as mbox and as Maildir.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::chown;
use std::path::Path;

use super::postfix::OWNER;
use super::process::at;
use super::{Rig, Way};
use crate::shell::Result;

/// How many names a file of a Maildir can have, on any usual file system.
const LINKS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Filling {
    pub(super) messages: usize,
    /// Of one message, about.
    pub(super) octets: usize,
    /// In a Maildir, one file may stand for many messages: a million files would take longer than all else.
    pub(super) share_files: bool,
}

impl Rig {
    /// Gives an account its mail, as if it had come by SMTP long ago.
    pub(super) fn fill(&self, way: Way, account: &str, filling: Filling) -> Result {
        let place = self.mailbox(way, account);
        let folder = if way == Way::Maildir { place.as_path() } else { place.parent().unwrap_or(&place) };
        let filled = fs::create_dir_all(folder).and_then(|()| match way {
            Way::Ours => records(&place, filling),
            Way::Mbox => mbox(&place, filling),
            Way::Maildir => maildir(&place, filling),
        });
        let owned = filled.and_then(|()| if way == Way::Ours { Ok(()) } else { own(folder) });
        owned.map_err(|error| at(&place, &error))
    }
}

/// Header behind From, To and Subject, and the body, with lines that end as asked.
fn text(number: usize, octets: usize, line_end: &str) -> String {
    let mut text = format!(
        "Date: Sun, 22 Nov 2026 19:15:06 +0000{line_end}Message-ID: <{number}@peers.test>{line_end}{line_end}"
    );
    let line = "It is a straight line; no layer of it reaches back up to where it came from";
    // The header's other fields take some two hundred octets.
    while text.len() + line.len() + 200 < octets {
        text.push_str(line);
        text.push_str(line_end);
    }
    text
}

fn front(number: usize, line_end: &str) -> String {
    format!(
        "From: <sender@peers.test>{line_end}To: <big@peers.test>{line_end}Subject: Message {number}{line_end}"
    )
}

fn records(file: &Path, filling: Filling) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for number in 1..=filling.messages {
        let (front, text) = (front(number, "\r\n"), text(number, filling.octets, "\r\n"));
        write!(
            out,
            "{front}Received: 2026-11-22 : 19 : 15\r\nReturn-Path: <sender@peers.test>\r\n\
             Received: from peers.test ([127.0.0.1]) by mx.peers.test with ESMTP id {number:026};\r\n \
             Sun, 22 Nov 2026 19:15:07 +0000\r\n{text}.\r\n"
        )?;
    }
    out.flush()
}

fn mbox(file: &Path, filling: Filling) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for number in 1..=filling.messages {
        let (front, text) = (front(number, "\n"), text(number, filling.octets, "\n"));
        write!(out, "From sender@peers.test Sun Nov 22 19:15:07 2026\n{front}{text}\n")?;
    }
    out.flush()
}

/// Named as Postfix names them, in `cur`, where they are once they have been seen.
fn maildir(folder: &Path, filling: Filling) -> io::Result<()> {
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let mut first = None;
    for number in 1..=filling.messages {
        let file = folder.join(format!(
            "cur/{}.V801I{number:x}M{:06}.mx.peers.test:2,",
            1_795_000_000 + number / 1000,
            number % 1000
        ));
        match &first {
            Some(first) if filling.share_files && number % LINKS != 0 => fs::hard_link(first, &file)?,
            _ => {
                fs::write(&file, front(number, "\n") + &text(number, filling.octets, "\n"))?;
                first = Some(file);
            }
        }
    }
    Ok(())
}

/// A folder and all in it, to the owner of the peers' mail.
fn own(place: &Path) -> io::Result<()> {
    if place.is_dir() {
        fs::read_dir(place)?.try_for_each(|entry| own(&entry?.path()))?;
    }
    chown(place, Some(OWNER), Some(OWNER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_long_as_asked_and_has_no_line_with_a_dot_in_front() {
        let message = front(7, "\r\n") + &text(7, 4096, "\r\n");
        assert!((3_800..=4_096).contains(&message.len()), "{}", message.len());
        assert!(message.split("\r\n").all(|line| !line.starts_with('.')));
    }

    #[test]
    fn each_format_holds_every_message() {
        let folder = crate::shell::target()
            .expect("a target directory")
            .join(format!("peers-fill-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let filling = Filling { messages: 30, octets: 512, share_files: true };
        records(&folder.join("txt"), filling).expect("written");
        mbox(&folder.join("mbox"), filling).expect("written");
        maildir(&folder.join("maildir"), filling).expect("written");
        let read = |name| fs::read_to_string(folder.join(name)).expect("read");
        assert_eq!(read("txt").matches("\r\n.\r\n").count(), 30);
        assert_eq!(read("mbox").lines().filter(|line| line.starts_with("From ")).count(), 30);
        assert_eq!(fs::read_dir(folder.join("maildir/cur")).expect("listed").count(), 30);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
