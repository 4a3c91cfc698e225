//! Which command may come when, and what follows from it: RFC 5321 sections 3.3, 4.1.4 and 4.3.2.
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
//!                            (and MAIL goes on from Refused)         └─────────┘  a refused chunk,
//!                                                                                 from Sender and Recipients too
//! ```
//!
//! Only an accepted command moves the state; a refused one, but for BDAT, leaves it as it was. NOOP, HELP, VRFY and QUIT
//! may come at any time and do not move it. While a message or a chunk is being read, the connection sees no commands.

use super::{Config, replies};
use crate::sasl::Mechanism;
use crate::smtp::command::{Command, HelloName};
use crate::smtp::extension::{Extensions, Limits};
use crate::smtp::parameter::{BodyType, MailParameters};
use crate::smtp::reply::Reply;

/// Where the dialogue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No HELO or EHLO yet.
    Start,
    /// No transaction.
    Ready,
    /// MAIL is accepted.
    Sender,
    /// At least one RCPT is accepted.
    Recipients,
    /// A chunk is accepted, and was not the last.
    Chunks,
    /// A chunk was refused: the transaction is over, but what the client has pipelined behind it still arrives.
    Refused,
}

/// What has been accepted, or has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Hello,
    Sender,
    Recipient,
    Chunk,
    ChunkRefused,
    /// The transaction is over, delivered or not.
    Over,
}

impl Phase {
    /// The arrows of the diagram.
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

    /// Whether a transaction is under way.
    pub(super) const fn is_transaction(self) -> bool {
        matches!(self, Self::Sender | Self::Recipients | Self::Chunks)
    }

    /// Why the command may not come now, if it may not.
    const fn refusal(self, command: &Command) -> Option<Reply> {
        use Command as C;
        Some(match (command, self) {
            (C::Helo(_) | C::Ehlo(_) | C::Rset | C::Noop | C::Quit | C::Vrfy(_) | C::Help, _) => return None,
            (_, Self::Start) => replies::HELLO_FIRST,

            (C::Mail(..), Self::Ready | Self::Refused) => return None,
            (C::Mail(..), Self::Sender | Self::Recipients | Self::Chunks) => replies::NESTED_MAIL,

            (C::Rcpt(..), Self::Sender | Self::Recipients) => return None,
            (C::Rcpt(..), Self::Ready) => replies::MAIL_FIRST,
            (C::Rcpt(..), Self::Chunks) => replies::AMID_CHUNKS,

            (C::Data, Self::Recipients) => return None,
            (C::Data, Self::Chunks) => replies::AMID_CHUNKS,

            (C::Bdat { .. }, Self::Recipients | Self::Chunks) => return None,

            (C::Data | C::Bdat { .. }, Self::Ready) => replies::MAIL_FIRST,
            (C::Data | C::Bdat { .. }, Self::Sender) => replies::NO_RECIPIENT,
            (C::Rcpt(..) | C::Data | C::Bdat { .. }, Self::Refused) => replies::CHUNK_WAS_REFUSED,

            (C::StartTls | C::Auth { .. }, Self::Ready) => return None,
            (C::StartTls | C::Auth { .. }, _) => replies::AMID_TRANSACTION,
        })
    }
}

/// All that a connection remembers from one command to the next.
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
    /// Of the transaction: MAIL said SMTPUTF8.
    utf8: bool,
    /// Of the transaction: how many are accepted.
    recipients: usize,
    /// Of the transaction: how much of the message has come.
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

    /// RFC 3207 section 4.2: what was said in plain text is forgotten.
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

    /// Whether the command can be carried out, as far as the protocol says: in this order, with these arguments.
    pub(super) fn check(&self, command: &Command, config: &Config) -> Result<(), Reply> {
        if let Some(refusal) = self.phase.refusal(command) {
            return Err(refusal);
        }
        match command {
            Command::Mail(..) if config.submission && !self.authenticated => {
                let may_sign_in = config.auth.is_offered(self.secure) || !config.starttls;
                Err(if may_sign_in { replies::AUTH_FIRST } else { replies::TLS_FIRST })
            }
            Command::Mail(path, parameters) => check_mail(parameters, path.is_ascii(), config),
            Command::Rcpt(_, parameters) if parameters.requests_dsn() => Err(replies::UNKNOWN_PARAMETER),
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

    /// HELO or EHLO is accepted; the reply to it.
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

    /// What the reply to EHLO offers: each extension only where it works.
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
            dsn: false,
            starttls: config.starttls && !self.tls,
            auth,
            limits: Limits { rcpt_max: u32::try_from(config.recipients_max).ok(), ..Limits::default() },
        }
    }
}

/// AUTH= is taken as `<>`, as RFC 4954 section 5 has it for a server that trusts no client to name another.
fn check_mail(parameters: &MailParameters, path_is_ascii: bool, config: &Config) -> Result<(), Reply> {
    if parameters.requests_dsn() || parameters.body == Some(BodyType::BinaryMime) {
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The whole table: a row for each phase, a column for each command, `.` where it may come.
    #[test]
    fn the_table_of_order() {
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
                phase.refusal(&command).map_or(".".to_owned(), |reply| reply.code().to_string())
            });
            assert_eq!(row.join(" "), expected, "{phase:?}");
        }
    }

    #[test]
    fn a_refused_chunk_ends_only_a_transaction() {
        for phase in [Phase::Sender, Phase::Recipients, Phase::Chunks] {
            assert_eq!(phase.after(Outcome::ChunkRefused), Phase::Refused);
        }
        assert_eq!(Phase::Ready.after(Outcome::ChunkRefused), Phase::Ready);
        assert_eq!(Phase::Start.after(Outcome::Over), Phase::Start);
    }

    #[test]
    fn the_protocol_is_named_as_registered() {
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
