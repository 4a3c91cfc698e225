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

    /// Records a command, without the credentials after `AUTH` and its mechanism. A malformed AUTH, which the server
    /// refuses, may contain credentials too.
    pub(super) fn command(&mut self, line: &Line) {
        let Line::Complete(line, _) = line else {
            return self.push(DialogueContent::Client("(a line over the limit)".to_owned()));
        };
        let text = String::from_utf8_lossy(line);
        let text = without_credentials(&text).unwrap_or_else(|| text.clone().into_owned());
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

/// An AUTH command with hidden credentials; `None` for a command without credentials.
fn without_credentials(line: &str) -> Option<String> {
    let is_separator = |c: char| c.is_whitespace() || c.is_control();
    let mut words = line.split(is_separator).filter(|word| !word.is_empty());
    let verb = words.next()?;
    // `AUTH=PLAIN` is the name of a capability in drafts before RFC 2554, which clients may copy.
    let is_auth = verb.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"));
    let is_complete = verb.len() > 4;
    match (words.next(), words.next()) {
        (Some(_), _) if is_auth && is_complete => Some(format!("{verb} {HIDDEN}")),
        (Some(mechanism), Some(_)) if is_auth => Some(format!("AUTH {mechanism} {HIDDEN}")),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests {
    use super::*;
    use crate::line::LineEnding;
    use crate::smtp::command::Command;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const CREDENTIALS: &str = "AGdiAGdvbmRvbGE=";

    fn recorded(line: &str) -> String {
        let mut dialogue = Dialogue::new(Instant::now());
        dialogue.command(&Line::Complete(Bytes::copy_from_slice(line.as_bytes()), LineEnding::Crlf));
        match dialogue.take().remove(0).content {
            DialogueContent::Client(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn credentials_are_hidden_in_every_form_of_auth() {
        let separators = [" ", "  ", "\t", " \t ", "\u{b}", "\0", "\u{85}", "\r"];
        for verb in ["AUTH", "auth", " AUTH", "\tAuth", "\0AUTH"] {
            for (first, second) in separators.iter().flat_map(|one| separators.map(|other| (one, other))) {
                for end in ["", " ", "\t", " x"] {
                    let line = format!("{verb}{first}PLAIN{second}{CREDENTIALS}{end}");
                    assert_eq!(recorded(&line), "AUTH PLAIN ***", "{line:?}");
                }
            }
        }
        assert_eq!(recorded(&format!("AUTH=PLAIN {CREDENTIALS}")), "AUTH=PLAIN ***");
        for line in
            ["AUTH LOGIN", "AUTH PLAIN ", "AUTH", "", " ", "NOOP AUTH PLAIN x", "MAIL FROM:<auth@x.org> X Y"]
        {
            assert_eq!(recorded(line), line);
        }
    }

    #[test]
    fn every_accepted_auth_with_credentials_is_hidden() {
        let parts = ["AUTH", "aUtH", " ", "  ", "\t", "PLAIN", "LOGIN", CREDENTIALS, "="];
        let mut accepted = 0;
        for number in 0..parts.len().pow(5) {
            let part = |at: u32| parts[number / parts.len().pow(at) % parts.len()];
            let line: String = (0..5).map(part).collect();
            if matches!(Command::parse(line.as_bytes()), Ok(Command::Auth { initial: Some(_), .. })) {
                accepted += 1;
                assert!(recorded(&line).ends_with(" ***"), "{line:?}");
            }
        }
        assert!(accepted > 10, "{accepted}");
    }
}
