//! Carries out commands. The state decides whether a command is allowed.

use bytes::BytesMut;

use super::{Input, Question, Server};
use crate::machine::ProtocolError;
use crate::message::address::{ForwardPath, ReversePath};
use crate::smtp::command::{Command, HelloName};
use crate::smtp::parameter::{BodyType, MailParameters, RcptParameters, Recipient};
use crate::smtp::server::{Event, Mail, replies};

impl Server {
    pub(super) fn on_command(&mut self, command: Command, input: &BytesMut) {
        if let Err(rejection) = self.session.check(&command, &self.config) {
            let is_transactional =
                matches!(command, Command::Mail(..) | Command::Rcpt(..) | Command::Bdat { .. });
            self.rejected |= is_transactional && !replies::may_follow_rejection(&rejection);
            return match command {
                // RFC 3030 section 2: the client sends the chunk regardless.
                Command::Bdat { size, .. } => self.reject_chunk(size, rejection),
                _ => self.fail(rejection),
            };
        }
        if command == Command::StartTls && !input.is_empty() {
            return self.reject_injected_input();
        }
        match self.session_command(&command) {
            Some(asked) => self.ask(Question::Command(Box::new(command)), Event::Command(asked)),
            None => self.carry_out(command),
        }
    }

    /// Carries out a command that the state allows.
    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::Helo(name) => self.on_hello(name, false),
            Command::Ehlo(name) => self.on_hello(name, true),
            Command::Mail(path, parameters) => self.on_mail(path, parameters),
            Command::Rcpt(path, parameters) => self.on_rcpt(path, parameters),
            Command::Data => self.ask(Question::Data, Event::Data),
            Command::Bdat { size, last } => self.on_bdat(size, last),
            Command::Rset => {
                self.reset();
                self.succeed(&replies::OK);
            }
            Command::Noop => self.succeed(&replies::OK),
            Command::Vrfy(_) => self.succeed(&replies::VRFY),
            Command::Help => self.succeed(&replies::HELP),
            Command::Quit => {
                self.send(&replies::closing(&self.config.hostname));
                self.close(None);
            }
            Command::StartTls => self.on_starttls(),
            Command::Auth { mechanism, initial } => self.on_auth(mechanism, initial.as_ref()),
        }
    }

    /// Resets the transaction, as RFC 5321 section 4.1.4 requires.
    fn on_hello(&mut self, name: HelloName, extended: bool) {
        self.reset();
        let reply = self.session.greet(name, extended, &self.config);
        self.succeed(&reply);
    }

    fn on_mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) {
        let MailParameters { size, body, utf8, auth: _, ret, envid, require_tls } = parameters;
        let eight_bit = body == Some(BodyType::EightBitMime);
        let question = Question::Mail { reply: replies::sender_ok(&reverse_path), utf8 };
        let mail = Mail { reverse_path, size, eight_bit, utf8, ret, envid, require_tls };
        self.ask(question, Event::Mail(mail));
    }

    fn on_rcpt(&mut self, path: ForwardPath, parameters: RcptParameters) {
        let reply = replies::recipient_ok(&path, self.session.is_extended());
        self.ask(Question::Recipient(reply), Event::Recipient(Recipient { path, parameters }));
    }

    fn on_starttls(&mut self) {
        self.succeed(&replies::READY_FOR_TLS);
        self.input = Input::Tls;
    }

    /// Closes on input after STARTTLS, which may be injected by an attacker (RFC 3207 section 6, CVE-2011-0411).
    fn reject_injected_input(&mut self) {
        self.send(&replies::INJECTED);
        self.close(Some(ProtocolError::InjectedBeforeTls));
    }
}
