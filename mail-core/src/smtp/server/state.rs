//! The state table of an SMTP session: RFC 5321 sections 3.3, 4.1.4 and 4.3.2.
//!
//! # Theory of operation
//!
//! A session starts without a greeting from the client. HELO or EHLO makes it ready for mail transactions. A
//! transaction is built in three steps: MAIL names the sender, one or more RCPT name the recipients, and DATA or a
//! series of BDAT transfers the message. The end of the message ends the transaction, whether or not the message is
//! accepted. RSET, HELO and EHLO end it without delivery.
//!
//! Only an accepted command changes the phase. A rejected command leaves it unchanged, with one exception: after a
//! rejected BDAT the transaction cannot be completed, so the session rejects the pipelined remainder until RSET, EHLO
//! or a new MAIL. NOOP, HELP, VRFY and QUIT are allowed in any phase. STARTTLS and AUTH are allowed between
//! transactions. After the TLS handshake the session starts again, with no memory of the plaintext part.
//!
//! [`Phase`] has the order of commands alone. [`Session::check`] adds the conditions on arguments and configuration.
//! The connection does not look for commands while it reads a message or a chunk.
//!
//! ```text
//!             HELO EHLO            MAIL                RCPT
//!   ┌───────┐           ┌───────┐        ┌────────┐          ┌────────────┐ ◄┐ RCPT
//!   │ Start ├──────────►│ Ready ├───────►│ Sender ├─────────►│ Recipients ├──┘
//!   └───────┘           └───────┘        └────────┘          └──┬───┬───┬─┘
//!       ▲                ▲ ▲ ▲ ▲             DATA … the dot     │   │   │ BDAT        ┌────────┐ ◄┐ BDAT
//!       │ TLS            │ │ │ └────────────────────────────────┘   │   └────────────►│ Chunks ├──┘
//!       │ established    │ │ └── BDAT LAST … its last octet ────────┘                 └─┬───┬──┘
//!       │                │ └──── BDAT LAST … its last octet ────────────────────────────┘   │
//!   any state            │                                           ┌─────────┐            │
//!                        └── RSET HELO EHLO ── any state but Start   │ Refused │◄───────────┘
//!                            (MAIL from Refused leads to Sender)     └─────────┘  a rejected chunk,
//!                                                                                 also from Sender and Recipients
//! ```

use super::{Config, replies};
use crate::sasl::Mechanism;
use crate::smtp::command::{Command, HelloName};
use crate::smtp::extension::{Extensions, Limits};
use crate::smtp::parameter::{BodyType, MailParameters};
use crate::smtp::reply::Reply;

/// The phase of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No HELO or EHLO yet.
    Start,
    /// No transaction.
    Ready,
    /// MAIL was accepted.
    Sender,
    /// At least one RCPT was accepted.
    Recipients,
    /// A chunk was accepted, and it was not the last.
    Chunks,
    /// A chunk was rejected. The transaction is over, but pipelined commands may follow.
    Refused,
}

/// A completed step that changes the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Hello,
    Sender,
    Recipient,
    Chunk,
    ChunkRefused,
    /// The transaction ended, with or without delivery.
    Over,
}

impl Phase {
    /// The transitions of the diagram.
    pub(super) const fn after(self, outcome: Outcome) -> Self {
        match (outcome, self) {
            (Outcome::Hello, _) => Self::Ready,
            (Outcome::Sender, _) => Self::Sender,
            (Outcome::Recipient, _) => Self::Recipients,
            (Outcome::Chunk, _) => Self::Chunks,
            (Outcome::ChunkRefused, Self::Sender | Self::Recipients | Self::Chunks) => Self::Refused,
            (Outcome::ChunkRefused, _) => self,
            (Outcome::Over, Self::Start) => Self::Start,
            (Outcome::Over, _) => Self::Ready,
        }
    }

    /// Whether a transaction is in progress.
    pub(super) const fn is_transaction(self) -> bool {
        matches!(self, Self::Sender | Self::Recipients | Self::Chunks)
    }

    /// The rejection of a command that is out of order.
    const fn rejection(self, command: &Command) -> Option<Reply> {
        use Command as C;
        Some(match (command, self) {
            (C::Helo(_) | C::Ehlo(_) | C::Rset | C::Noop | C::Quit | C::Vrfy(_) | C::Help, _) => return None,
            (_, Self::Start) => replies::HELLO_FIRST,

            (C::Mail(..), Self::Ready | Self::Refused) => return None,
            (C::Mail(..), Self::Sender | Self::Recipients | Self::Chunks) => replies::NESTED_MAIL,

            (C::Rcpt(..), Self::Sender | Self::Recipients) => return None,
            (C::Rcpt(..), Self::Ready) => replies::MAIL_FIRST,
            (C::Rcpt(..), Self::Chunks) => replies::BDAT_IN_PROGRESS,

            (C::Data, Self::Recipients) => return None,
            (C::Data, Self::Chunks) => replies::BDAT_IN_PROGRESS,

            (C::Bdat { .. }, Self::Recipients | Self::Chunks) => return None,

            (C::Data | C::Bdat { .. }, Self::Ready) => replies::MAIL_FIRST,
            (C::Data | C::Bdat { .. }, Self::Sender) => replies::NO_RECIPIENT,
            (C::Rcpt(..) | C::Data | C::Bdat { .. }, Self::Refused) => replies::CHUNK_REJECTED,

            (C::StartTls | C::Auth { .. }, Self::Ready) => return None,
            (C::StartTls | C::Auth { .. }, _) => replies::TRANSACTION_IN_PROGRESS,
        })
    }
}

/// The state that a connection keeps between commands.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    hello: Option<HelloName>,
    /// Opened with EHLO, not HELO.
    extended: bool,
    /// Encrypted or local.
    secure: bool,
    tls: bool,
    authenticated: bool,
    /// SMTPUTF8 was declared for the transaction.
    utf8: bool,
    /// Accepted recipients of the transaction.
    recipients: usize,
    /// Received octets of the message.
    pub(super) message_octets: u64,
}

impl Session {
    pub(super) const fn new(secure: bool) -> Self {
        Self {
            phase: Phase::Start,
            hello: None,
            extended: false,
            secure,
            tls: false,
            authenticated: false,
            utf8: false,
            recipients: 0,
            message_octets: 0,
        }
    }

    /// A session with TLS, without any state from before (RFC 3207 section 4.2).
    pub(super) fn over_tls() -> Self {
        Self { tls: true, ..Self::new(true) }
    }

    pub(super) fn hello(&self) -> Option<&str> {
        self.hello.as_ref().map(HelloName::as_str)
    }

    pub(super) const fn is_extended(&self) -> bool {
        self.extended
    }

    pub(super) const fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The keyword after `with` in a trace field: RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3.
    pub(super) const fn protocol(&self) -> &'static str {
        match (self.extended, self.utf8, self.tls, self.authenticated) {
            (false, false, ..) => "SMTP",
            (true, false, false, false) => "ESMTP",
            (true, false, false, true) => "ESMTPA",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (_, true, false, false) => "UTF8SMTP",
            (_, true, false, true) => "UTF8SMTPA",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, true, true) => "UTF8SMTPSA",
        }
    }

    /// Checks the order of commands, their arguments and the configuration. The error is the rejection.
    pub(super) fn check(&self, command: &Command, config: &Config) -> Result<(), Reply> {
        if let Some(rejection) = self.phase.rejection(command) {
            return Err(rejection);
        }
        match command {
            Command::Mail(..) if config.submission && !self.authenticated => {
                let can_authenticate = config.auth.is_offered(self.secure) || !config.starttls;
                Err(if can_authenticate { replies::AUTH_FIRST } else { replies::TLS_FIRST })
            }
            Command::Mail(path, parameters) => self.check_mail(parameters, path.is_ascii(), config),
            Command::Rcpt(_, parameters) if parameters.requests_dsn() && !config.dsn => {
                Err(replies::UNKNOWN_PARAMETER)
            }
            Command::Rcpt(path, _) if !self.utf8 && !path.is_ascii() => Err(replies::NEEDS_UTF8),
            Command::Rcpt(..) if self.recipients >= config.recipients_max => {
                Err(replies::TOO_MANY_RECIPIENTS)
            }
            Command::Bdat { size, .. }
                if self.message_octets.saturating_add(*size) > config.message_size_max =>
            {
                Err(replies::too_large(config.message_size_max))
            }
            Command::StartTls if self.tls => Err(replies::TLS_ALREADY),
            Command::StartTls if !config.starttls => Err(replies::TLS_UNAVAILABLE),
            Command::Auth { .. } if self.authenticated => Err(replies::AUTH_ALREADY),
            Command::Auth { .. } if config.auth.is_offered(self.secure) => Ok(()),
            Command::Auth { .. } if config.auth.is_offered(true) && config.starttls => {
                Err(replies::ENCRYPTION_REQUIRED)
            }
            Command::Auth { .. } if config.auth.is_offered(true) => Err(replies::ENCRYPTION_UNAVAILABLE),
            Command::Auth { .. } => Err(replies::AUTH_UNAVAILABLE),
            _ => Ok(()),
        }
    }

    /// Ignores AUTH=, which RFC 4954 section 5 allows for untrusted clients.
    fn check_mail(
        &self,
        parameters: &MailParameters,
        path_is_ascii: bool,
        config: &Config,
    ) -> Result<(), Reply> {
        let is_unsupported = (parameters.requests_dsn() && !config.dsn)
            || (parameters.require_tls && !self.offers_require_tls(config))
            || parameters.body == Some(BodyType::BinaryMime);
        if is_unsupported {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        if !parameters.utf8 && !path_is_ascii {
            return Err(replies::NEEDS_UTF8);
        }
        if parameters.size.is_some_and(|size| size > config.message_size_max) {
            return Err(replies::too_large(config.message_size_max));
        }
        Ok(())
    }

    /// RFC 8689 section 2 forbids the offer without TLS.
    const fn offers_require_tls(&self, config: &Config) -> bool {
        config.require_tls && self.tls
    }

    /// Accepts HELO or EHLO and returns the reply.
    pub(super) fn greet(&mut self, name: HelloName, extended: bool, config: &Config) -> Reply {
        self.phase = self.phase.after(Outcome::Hello);
        self.extended = extended;
        let reply = if extended {
            self.extensions(config).reply(&format!("{} Hello {name}", config.hostname))
        } else {
            replies::helo(name.as_str())
        };
        self.hello = Some(name);
        reply
    }

    pub(super) const fn begin_transaction(&mut self, utf8: bool) {
        self.phase = self.phase.after(Outcome::Sender);
        self.utf8 = utf8;
        self.recipients = 0;
        self.message_octets = 0;
    }

    pub(super) const fn add_recipient(&mut self) {
        self.phase = self.phase.after(Outcome::Recipient);
        self.recipients += 1;
    }

    pub(super) const fn end_transaction(&mut self) {
        self.phase = self.phase.after(Outcome::Over);
        self.utf8 = false;
    }

    pub(super) const fn authenticate(&mut self) {
        self.authenticated = true;
    }

    /// The extensions that are available on this connection.
    fn extensions(&self, config: &Config) -> Extensions {
        let auth = if config.auth.is_offered(self.secure) {
            vec![Mechanism::Plain, Mechanism::Login]
        } else {
            vec![]
        };
        Extensions {
            size: Some(config.message_size_max),
            eight_bit_mime: true,
            pipelining: true,
            enhanced_status_codes: true,
            utf8: true,
            chunking: true,
            dsn: config.dsn,
            require_tls: self.offers_require_tls(config),
            starttls: config.starttls && !self.tls,
            auth,
            limits: Limits { rcpt_max: u32::try_from(config.recipients_max).ok(), ..Limits::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A row for each phase, a column for each command; `.` means allowed.
    #[test]
    fn phase_table_allows_commands_in_order_only() {
        let lines = [
            "EHLO a",
            "MAIL FROM:<>",
            "RCPT TO:<a@b>",
            "DATA",
            "BDAT 1",
            "RSET",
            "NOOP",
            "STARTTLS",
            "AUTH PLAIN",
        ];
        let table = [
            (Phase::Start, ". 503 503 503 503 . . 503 503"),
            (Phase::Ready, ". . 503 503 503 . . . ."),
            (Phase::Sender, ". 503 . 503 503 . . 503 503"),
            (Phase::Recipients, ". 503 . . . . . 503 503"),
            (Phase::Chunks, ". 503 503 503 . . . 503 503"),
            (Phase::Refused, ". . 503 503 503 . . 503 503"),
        ];
        for (phase, expected) in table {
            let row = lines.map(|line| {
                let command = Command::parse(line.as_bytes()).expect("a command");
                phase.rejection(&command).map_or(".".to_owned(), |reply| reply.code().to_string())
            });
            assert_eq!(row.join(" "), expected, "{phase:?}");
        }
    }

    #[test]
    fn rejected_chunk_changes_the_phase_only_in_a_transaction() {
        for phase in [Phase::Sender, Phase::Recipients, Phase::Chunks] {
            assert_eq!(phase.after(Outcome::ChunkRefused), Phase::Refused);
        }
        assert_eq!(Phase::Ready.after(Outcome::ChunkRefused), Phase::Ready);
        assert_eq!(Phase::Start.after(Outcome::Over), Phase::Start);
    }

    #[test]
    fn session_protocol_is_the_registered_keyword() {
        let mut session = Session::over_tls();
        assert_eq!(session.protocol(), "SMTP");
        session.extended = true;
        assert_eq!(session.protocol(), "ESMTPS");
        session.authenticate();
        session.begin_transaction(true);
        assert_eq!(session.protocol(), "UTF8SMTPSA");
        session.end_transaction();
        assert_eq!(session.protocol(), "ESMTPSA");
    }
}
