//! The dialogue of a session: every command and reply line, and the size of every message between them.
//!
//! A server records it on request, for a policy that shows the dialogue to a person. Credentials are not recorded.

use bytes::Bytes;

use crate::line::Line;
use crate::smtp::reply::Reply;
use crate::time::Instant;

/// Lines that wait for [`Server::take_dialogue`](super::Server::take_dialogue); later ones are dropped. A session has at most about
/// ten thousand commands, each short.
pub const DIALOGUE_LINES_MAX: usize = 25_000;

/// Text in place of credentials.
const HIDDEN: &str = "***";

/// One line of a dialogue, or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogueLine {
    /// The time at which the server read or queued the line.
    pub at: Instant,
    /// The line.
    pub content: DialogueContent,
}

/// The content of a [`DialogueLine`]. Lines have no line end; octets that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogueContent {
    /// A line of the client.
    Client(String),
    /// A line of a reply.
    Server(String),
    /// This many octets of a message, without dot-stuffing.
    Message(u64),
}

/// The recorded lines.
#[derive(Debug)]
pub(super) struct Dialogue {
    now: Instant,
    lines: Vec<DialogueLine>,
}

impl Dialogue {
    pub(super) const fn new(now: Instant) -> Self {
        Self { now, lines: Vec::new() }
    }

    /// Sets the time of the lines that follow.
    pub(super) const fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    pub(super) fn take(&mut self) -> Vec<DialogueLine> {
        std::mem::take(&mut self.lines)
    }

    /// Records a command, without the credentials after `AUTH` and its mechanism.
    pub(super) fn command(&mut self, line: &Line) {
        let Line::Complete(line, _) = line else {
            return self.push(DialogueContent::Client("(a line over the limit)".to_owned()));
        };
        let text = String::from_utf8_lossy(line);
        let mut words = text.split(' ');
        let is_auth = words.next().is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"));
        let text = match (is_auth, words.next(), words.next()) {
            (true, Some(mechanism), Some(_)) => format!("AUTH {mechanism} {HIDDEN}"),
            _ => text.into_owned(),
        };
        self.push(DialogueContent::Client(text));
    }

    /// Records a line of an AUTH exchange, without its content.
    pub(super) fn credentials(&mut self) {
        self.push(DialogueContent::Client(HIDDEN.to_owned()));
    }

    pub(super) fn reply(&mut self, reply: &Reply, with_enhanced: bool) {
        let mut octets = bytes::BytesMut::new();
        reply.encode(with_enhanced, &mut octets);
        for line in octets[..].split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.push(DialogueContent::Server(String::from_utf8_lossy(line).into_owned()));
        }
    }

    /// Adds to the size of the current message.
    pub(super) fn message(&mut self, part: &Bytes) {
        if let Some(DialogueLine { content: DialogueContent::Message(octets), .. }) = self.lines.last_mut() {
            *octets += part.len() as u64;
        } else {
            self.push(DialogueContent::Message(part.len() as u64));
        }
    }

    fn push(&mut self, content: DialogueContent) {
        if self.lines.len() < DIALOGUE_LINES_MAX {
            self.lines.push(DialogueLine { at: self.now, content });
        }
    }
}
