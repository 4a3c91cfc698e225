//! Commands: RFC 5321 section 4.1.1, STARTTLS (RFC 3207), AUTH (RFC 4954), BDAT (RFC 3030).
//!
//! The server's [state table](super::server) decides which command is allowed in which state.

use std::fmt::{self, Display, Write};

use bytes::BytesMut;

use super::limits::HELLO_OCTETS_MAX;
use super::parameter::{MailParameters, ParameterError, RcptParameters};
use crate::message::address::{AddressError, ForwardPath, ReversePath};
use crate::sasl::{self, Mechanism, SaslError};

/// A command with its parsed arguments.
///
/// [`parse`](Self::parse) is the inverse of [`encode`](Self::encode). Arguments of NOOP and HELP are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `HELO iit.edu`
    Helo(HelloName),
    /// `EHLO iit.edu`
    Ehlo(HelloName),
    /// `MAIL FROM:<ag@iit.edu> SIZE=1000`
    Mail(ReversePath, MailParameters),
    /// `RCPT TO:<gb@iit.edu>`
    Rcpt(ForwardPath, RcptParameters),
    /// `DATA`
    Data,
    /// `BDAT 1000 LAST`
    Bdat {
        /// Octets after the line.
        size: u64,
        /// Whether this is the last chunk.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `QUIT`
    Quit,
    /// `VRFY ag`
    Vrfy(Argument),
    /// `HELP`
    Help,
    /// `STARTTLS`
    StartTls,
    /// `AUTH PLAIN AGFnAHNlY3JldA==`
    Auth {
        /// The SASL mechanism.
        mechanism: Mechanism,
        /// The decoded initial response.
        initial: Option<sasl::Message>,
    },
}

/// The reason a line is not a valid command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A control character, such as a bare CR or a NUL.
    #[error("control character in the command")]
    Control,
    /// An unknown verb.
    #[error("command not recognized")]
    Unknown,
    /// A standard verb that is not implemented.
    #[error("command not implemented")]
    NotImplemented,
    /// Missing, invalid or extra arguments; the correct syntax.
    #[error("syntax: {0}")]
    Argument(&'static str),
    /// An invalid reverse-path.
    #[error("invalid sender address: {0}")]
    Sender(AddressError),
    /// An invalid forward-path.
    #[error("invalid recipient address: {0}")]
    Recipient(AddressError),
    /// A parameter of MAIL or RCPT.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// An unsupported mechanism.
    #[error("authentication mechanism not supported")]
    UnknownMechanism,
    /// An invalid initial response.
    #[error("{0}")]
    Sasl(SaslError),
}

impl Command {
    /// Parses a line without its line ending. Case of verbs and keywords and trailing spaces and tabs are ignored (RFC
    /// 5321 section 4.1.1).
    ///
    /// # Errors
    /// The reason as a [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let length = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
        let line = &line[..length];
        if line.iter().any(u8::is_ascii_control) {
            return Err(CommandError::Control);
        }
        let verb_length = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (verb, argument) = line.split_at(verb_length);
        let argument = argument.trim_ascii_start();
        // No verb is longer than STARTTLS.
        let mut upper = [0; 8];
        let upper = upper.get_mut(..verb.len()).ok_or(CommandError::Unknown)?;
        upper.copy_from_slice(verb);
        upper.make_ascii_uppercase();
        let alone = |command: Self, usage| {
            if argument.is_empty() { Ok(command) } else { Err(CommandError::Argument(usage)) }
        };
        match &*upper {
            b"HELO" => HelloName::read(argument, "HELO domain").map(Self::Helo),
            b"EHLO" => HelloName::read(argument, "EHLO domain").map(Self::Ehlo),
            b"MAIL" => parse_mail(argument),
            b"RCPT" => parse_rcpt(argument),
            b"DATA" => alone(Self::Data, "DATA"),
            b"BDAT" => parse_bdat(argument).ok_or(CommandError::Argument("BDAT octets [LAST]")),
            b"RSET" => alone(Self::Rset, "RSET"),
            b"NOOP" => Ok(Self::Noop),
            b"QUIT" => alone(Self::Quit, "QUIT"),
            b"VRFY" => Argument::read(argument).map(Self::Vrfy).ok_or(CommandError::Argument("VRFY name")),
            b"HELP" => Ok(Self::Help),
            b"STARTTLS" => alone(Self::StartTls, "STARTTLS"),
            b"AUTH" => parse_auth(argument),
            // RFC 5321 sections 3.5 and F.6, RFC 821, RFC 1985, RFC 2645.
            b"EXPN" | b"SEND" | b"SOML" | b"SAML" | b"TURN" | b"ETRN" | b"ATRN" => {
                Err(CommandError::NotImplemented)
            }
            _ => Err(CommandError::Unknown),
        }
    }

    /// Appends the line including CRLF. [`Display`] formats it with `****` for secrets.
    pub fn encode(&self, out: &mut BytesMut) {
        self.write(out, true).and_then(|()| out.write_str("\r\n")).expect("a BytesMut grows as needed");
    }

    fn write(&self, out: &mut impl Write, with_secrets: bool) -> fmt::Result {
        match self {
            Self::Helo(name) => write!(out, "HELO {name}"),
            Self::Ehlo(name) => write!(out, "EHLO {name}"),
            Self::Mail(path, parameters) => write!(out, "MAIL FROM:{path}{parameters}"),
            Self::Rcpt(path, parameters) => write!(out, "RCPT TO:{path}{parameters}"),
            Self::Data => out.write_str("DATA"),
            Self::Bdat { size, last: false } => write!(out, "BDAT {size}"),
            Self::Bdat { size, last: true } => write!(out, "BDAT {size} LAST"),
            Self::Rset => out.write_str("RSET"),
            Self::Noop => out.write_str("NOOP"),
            Self::Quit => out.write_str("QUIT"),
            Self::Vrfy(name) => write!(out, "VRFY {name}"),
            Self::Help => out.write_str("HELP"),
            Self::StartTls => out.write_str("STARTTLS"),
            Self::Auth { mechanism, initial: None } => write!(out, "AUTH {mechanism}"),
            Self::Auth { mechanism, initial: Some(_) } if !with_secrets => {
                write!(out, "AUTH {mechanism} ****")
            }
            Self::Auth { mechanism, initial: Some(message) } => {
                write!(out, "AUTH {mechanism} {}", sasl::encode_initial(message).expose())
            }
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// The argument of HELO and EHLO.
///
/// RFC 5321 section 4.1.1.1 requires a domain or an address literal, but section 4.1.4 forbids rejecting mail because
/// of an invalid one, and real clients send odd names: computer names with spaces or letters in any charset. Octets that
/// are not ASCII are stored percent-encoded, because replies and trace fields must be ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloName(Box<str>);

impl HelloName {
    /// `None` if the name is empty, longer than a domain, or has a control character or surrounding spaces.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::from_octets(name.as_bytes())
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        if octets.trim_ascii() != octets || octets.iter().any(u8::is_ascii_control) {
            return None;
        }
        let mut name = String::with_capacity(octets.len());
        for &octet in octets {
            if octet.is_ascii() {
                name.push(char::from(octet));
            } else {
                write!(name, "%{octet:02X}").ok()?;
            }
        }
        (1..=HELLO_OCTETS_MAX).contains(&name.len()).then(|| Self(name.into()))
    }

    /// The name: printable ASCII and inner spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(argument: &[u8], usage: &'static str) -> Result<Self, CommandError> {
        Self::from_octets(argument).ok_or(CommandError::Argument(usage))
    }
}

impl Display for HelloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Free text in a command: not empty, without control characters or surrounding spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(Box<str>);

impl Argument {
    /// `None` if the text is not valid in a command.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let possible = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
        possible.then(|| Self(text.into()))
    }

    fn read(argument: &[u8]) -> Option<Self> {
        std::str::from_utf8(argument).ok().and_then(Self::parse)
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn parse_mail(argument: &[u8]) -> Result<Command, CommandError> {
    let path = strip_keyword(argument, b"FROM:").ok_or(CommandError::Argument("MAIL FROM:<address>"))?;
    let (path, rest) = ReversePath::parse(path).map_err(CommandError::Sender)?;
    Ok(Command::Mail(path, MailParameters::parse(rest)?))
}

fn parse_rcpt(argument: &[u8]) -> Result<Command, CommandError> {
    let path = strip_keyword(argument, b"TO:").ok_or(CommandError::Argument("RCPT TO:<address>"))?;
    let (path, rest) = ForwardPath::parse(path).map_err(CommandError::Recipient)?;
    Ok(Command::Rcpt(path, RcptParameters::parse(rest)?))
}

/// ```abnf
/// bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
/// chunk-size = 1*DIGIT
/// end-marker = "LAST"
/// ```
fn parse_bdat(argument: &[u8]) -> Option<Command> {
    let mut words = std::str::from_utf8(argument).ok()?.split_ascii_whitespace();
    let size = chunk_size(words.next()?.as_bytes())?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Command::Bdat { size, last })
}

/// Whether the verb of a line is BDAT.
pub(super) fn is_bdat(line: &[u8]) -> bool {
    let (verb, rest) = line.split_at_checked(4).unwrap_or_default();
    verb.eq_ignore_ascii_case(b"BDAT") && rest.first().is_none_or(|b| !b.is_ascii_graphic())
}

/// The chunk size of a malformed BDAT, if it can be parsed.
pub(super) fn bdat_size(line: &[u8]) -> Option<u64> {
    chunk_size(line.split(|b| *b == b' ').filter(|word| !word.is_empty()).nth(1)?)
}

fn chunk_size(word: &[u8]) -> Option<u64> {
    let digits = word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}

fn parse_auth(argument: &[u8]) -> Result<Command, CommandError> {
    let mut words = argument.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let usage = CommandError::Argument("AUTH mechanism [initial-response]");
    let mechanism = Mechanism::parse(words.next().ok_or(usage)?).ok_or(CommandError::UnknownMechanism)?;
    let initial = words.next().map(sasl::decode_initial).transpose().map_err(CommandError::Sasl)?;
    if words.next().is_some() {
        return Err(usage);
    }
    Ok(Command::Auth { mechanism, initial })
}

fn strip_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::parameter::tests::{mail_parameters, rcpt_parameters};
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn shown(line: &str) -> String {
        Command::parse(line.as_bytes()).expect("the line is a command").to_string()
    }

    #[test]
    fn parse_accepts_the_commands_of_the_guide() {
        assert_eq!(shown("HELO iit.edu"), "HELO iit.edu");
        assert_eq!(shown("MAIL FROM: <ag@iit.edu>"), "MAIL FROM:<ag@iit.edu>");
        assert_eq!(shown("RCPT TO: gb@iit.edu"), "RCPT TO:<gb@iit.edu>");
        assert_eq!(shown("DATA"), "DATA");
        assert_eq!(shown("QUIT"), "QUIT");
    }

    #[test]
    fn parse_ignores_case_and_extra_spaces() {
        assert_eq!(shown("eHlO [127.0.0.1]  "), "EHLO [127.0.0.1]");
        assert_eq!(shown("HELO my_odd:name!"), "HELO my_odd:name!");
        assert_eq!(shown("EHLO Front Desk  PC\t "), "EHLO Front Desk  PC");
        assert_eq!(shown("EHLO J\u{f6}rg-PC"), "EHLO J%C3%B6rg-PC");
        let latin1 = Command::parse(b"HELO J\xF6rg's PC").expect("the line is a command");
        assert_eq!(latin1.to_string(), "HELO J%F6rg's PC");
        assert_eq!(shown("quit\t"), "QUIT");
        assert_eq!(shown("mail from:<> size=1 \t"), "MAIL FROM:<> SIZE=1");
        assert_eq!(shown("rcpt  to:<postmaster>"), "RCPT TO:<Postmaster>");
        assert_eq!(shown("noop with words"), "NOOP");
        assert_eq!(shown("help mail"), "HELP");
        assert_eq!(shown("bdat 010 last"), "BDAT 10 LAST");
        assert_eq!(shown("vrfy Ag Mitra"), "VRFY Ag Mitra");
        assert_eq!(shown("auth plain ="), "AUTH PLAIN ****");
    }

    #[test]
    fn parse_distinguishes_errors() {
        use CommandError as E;
        for (line, error) in [
            (&b""[..], E::Unknown),
            (b" NOOP", E::Unknown),
            (b"NOOPE", E::Unknown),
            (b"STARTTLSX", E::Unknown),
            (b"XY\xFFZ", E::Unknown),
            (b"NOOP\0", E::Control),
            (b"RSET\rQUIT", E::Control),
            (b"EXPN list", E::NotImplemented),
            (b"TURN", E::NotImplemented),
            (b"HELO", E::Argument("HELO domain")),
            (b"EHLO \t", E::Argument("EHLO domain")),
            (b"EHLO two\twords", E::Control),
            (b"\tNOOP", E::Control),
            (b"MAIL", E::Argument("MAIL FROM:<address>")),
            (b"MAIL <ag@iit.edu>", E::Argument("MAIL FROM:<address>")),
            (b"MAIL FROM:", E::Sender(AddressError::Empty)),
            (b"MAIL FROM:<ag>", E::Sender(AddressError::NoAt)),
            (b"RCPT FROM:<ag@iit.edu>", E::Argument("RCPT TO:<address>")),
            (b"RCPT TO:<>", E::Recipient(AddressError::NullRecipient)),
            (b"MAIL FROM:<ag@iit.edu> XYZZY=1", E::Parameter(ParameterError::Unknown)),
            (b"MAIL FROM:<ag@iit.edu> SIZE=many", E::Parameter(ParameterError::Syntax("SIZE=octets"))),
            (b"BDAT", E::Argument("BDAT octets [LAST]")),
            (b"BDAT +1", E::Argument("BDAT octets [LAST]")),
            (b"BDAT 99999999999999999999", E::Argument("BDAT octets [LAST]")),
            (b"BDAT 1 FIRST", E::Argument("BDAT octets [LAST]")),
            (b"BDAT 1 LAST 2", E::Argument("BDAT octets [LAST]")),
            (b"DATA now", E::Argument("DATA")),
            (b"VRFY", E::Argument("VRFY name")),
            (b"AUTH", E::Argument("AUTH mechanism [initial-response]")),
            (b"AUTH CRAM-MD5", E::UnknownMechanism),
            (b"AUTH PLAIN a", E::Sasl(SaslError::NotBase64)),
            (b"AUTH PLAIN = =", E::Argument("AUTH mechanism [initial-response]")),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{}", line.escape_ascii());
        }
    }

    fn command() -> impl Strategy<Value = Command> {
        let address = "[a-z]{1,8}@[a-z]{1,8}\\.edu|é@bücher\\.example";
        let reverse = prop_oneof![
            Just(ReversePath::Null),
            address.prop_map(|a| ReversePath::Address(a.parse().expect("an address")))
        ];
        let forward = prop_oneof![
            Just(ForwardPath::Postmaster),
            address.prop_map(|a| ForwardPath::Address(a.parse().expect("an address")))
        ];
        let hello = "[!-~]([ -~]{0,18}[!-~])?".prop_map(|name| HelloName::parse(&name).expect("printable"));
        let mechanism = prop_oneof![Just(Mechanism::Plain), Just(Mechanism::Login)];
        let message = proptest::collection::vec(any::<u8>(), 0..20).prop_map(Secret::new);
        prop_oneof![
            hello.clone().prop_map(Command::Helo),
            hello.prop_map(Command::Ehlo),
            (reverse, mail_parameters()).prop_map(|(path, parameters)| Command::Mail(path, parameters)),
            (forward, rcpt_parameters()).prop_map(|(path, parameters)| Command::Rcpt(path, parameters)),
            (any::<u64>(), any::<bool>()).prop_map(|(size, last)| Command::Bdat { size, last }),
            "[!-~é]([ -~]{0,8}[!-~])?"
                .prop_map(|text| Command::Vrfy(Argument::parse(&text).expect("printable"))),
            (mechanism, proptest::option::of(message))
                .prop_map(|(mechanism, initial)| Command::Auth { mechanism, initial }),
            Just(Command::Data),
            Just(Command::Rset),
            Just(Command::Noop),
            Just(Command::Quit),
            Just(Command::Help),
            Just(Command::StartTls),
        ]
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode_for_any_command(command in command()) {
            let mut wire = BytesMut::new();
            command.encode(&mut wire);
            let line = wire.strip_suffix(b"\r\n").expect("a line ends");
            prop_assert_eq!(Command::parse(line), Ok(command));
        }

        #[test]
        fn parse_never_panics_or_accepts_control_characters(
            verb in "(HELO|MAIL FROM:|RCPT TO:|VRFY|AUTH|BDAT|X) ?",
            rest in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let line = [verb.as_bytes(), &rest].concat();
            if let Ok(command) = Command::parse(&line) {
                prop_assert!(!command.to_string().contains(|c: char| c.is_ascii_control()));
            }
        }
    }
}
