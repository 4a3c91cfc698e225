//! `[[faults]]`: what the servers do wrong on purpose, for learners who want to see it and testers who need it.
//!
//! A fault is typed by the commands of its protocol, so that an SMTP fault never holds a POP3 reply. Which fault strikes
//! when is the servers' part.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use mail_core::message::address::Address;
use mail_core::users::Username;
use mail_core::{pop3, smtp};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::Octets;

/// All faults, by protocol, each list in the order of the file; empty unless configured.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    pub smtp: Vec<Fault<SmtpCommand>>,
    pub pop3: Vec<Fault<Pop3Command>>,
}

/// One entry of `[[faults]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault<C: Command> {
    /// Where it strikes.
    pub command: C,
    /// For whom; everybody when `None`.
    pub who: Option<Who>,
    /// How long the answer is held back.
    pub delay: Option<Duration>,
    /// What happens then.
    pub outcome: Outcome<C::Reply>,
    /// How often it strikes; always when `None`.
    pub chance: Option<Chance>,
}

/// What becomes of a command that a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It is carried out; the delay was all.
    CarriedOut,
    /// It is refused.
    Refused(R),
    /// The connection ends without a word.
    Dropped,
    /// It is carried out, and the connection ends after so many octets of the message that it is about. A message that
    /// has no more comes through whole.
    DroppedAfter(u64),
}

/// `for`: a person's name stands for all of the addresses and logins that are that account's, an address for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Account(Username),
    Address(Address),
}

/// How often a fault strikes, by a series of numbers that the seed alone decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Over 0, and at most 1.
    pub probability: f64,
    pub seed: u64,
}

/// The commands of a protocol that a fault can strike: those that the server's policy is asked about.
pub trait Command: fmt::Debug + Copy + Eq + 'static {
    /// How the protocol refuses.
    type Reply: fmt::Debug + Display + Clone + PartialEq + Send + Sync;
    /// Every command by the name that it has in the file.
    const NAMES: &'static [(&'static str, Self)];
    /// What a refusal looks like, for who got it wrong.
    const REFUSAL: &'static str;

    /// Whether a message follows the command or its reply.
    fn has_message(self) -> bool;

    /// Reads a reply that refuses.
    fn parse_refusal(line: &str) -> Option<Self::Reply>;
}

/// Where an SMTP fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpCommand {
    Auth,
    Mail,
    Rcpt,
    /// DATA, or the first BDAT.
    Data,
    /// The final dot, or the end of the last chunk: no command, but the one answer that decides about the message.
    Message,
}

/// Where a POP3 fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pop3Command {
    User,
    /// Signing in, by PASS or by AUTH.
    Pass,
    List,
    Uidl,
    Retr,
    Top,
    Dele,
    /// QUIT after signing in, which removes the marked messages.
    Quit,
}

impl Command for SmtpCommand {
    type Reply = smtp::reply::Reply;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("AUTH", Self::Auth),
        ("MAIL", Self::Mail),
        ("RCPT", Self::Rcpt),
        ("DATA", Self::Data),
        ("MESSAGE", Self::Message),
    ];
    const REFUSAL: &'static str = "451 4.3.0 Try again later";

    fn has_message(self) -> bool {
        self == Self::Data
    }

    fn parse_refusal(line: &str) -> Option<Self::Reply> {
        Self::Reply::parse(line).filter(|reply| reply.is_transient() || reply.is_permanent())
    }
}

impl Command for Pop3Command {
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
    const REFUSAL: &'static str = "-ERR [SYS/TEMP] try again later";

    fn has_message(self) -> bool {
        matches!(self, Self::Retr | Self::Top)
    }

    fn parse_refusal(line: &str) -> Option<Self::Reply> {
        Self::Reply::parse(line.as_bytes()).filter(|reply| !reply.is_ok())
    }
}

impl Who {
    /// Whether a name means this person: an address of the envelope, or what somebody signs in with.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match (self, Address::parse(name)) {
            (Self::Account(account), Ok(address)) => {
                Username::of_local_part(&address.local).as_ref() == Some(account)
            }
            (Self::Account(account), Err(_)) => Username::parse(name).as_ref() == Ok(account),
            (Self::Address(one), Ok(other)) => {
                one.host == other.host && one.local.as_str().eq_ignore_ascii_case(other.local.as_str())
            }
            (Self::Address(_), Err(_)) => false,
        }
    }
}

/// As in `RCPT for slow@iit.edu: 451 4.3.0 Try again later, after 2s, with probability 0.25 (seed 7)`.
impl<C: Command> Display for Fault<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = C::NAMES.iter().find(|(_, command)| *command == self.command);
        f.write_str(named.map_or("", |(name, _)| name))?;
        match &self.who {
            None => {}
            Some(Who::Account(name)) => write!(f, " for {name}")?,
            Some(Who::Address(address)) => write!(f, " for {address}")?,
        }
        match &self.outcome {
            Outcome::CarriedOut => f.write_str(": carried out")?,
            Outcome::Refused(reply) => write!(f, ": {reply}")?,
            Outcome::Dropped => f.write_str(": connection dropped")?,
            Outcome::DroppedAfter(octets) => {
                write!(f, ": connection dropped after {octets} octets of the message")?;
            }
        }
        if let Some(delay) = self.delay {
            write!(f, ", after {delay:?}")?;
        }
        if let Some(Chance { probability, seed }) = self.chance {
            write!(f, ", with probability {probability} (seed {seed})")?;
        }
        Ok(())
    }
}

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    protocol: Protocol,
    command: String,
    #[serde(rename = "for")]
    who: Option<Who>,
    reply: Option<String>,
    #[serde(default)]
    drop: bool,
    after: Option<Octets>,
    delay: Option<Delay>,
    probability: Option<Probability>,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Smtp,
    Pop3,
}

/// An entry that has been checked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Entry")]
enum Checked {
    Smtp(Fault<SmtpCommand>),
    Pop3(Fault<Pop3Command>),
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut faults = Self::default();
        for fault in Vec::deserialize(deserializer)? {
            match fault {
                Checked::Smtp(fault) => faults.smtp.push(fault),
                Checked::Pop3(fault) => faults.pop3.push(fault),
            }
        }
        Ok(faults)
    }
}

impl TryFrom<Entry> for Checked {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        match entry.protocol {
            Protocol::Smtp => entry.check().map(Self::Smtp),
            Protocol::Pop3 => entry.check().map(Self::Pop3),
        }
    }
}

impl Entry {
    fn check<C: Command>(self) -> Result<Fault<C>, String> {
        let named = C::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.command));
        let Some((_, command)) = named else {
            let names: Vec<_> = C::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "`command` is `{}`, where no fault can strike; choose one of {}",
                self.command,
                names.join(", ")
            ));
        };
        let chance = match (self.probability, self.seed) {
            (Some(Probability(probability)), seed) => Some(Chance { probability, seed: seed.unwrap_or(0) }),
            (None, None) => None,
            (None, Some(_)) => return Err("`seed` goes with `probability`; set both or neither".into()),
        };
        Ok(Fault {
            command: *command,
            outcome: self.outcome(*command)?,
            who: self.who,
            delay: self.delay.map(|Delay(delay)| delay),
            chance,
        })
    }

    fn outcome<C: Command>(&self, command: C) -> Result<Outcome<C::Reply>, String> {
        match (&self.reply, self.drop, self.after) {
            (Some(_), true, _) => Err("`reply` and `drop` cannot both happen; remove one of them".into()),
            (_, false, Some(_)) => Err("`after` goes with `drop = true`; set both or neither".into()),
            (None, false, None) if self.delay.is_none() => {
                Err("a fault does something: set `reply`, `drop = true` or `delay`".into())
            }
            (None, false, None) => Ok(Outcome::CarriedOut),
            (Some(line), false, None) => C::parse_refusal(line).map(Outcome::Refused).ok_or_else(|| {
                format!("`reply` is `{line}`, which refuses nothing; write it as in \"{}\"", C::REFUSAL)
            }),
            (None, true, None) => Ok(Outcome::Dropped),
            (None, true, Some(octets)) if command.has_message() => Ok(Outcome::DroppedAfter(octets.get())),
            (None, true, Some(_)) => Err(format!(
                "`after` counts octets of a message, and none comes with {}; remove it",
                self.command
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('@') {
            Address::parse(&text)
                .map(Self::Address)
                .map_err(|error| D::Error::custom(format!("`{text}` is no address: {error}")))
        } else {
            Username::parse(&text)
                .map(Self::Account)
                .map_err(|error| D::Error::custom(format!("`{text}` is no username: {error}")))
        }
    }
}

/// Over 0, and at most 1.
#[derive(Debug, Clone, Copy)]
struct Probability(f64);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let probability = f64::deserialize(deserializer)?;
        if probability > 0.0 && probability <= 1.0 {
            return Ok(Self(probability));
        }
        Err(D::Error::custom(format!("`probability` is {probability}; it is more than 0 and at most 1")))
    }
}

/// A time as people write it: `"2 s"`, `"500 ms"`, `"1 min"`.
#[derive(Debug)]
struct Delay(Duration);

/// The longest that a patient client waits for an answer (RFC 5321 section 4.5.3.2.6): more is no delay but an end.
const DELAY_MAX: Duration = Duration::from_secs(10 * 60);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let milliseconds = match text[digits..].trim() {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            _ => 0,
        };
        text[..digits]
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(milliseconds))
            .map(Duration::from_millis)
            .filter(|delay| !delay.is_zero() && *delay <= DELAY_MAX)
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is no delay; write up to 10 minutes as in \"500 ms\", \"2 s\", \"1 min\"")
            })
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Faults, String> {
        #[derive(Deserialize)]
        struct File {
            faults: Faults,
        }
        toml::from_str::<File>(text).map(|file| file.faults).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn every_key_is_read() {
        let faults = read(
            "[[faults]]\nprotocol = 'smtp'\ncommand = 'RCPT'\nfor = 'slow@iit.edu'\ndelay = '2 s'\n\
             reply = '451 4.3.0 Try again later'\nprobability = 0.25\nseed = 7\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'retr'\nfor = 'gb'\ndrop = true\nafter = '1 KiB'\n\
             [[faults]]\nprotocol = 'smtp'\ncommand = 'MESSAGE'\ndrop = true\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'QUIT'\ndelay = '1 min'\nprobability = 1\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'PASS'\nreply = '-ERR [IN-USE] somebody is in'\n",
        )
        .expect("good faults");
        let Faults { smtp, pop3 } = &faults;
        let said = |faults: &[String]| faults.join("\n");
        assert_eq!(
            said(&smtp.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "RCPT for slow@iit.edu: 451 4.3.0 Try again later, after 2s, with probability 0.25 (seed 7)\n\
             MESSAGE: connection dropped"
        );
        assert_eq!(
            said(&pop3.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "RETR for gb: connection dropped after 1024 octets of the message\n\
             QUIT: carried out, after 60s, with probability 1 (seed 0)\n\
             PASS: -ERR [IN-USE] somebody is in"
        );
        assert_eq!(smtp[0].chance, Some(Chance { probability: 0.25, seed: 7 }));
        assert_eq!(smtp[0].delay, Some(Duration::from_secs(2)));
        assert_eq!((smtp[1].command, &smtp[1].outcome), (SmtpCommand::Message, &Outcome::Dropped));
        assert_eq!(pop3[0].outcome, Outcome::DroppedAfter(1024));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        let smtp = "protocol = 'smtp'\ncommand = 'RCPT'\n";
        let pop3 = "protocol = 'pop3'\ncommand = 'LIST'\n";
        for (entry, part) in [
            ("command = 'RCPT'\ndrop = true", "protocol"),
            ("protocol = 'imap'\ncommand = 'RCPT'\ndrop = true", "imap"),
            ("protocol = 'smtp'\ndrop = true", "command"),
            ("protocol = 'smtp'\ncommand = 'RETR'\ndrop = true", "AUTH, MAIL, RCPT, DATA, MESSAGE"),
            ("protocol = 'pop3'\ncommand = 'RCPT'\ndrop = true", "USER, PASS, LIST"),
            (smtp, "`reply`, `drop = true` or `delay`"),
            (&format!("{smtp}drop = false"), "`reply`, `drop = true` or `delay`"),
            (&format!("{smtp}drop = true\nreply = '451 x'"), "`reply` and `drop`"),
            (&format!("{smtp}reply = '250 OK'"), "`250 OK`"),
            (&format!("{smtp}reply = '354 go on'"), "`354 go on`"),
            (&format!("{smtp}reply = '451-more'"), "`451-more`"),
            (&format!("{smtp}reply = 'no'"), "451 4.3.0"),
            (&format!("{smtp}reply = '-ERR no'"), "451 4.3.0"),
            (&format!("{pop3}reply = '+OK'"), "-ERR"),
            (&format!("{pop3}reply = '451 no'"), "-ERR"),
            (&format!("{smtp}delay = '2'"), "`2` is no delay"),
            (&format!("{smtp}delay = '0 s'"), "`0 s` is no delay"),
            (&format!("{smtp}delay = '11 min'"), "10 minutes"),
            (&format!("{smtp}delay = '99999999999999999999 s'"), "10 minutes"),
            (&format!("{smtp}drop = true\nprobability = 0"), "more than 0"),
            (&format!("{smtp}drop = true\nprobability = 1.5"), "at most 1"),
            (&format!("{smtp}drop = true\nprobability = nan"), "at most 1"),
            (&format!("{smtp}drop = true\nseed = 1"), "`probability`"),
            (&format!("{smtp}drop = true\nafter = 1"), "`after`"),
            ("protocol = 'smtp'\ncommand = 'DATA'\ndelay = '1 s'\nafter = 1", "`drop = true`"),
            (&format!("{smtp}drop = true\nfor = 'a b'"), "`a b`"),
            (&format!("{smtp}drop = true\nfor = 'a@'"), "`a@`"),
            (&format!("{smtp}drop = true\nform = 'a'"), "form"),
        ] {
            let reason = read(&format!("[[faults]]\n{entry}\n")).expect_err(entry);
            assert!(reason.contains(part), "{entry}: {reason}");
        }
    }

    #[test]
    fn a_name_is_an_account_wherever_it_stands_and_an_address_is_itself() {
        let account = Who::Account(Username::parse("gb").expect("a username"));
        for name in ["gb", "GB", "gb@iit.edu", "gb+lists@iitkgp.edu"] {
            assert!(account.is(name), "{name}");
        }
        let address = Who::Address(Address::parse("gb@iit.edu").expect("an address"));
        assert!(address.is("GB@IIT.EDU"));
        for name in ["gb", "gb+lists@iit.edu", "gb@iitkgp.edu", "", "@"] {
            assert!(!address.is(name), "{name}");
        }
        for name in ["ag", "ag@iit.edu", "", "gb@"] {
            assert!(!account.is(name), "{name}");
        }
    }
}
