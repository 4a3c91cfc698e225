//! Deserialization and validation of `[[faults]]` entries.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use mail_core::message::address::Address;
use mail_core::users::Username;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{Action, Fault, FaultCommand, Faults, Identity, Pattern, Pop3Command, Sampling, SmtpCommand};
use crate::ByteSize;

/// The keys of an entry before validation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    protocol: Protocol,
    command: String,
    r#for: Option<Identity>,
    reply: Option<String>,
    #[serde(default)]
    drop: bool,
    after: Option<ByteSize>,
    delay: Option<Delay>,
    #[serde(default)]
    stored: bool,
    times: Option<NonZeroU32>,
    probability: Option<Probability>,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Smtp,
    Pop3,
}

/// A validated entry.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Entry")]
enum ProtocolFault {
    Smtp(Fault<SmtpCommand>),
    Pop3(Fault<Pop3Command>),
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut faults = Self::default();
        for fault in Vec::deserialize(deserializer)? {
            match fault {
                ProtocolFault::Smtp(fault) => faults.smtp.push(fault),
                ProtocolFault::Pop3(fault) => faults.pop3.push(fault),
            }
        }
        Ok(faults)
    }
}

impl TryFrom<Entry> for ProtocolFault {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        match entry.protocol {
            Protocol::Smtp => entry.validate().map(Self::Smtp),
            Protocol::Pop3 => entry.validate().map(Self::Pop3),
        }
    }
}

impl Entry {
    fn validate<C: FaultCommand>(self) -> Result<Fault<C>, String> {
        let name = C::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.command));
        let Some((_, command)) = name else {
            let names: Vec<_> = C::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "`command` is `{}`, which no fault applies to; use one of {}",
                self.command,
                names.join(", ")
            ));
        };
        let sampling = match (self.probability, self.seed) {
            (Some(Probability(probability)), seed) => Some(Sampling { probability, seed: seed.unwrap_or(0) }),
            (None, None) => None,
            (None, Some(_)) => return Err("`seed` requires `probability`; set both or neither".into()),
        };
        let action = self.action(*command)?;
        if self.stored
            && !(command.stores_message() && matches!(action, Action::Reject(_) | Action::Disconnect))
        {
            return Err(
                "`stored` applies to the command MESSAGE with `reply` or `drop = true`; remove it".into()
            );
        }
        Ok(Fault {
            command: *command,
            action,
            stored: self.stored,
            times: self.times.map(NonZeroU32::get),
            identity: self.r#for,
            delay: self.delay.map(|Delay(delay)| delay),
            sampling,
        })
    }

    fn action<C: FaultCommand>(&self, command: C) -> Result<Action<C::Reply>, String> {
        match (&self.reply, self.drop, self.after) {
            (Some(_), true, _) => Err("`reply` and `drop` exclude each other; remove one of them".into()),
            (_, false, Some(_)) => Err("`after` requires `drop = true`; set both or neither".into()),
            (None, false, None) if self.delay.is_none() => {
                Err("the fault has no effect; set `reply`, `drop = true` or `delay`".into())
            }
            (None, false, None) => Ok(Action::Proceed),
            (Some(line), false, None) => C::parse_rejection(line).map(Action::Reject).ok_or_else(|| {
                format!(
                    "`reply` is `{line}`, which is not a negative reply; write it as in \"{}\"",
                    C::REJECTION_EXAMPLE
                )
            }),
            (None, true, None) => Ok(Action::Disconnect),
            (None, true, Some(octets)) if command.has_message() => Ok(Action::DisconnectAfter(octets.get())),
            (None, true, Some(_)) => {
                Err(format!("`after` counts octets of a message, and {} has none; remove it", self.command))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(pattern) = Pattern::parse(&text) {
            Ok(Self::Pattern(pattern))
        } else if text.contains('@') {
            Address::parse(&text)
                .map(Self::Address)
                .map_err(|error| D::Error::custom(format!("`{text}` is not an address: {error}")))
        } else {
            Username::parse(&text)
                .map(Self::Account)
                .map_err(|error| D::Error::custom(format!("`{text}` is not a user name: {error}")))
        }
    }
}

/// Greater than 0, at most 1.
#[derive(Debug, Clone, Copy)]
struct Probability(f64);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let probability = f64::deserialize(deserializer)?;
        if probability > 0.0 && probability <= 1.0 {
            return Ok(Self(probability));
        }
        Err(D::Error::custom(format!("`probability` is {probability}; it must be more than 0 and at most 1")))
    }
}

/// A duration with a unit: `"2 s"`, `"500 ms"`, `"1 min"`.
#[derive(Debug)]
struct Delay(Duration);

/// The longest reply timeout of clients (RFC 5321 section 4.5.3.2.6).
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
                format!(
                    "`{text}` is not a delay; write at most 10 minutes, as in \"500 ms\", \"2 s\", \"1 min\""
                )
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

    fn parse(text: &str) -> Result<Faults, String> {
        #[derive(Deserialize)]
        struct File {
            faults: Faults,
        }
        toml::from_str::<File>(text).map(|file| file.faults).map_err(|error| error.message().to_owned())
    }

    fn lines<C: FaultCommand>(faults: &[Fault<C>]) -> String {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn parse_reads_every_key() {
        let faults = parse(
            "[[faults]]\nprotocol = 'smtp'\ncommand = 'RCPT'\nfor = 'slow@iit.edu'\ndelay = '2 s'\n\
             reply = '451 4.3.0 Try again later'\nprobability = 0.25\nseed = 7\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'retr'\nfor = 'gb'\ndrop = true\nafter = '1 KiB'\n\
             [[faults]]\nprotocol = 'smtp'\ncommand = 'MESSAGE'\ndrop = true\n\
             [[faults]]\nprotocol = 'smtp'\ncommand = 'MESSAGE'\nfor = '*@Example.com'\nstored = true\ndrop = true\ntimes = 2\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'QUIT'\ndelay = '1 min'\nprobability = 1\n\
             [[faults]]\nprotocol = 'pop3'\ncommand = 'PASS'\nreply = '-ERR [IN-USE] maildrop locked'\n",
        )
        .expect("valid faults");
        let Faults { smtp, pop3 } = &faults;
        assert_eq!(
            lines(smtp),
            "RCPT for slow@iit.edu: 451 4.3.0 Try again later, after 2s, with probability 0.25 (seed 7)\n\
             MESSAGE: connection dropped\n\
             MESSAGE for *@example.com: connection dropped, after the message is stored, 2 times"
        );
        assert_eq!(
            lines(pop3),
            "RETR for gb: connection dropped after 1024 octets of the message\n\
             QUIT: carried out, after 60s, with probability 1 (seed 0)\n\
             PASS: -ERR [IN-USE] maildrop locked"
        );
        assert_eq!(smtp[0].sampling, Some(Sampling { probability: 0.25, seed: 7 }));
        assert_eq!(smtp[0].delay, Some(Duration::from_secs(2)));
        assert_eq!((smtp[1].command, &smtp[1].action), (SmtpCommand::Message, &Action::Disconnect));
        assert_eq!(pop3[0].action, Action::DisconnectAfter(1024));
    }

    #[test]
    fn parse_rejects_invalid_entries_and_names_the_key() {
        let smtp = "protocol = 'smtp'\ncommand = 'RCPT'\n";
        let pop3 = "protocol = 'pop3'\ncommand = 'LIST'\n";
        for (entry, part) in [
            ("command = 'RCPT'\ndrop = true", "protocol"),
            ("protocol = 'imap'\ncommand = 'RCPT'\ndrop = true", "imap"),
            ("protocol = 'smtp'\ndrop = true", "command"),
            (
                "protocol = 'smtp'\ncommand = 'RETR'\ndrop = true",
                "CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, MESSAGE, QUIT",
            ),
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
            (&format!("{smtp}delay = '2'"), "`2` is not a delay"),
            (&format!("{smtp}delay = '0 s'"), "`0 s` is not a delay"),
            (&format!("{smtp}delay = '11 min'"), "10 minutes"),
            (&format!("{smtp}delay = '99999999999999999999 s'"), "10 minutes"),
            (&format!("{smtp}drop = true\nprobability = 0"), "more than 0"),
            (&format!("{smtp}drop = true\nprobability = 1.5"), "at most 1"),
            (&format!("{smtp}drop = true\nprobability = nan"), "at most 1"),
            (&format!("{smtp}drop = true\nseed = 1"), "`probability`"),
            (&format!("{smtp}drop = true\ntimes = 0"), "nonzero"),
            (&format!("{smtp}drop = true\nstored = true"), "MESSAGE"),
            ("protocol = 'smtp'\ncommand = 'MESSAGE'\ndelay = '1 s'\nstored = true", "`drop = true`"),
            (&format!("{smtp}drop = true\nafter = 1"), "`after`"),
            ("protocol = 'smtp'\ncommand = 'DATA'\ndelay = '1 s'\nafter = 1", "`drop = true`"),
            (&format!("{smtp}drop = true\nfor = 'a b'"), "`a b`"),
            (&format!("{smtp}drop = true\nfor = 'a@'"), "`a@`"),
            (&format!("{smtp}drop = true\nform = 'a'"), "form"),
        ] {
            let reason = parse(&format!("[[faults]]\n{entry}\n")).expect_err(entry);
            assert!(reason.contains(part), "{entry}: {reason}");
        }
    }

    #[test]
    fn identity_of_an_account_matches_all_its_names_and_an_address_only_itself() {
        let account = Identity::Account(Username::parse("gb").expect("a username"));
        for name in ["gb", "GB", "gb@iit.edu", "gb+lists@iitkgp.edu"] {
            assert!(account.matches(name), "{name}");
        }
        let address = Identity::Address(Address::parse("gb@iit.edu").expect("an address"));
        assert!(address.matches("GB@IIT.EDU"));
        for name in ["gb", "gb+lists@iit.edu", "gb@iitkgp.edu", "", "@"] {
            assert!(!address.matches(name), "{name}");
        }
        let pattern = Identity::Pattern(Pattern::parse("*+x*@*.iit.EDU").expect("a pattern"));
        assert!(pattern.matches("gb+xy@CS.iit.edu") && pattern.matches("+x@.iit.edu"));
        for name in ["gb+xy@iit.edu", "gb@cs.iit.edu", "gb+xy@cs.iit.edu.example", ""] {
            assert!(!pattern.matches(name), "{name}");
        }
        for name in ["ag", "ag@iit.edu", "", "gb@"] {
            assert!(!account.matches(name), "{name}");
        }
    }
}
