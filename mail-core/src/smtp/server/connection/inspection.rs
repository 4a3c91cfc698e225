//! Support for policies that inspect a session or inject failures: questions about commands, the recorded dialogue, and changed
//! replies.

use bytes::Bytes;

use super::{Input, Server};
use crate::line::Line;
use crate::smtp::command::Command;
use crate::smtp::reply::Reply;
use crate::smtp::server::dialogue::{Dialogue, DialogueLine};
use crate::smtp::server::{SessionCommand, replies};
use crate::time::Instant;

impl Server {
    /// Records the dialogue from now on. [`take_dialogue`](Self::take_dialogue) returns it. Call it on a new server, before the first
    /// pump; the greeting is included.
    pub fn record_dialogue(&mut self, now: Instant) {
        let mut dialogue = Dialogue::new(now);
        if self.question.is_none() && !self.output.is_empty() {
            dialogue.reply(&replies::greeting(&self.config.hostname), false);
        }
        self.dialogue = Some(Box::new(dialogue));
    }

    /// The lines recorded since the last call.
    pub fn take_dialogue(&mut self) -> Vec<DialogueLine> {
        self.dialogue.as_mut().map(|dialogue| dialogue.take()).unwrap_or_default()
    }

    /// Sets the time of the lines recorded next. [`receive`](crate::machine::Machine::receive) sets it too; an answer may come
    /// much later than the question.
    pub fn record_at(&mut self, now: Instant) {
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.set_now(now);
        }
    }

    /// Answers the next accepted message with this reply, to inject a failure after the message was stored.
    pub fn replace_acceptance(&mut self, reply: Reply) {
        self.acceptance = Some(reply);
    }

    /// Discards queued replies, to inject a connection that is lost after a command was carried out.
    pub fn discard_output(&mut self) {
        self.output.clear();
    }

    /// The question about a command, if the policy is asked about it.
    pub(super) fn session_command(&self, command: &Command) -> Option<SessionCommand> {
        if !self.config.command_events {
            return None;
        }
        match command {
            Command::Helo(name) | Command::Ehlo(name) => {
                Some(SessionCommand::Hello(name.as_str().to_owned()))
            }
            Command::StartTls => Some(SessionCommand::StartTls),
            Command::Quit => Some(SessionCommand::Quit),
            _ => None,
        }
    }

    pub(super) fn record_line(&mut self, line: &Line) {
        let is_sasl = matches!(self.input, Input::Sasl(_));
        match &mut self.dialogue {
            None => {}
            Some(dialogue) if is_sasl => dialogue.credentials(),
            Some(dialogue) => dialogue.command(line),
        }
    }

    pub(super) fn record_reply(&mut self, reply: &Reply) {
        let with_enhanced = self.session.is_extended();
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.reply(reply, with_enhanced);
        }
    }

    pub(super) fn record_message(&mut self, part: &Bytes) {
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.message(part);
        }
    }
}
