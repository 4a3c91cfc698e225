//! `[[faults]]`: failures that the servers inject on purpose, for demonstrations and tests.
//!
//! Each fault names a command of one protocol. The servers decide when a fault applies.

mod entry;

use std::fmt::{self, Display};
use std::time::Duration;

use mail_core::message::address::Address;
use mail_core::users::Username;
use mail_core::{pop3, smtp};

/// All faults by protocol, in the order of the file. Empty by default.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    pub smtp: Vec<Fault<SmtpCommand>>,
    pub pop3: Vec<Fault<Pop3Command>>,
}

/// One entry of `[[faults]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault<C: FaultCommand> {
    /// The command that the fault applies to.
    pub command: C,
    /// The account or address that the fault applies to; `None` is all.
    pub identity: Option<Identity>,
    /// Delay before the action.
    pub delay: Option<Duration>,
    pub action: Action<C::Reply>,
    /// The message is stored before the action, so that only its reply is lost or changed.
    pub stored: bool,
    /// Number of times that the fault applies; `None` is unlimited.
    pub times: Option<u32>,
    /// Probability of the fault; `None` is always.
    pub sampling: Option<Sampling>,
}

/// Effect of a fault on its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<R> {
    /// Carry out the command, after the delay.
    Proceed,
    /// Send this reply instead of carrying out the command.
    Reject(R),
    /// Close the connection without a reply.
    Disconnect,
    /// Carry out the command, and close the connection after this many octets of its message. Shorter messages pass whole.
    DisconnectAfter(u64),
}

/// Value of `for`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// All addresses and login names of an account.
    Account(Username),
    /// Exactly this address.
    Address(Address),
    /// Addresses that match a pattern, such as `*@example.com`.
    Pattern(Pattern),
}

/// A text in which `*` stands for any characters. Compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Applies a fault at random, with a series of numbers determined by the seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Greater than 0, at most 1.
    pub probability: f64,
    pub seed: u64,
}

/// Commands of a protocol that faults can apply to: those that the server's policy decides.
pub trait FaultCommand: fmt::Debug + Copy + Eq + 'static {
    type Reply: fmt::Debug + Display + Clone + PartialEq + Send + Sync;
    /// Every command with its name in the file.
    const NAMES: &'static [(&'static str, Self)];
    /// A valid `reply`, for error messages.
    const REJECTION_EXAMPLE: &'static str;

    /// Whether a message follows the command or its reply.
    fn has_message(self) -> bool;

    /// Whether the command stores a message.
    fn stores_message(self) -> bool {
        false
    }

    /// Parses a negative reply.
    fn parse_rejection(line: &str) -> Option<Self::Reply>;
}

/// SMTP commands that faults can apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpCommand {
    /// The connection, before the greeting.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    /// DATA, or the first BDAT.
    Data,
    /// End of the message: the final dot, or the last BDAT chunk.
    Message,
    Quit,
}

/// POP3 commands that faults can apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pop3Command {
    User,
    /// PASS, or AUTH.
    Pass,
    List,
    Uidl,
    Retr,
    Top,
    Dele,
    /// QUIT in the TRANSACTION state.
    Quit,
}

impl FaultCommand for SmtpCommand {
    type Reply = smtp::reply::Reply;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("CONNECT", Self::Connect),
        ("EHLO", Self::Ehlo),
        ("STARTTLS", Self::StartTls),
        ("AUTH", Self::Auth),
        ("MAIL", Self::Mail),
        ("RCPT", Self::Rcpt),
        ("DATA", Self::Data),
        ("MESSAGE", Self::Message),
        ("QUIT", Self::Quit),
    ];
    const REJECTION_EXAMPLE: &'static str = "451 4.3.0 Try again later";

    fn has_message(self) -> bool {
        self == Self::Data
    }

    fn stores_message(self) -> bool {
        self == Self::Message
    }

    fn parse_rejection(line: &str) -> Option<Self::Reply> {
        Self::Reply::parse(line).filter(|reply| reply.is_transient() || reply.is_permanent())
    }
}

impl FaultCommand for Pop3Command {
    type Reply = pop3::reply::Reply;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("USER", Self::User),
        ("PASS", Self::Pass),
        ("LIST", Self::List),
        ("UIDL", Self::Uidl),
        ("RETR", Self::Retr),
        ("TOP", Self::Top),
        ("DELE", Self::Dele),
        ("QUIT", Self::Quit),
    ];
    const REJECTION_EXAMPLE: &'static str = "-ERR [SYS/TEMP] try again later";

    fn has_message(self) -> bool {
        matches!(self, Self::Retr | Self::Top)
    }

    fn parse_rejection(line: &str) -> Option<Self::Reply> {
        Self::Reply::parse(line.as_bytes()).filter(|reply| !reply.is_ok())
    }
}

impl Identity {
    /// Whether an envelope address or a login name belongs to this identity.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match (self, Address::parse(name)) {
            (Self::Account(account), Ok(address)) => address.local.username().as_ref() == Some(account),
            (Self::Account(account), Err(_)) => Username::parse(name).as_ref() == Ok(account),
            (Self::Address(address), Ok(other)) => {
                address.host == other.host
                    && address.local.as_str().eq_ignore_ascii_case(other.local.as_str())
            }
            (Self::Address(_), Err(_)) => false,
            (Self::Pattern(pattern), _) => pattern.matches(name),
        }
    }
}

impl Pattern {
    /// Parses a pattern; `None` without a `*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.contains('*').then(|| Self(text.to_ascii_lowercase()))
    }

    fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// Example: `RCPT for slow@iit.edu: 451 4.3.0 Try again later, after 2s, with probability 0.25 (seed 7)`.
impl<C: FaultCommand> Display for Fault<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = C::NAMES.iter().find(|(_, command)| *command == self.command);
        f.write_str(name.map_or("", |(name, _)| name))?;
        match &self.identity {
            None => {}
            Some(Identity::Account(name)) => write!(f, " for {name}")?,
            Some(Identity::Address(address)) => write!(f, " for {address}")?,
            Some(Identity::Pattern(Pattern(pattern))) => write!(f, " for {pattern}")?,
        }
        match &self.action {
            Action::Proceed => f.write_str(": carried out")?,
            Action::Reject(reply) => write!(f, ": {reply}")?,
            Action::Disconnect => f.write_str(": connection dropped")?,
            Action::DisconnectAfter(octets) => {
                write!(f, ": connection dropped after {octets} octets of the message")?;
            }
        }
        if self.stored {
            f.write_str(", after the message is stored")?;
        }
        if let Some(delay) = self.delay {
            write!(f, ", after {delay:?}")?;
        }
        if let Some(times) = self.times {
            write!(f, ", {times} times")?;
        }
        if let Some(Sampling { probability, seed }) = self.sampling {
            write!(f, ", with probability {probability} (seed {seed})")?;
        }
        Ok(())
    }
}
