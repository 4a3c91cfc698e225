//! Commands: RFC 1939 sections 3 to 7, RFC 2449 section 5 (CAPA), RFC 2595 section 4 (STLS), RFC 5034 section 4 (AUTH),
//! RFC 6856 section 2.1 (UTF8).
//!
//! The server's state table decides which command is allowed in which state.

use std::fmt;

use bytes::BytesMut;

use super::decimal::put_number;
use super::limits::{AUTH_LINE_OCTETS_MAX, COMMAND_LINE_OCTETS_MAX};
use crate::secret::Secret;

/// A valid argument of USER or PASS: not empty, without CR, LF or NUL, and short enough for a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(String);

impl Argument {
    /// Maximum octets: a command line without `USER ` or `PASS ` and CRLF.
    pub const LENGTH_MAX: usize = COMMAND_LINE_OCTETS_MAX - 7;

    /// Validates `text`.
    ///
    /// # Errors
    /// The reason as a [`CommandError`].
    pub fn new(text: impl Into<String>) -> Result<Self, CommandError> {
        let text = text.into();
        if text.is_empty() {
            return Err(CommandError::MissingArgument);
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(CommandError::TooLong);
        }
        if text.contains(['\r', '\n', '\0']) {
            return Err(CommandError::BadText);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, by value.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `USER name`. The name is the rest of the line.
    User(Argument),
    /// `PASS string`. The rest of the line, including spaces (RFC 1939 section 7).
    Pass(Secret<Argument>),
    /// `AUTH [mechanism [initial-response]]`. Without a mechanism it requests a list, which is not in an RFC but common in
    /// clients.
    Auth {
        /// The mechanism in upper case.
        mechanism: Option<String>,
        /// The initial response in base64, or `=`.
        initial_response: Option<Secret<String>>,
    },
    /// `STAT`
    Stat,
    /// `LIST [msg]`
    List(Option<u64>),
    /// `UIDL [msg]`
    Uidl(Option<u64>),
    /// `RETR msg`
    Retr(u64),
    /// `DELE msg`
    Dele(u64),
    /// `TOP msg n`
    Top {
        /// The message-number.
        number: u64,
        /// Number of lines of the body.
        lines: u64,
    },
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
    /// `CAPA`
    Capa,
    /// `STLS`
    Stls,
    /// `UTF8`
    Utf8,
}

/// The reason a line is not a valid command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An unknown keyword.
    #[error("unknown command")]
    Unknown,
    /// APOP or LANG.
    #[error("command not implemented")]
    NotImplemented,
    /// An argument is missing.
    #[error("missing argument")]
    MissingArgument,
    /// There are too many arguments.
    #[error("too many arguments")]
    UnexpectedArgument,
    /// A message-number or a line count is not a number.
    #[error("not a number")]
    BadNumber,
    /// An argument has a NUL or a CR, or is not UTF-8.
    #[error("invalid character in the argument")]
    BadText,
    /// The line exceeds the limit.
    #[error("line too long")]
    TooLong,
}

impl Command {
    /// Parses a line without its line ending. The case of the keyword is ignored, as are extra spaces and trailing tabs,
    /// except in a password.
    ///
    /// ```abnf
    /// command = keyword *(SP param) CRLF    ;255 octets maximum   (RFC 2449 section 8)
    /// ```
    ///
    /// # Errors
    /// The reason as a [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let length = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        let (keyword, rest) = split_word(&line[..length]);
        let mut verb = *b"    ";
        if !matches!(keyword.len(), 3 | 4) {
            return Err(CommandError::Unknown);
        }
        verb[..keyword.len()].copy_from_slice(keyword);
        verb.make_ascii_uppercase();
        let length_max = if verb == *b"AUTH" { AUTH_LINE_OCTETS_MAX } else { COMMAND_LINE_OCTETS_MAX };
        if line.len() + 2 > length_max {
            return Err(CommandError::TooLong);
        }
        let mut arguments = Arguments(rest);
        let command = match &verb {
            b"USER" => return Ok(Self::User(text(rest.trim_ascii())?)),
            b"PASS" => return Ok(Self::Pass(Secret::new(text(line.get(5..).unwrap_or_default())?))),
            b"AUTH" => arguments.auth()?,
            b"STAT" => Self::Stat,
            b"LIST" => Self::List(arguments.optional_number()?),
            b"UIDL" => Self::Uidl(arguments.optional_number()?),
            b"RETR" => Self::Retr(arguments.number()?),
            b"DELE" => Self::Dele(arguments.number()?),
            b"TOP " => Self::Top { number: arguments.number()?, lines: arguments.number()? },
            b"NOOP" => Self::Noop,
            b"RSET" => Self::Rset,
            b"QUIT" => Self::Quit,
            b"CAPA" => Self::Capa,
            b"STLS" => Self::Stls,
            b"UTF8" => Self::Utf8,
            b"APOP" | b"LANG" => return Err(CommandError::NotImplemented),
            _ => return Err(CommandError::Unknown),
        };
        match arguments.next() {
            None => Ok(command),
            Some(_) => Err(CommandError::UnexpectedArgument),
        }
    }

    /// Appends the command as a line including CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.keyword().as_bytes());
        match self {
            Self::User(name) => put_word(name.as_str(), out),
            Self::Pass(password) => put_word(password.expose().as_str(), out),
            Self::Auth { mechanism, initial_response } => {
                if let Some(mechanism) = mechanism {
                    put_word(mechanism, out);
                }
                if let Some(response) = initial_response {
                    put_word(response.expose(), out);
                }
            }
            Self::List(Some(number)) | Self::Uidl(Some(number)) | Self::Retr(number) | Self::Dele(number) => {
                put_argument(*number, out);
            }
            Self::Top { number, lines } => {
                put_argument(*number, out);
                put_argument(*lines, out);
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The keyword in upper case.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::User(_) => "USER",
            Self::Pass(_) => "PASS",
            Self::Auth { .. } => "AUTH",
            Self::Stat => "STAT",
            Self::List(_) => "LIST",
            Self::Uidl(_) => "UIDL",
            Self::Retr(_) => "RETR",
            Self::Dele(_) => "DELE",
            Self::Top { .. } => "TOP",
            Self::Noop => "NOOP",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::Utf8 => "UTF8",
        }
    }
}

/// Formats the command for a transcript, without CRLF and with `****` for secrets.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())?;
        match self {
            Self::User(name) => write!(f, " {}", name.as_str()),
            Self::Pass(_) => f.write_str(" ****"),
            Self::Auth { mechanism, initial_response } => {
                mechanism.iter().try_for_each(|mechanism| write!(f, " {mechanism}"))?;
                initial_response.iter().try_for_each(|_| f.write_str(" ****"))
            }
            Self::List(Some(number)) | Self::Uidl(Some(number)) | Self::Retr(number) | Self::Dele(number) => {
                write!(f, " {number}")
            }
            Self::Top { number, lines } => write!(f, " {number} {lines}"),
            _ => Ok(()),
        }
    }
}

/// The remaining arguments of a line.
struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|&byte| byte != b' ')?;
        let (word, rest) = split_word(&self.0[start..]);
        self.0 = rest;
        Some(word)
    }

    fn number(&mut self) -> Result<u64, CommandError> {
        self.optional_number()?.ok_or(CommandError::MissingArgument)
    }

    /// Numbers that overflow become `u64::MAX`, which is not a valid message-number either.
    fn optional_number(&mut self) -> Result<Option<u64>, CommandError> {
        let Some(word) = self.next() else { return Ok(None) };
        if !word.iter().all(u8::is_ascii_digit) {
            return Err(CommandError::BadNumber);
        }
        let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        Ok(Some(word.iter().fold(0, add)))
    }

    /// RFC 5034 section 4: `AUTH mechanism [initial-response]`. The exchange validates the response.
    fn auth(&mut self) -> Result<Command, CommandError> {
        let graphic = |word: &[u8]| match str::from_utf8(word) {
            Ok(word) if word.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(word.to_owned()),
            _ => Err(CommandError::BadText),
        };
        let mechanism = self.next().map(|word| graphic(&word.to_ascii_uppercase())).transpose()?;
        let initial_response = self.next().map(graphic).transpose()?.map(Secret::new);
        Ok(Command::Auth { mechanism, initial_response })
    }
}

/// Splits a line at its first space.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

fn text(bytes: &[u8]) -> Result<Argument, CommandError> {
    Argument::new(str::from_utf8(bytes).map_err(|_| CommandError::BadText)?)
}

fn put_word(word: &str, out: &mut BytesMut) {
    out.extend_from_slice(b" ");
    out.extend_from_slice(word.as_bytes());
}

fn put_argument(number: u64, out: &mut BytesMut) {
    out.extend_from_slice(b" ");
    put_number(number, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn pass(password: &str) -> Command {
        Command::Pass(Secret::new(Argument::new(password).unwrap()))
    }

    #[test]
    fn parse_ignores_case_and_extra_spaces() {
        for (line, command) in [
            (&b"STAT"[..], Command::Stat),
            (b"stat ", Command::Stat),
            (b"STAT\t", Command::Stat),
            (b"RETR 7 \t", Command::Retr(7)),
            (b"USER ag\t", Command::User(Argument::new("ag").unwrap())),
            (b"PASS tab\t", pass("tab\t")),
            (b"LIST", Command::List(None)),
            (b"LiSt  7 ", Command::List(Some(7))),
            (b"uidl 007", Command::Uidl(Some(7))),
            (b"RETR 99999999999999999999999", Command::Retr(u64::MAX)),
            (b"dele 1", Command::Dele(1)),
            (b"top 1 0", Command::Top { number: 1, lines: 0 }),
            (b"user ag@iit.edu ", Command::User(Argument::new("ag@iit.edu").unwrap())),
            (b"USER  ag", Command::User(Argument::new("ag").unwrap())),
            (b"PASS  two words ", pass(" two words ")),
            (b"AUTH", Command::Auth { mechanism: None, initial_response: None }),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{}", line.escape_ascii());
        }
        let auth = Command::Auth {
            mechanism: Some("PLAIN".to_owned()),
            initial_response: Some(Secret::new("AGFnAHg=".to_owned())),
        };
        assert_eq!(Command::parse(b"auth plain AGFnAHg="), Ok(auth));
    }

    #[test]
    fn parse_distinguishes_errors() {
        let long = [&b"USER "[..], &[b'x'; 300]].concat();
        let long_name = [&b"USER "[..], &[b'x'; 249]].concat();
        for (line, error) in [
            (&b""[..], CommandError::Unknown),
            (b" STAT", CommandError::Unknown),
            (b"STATUS", CommandError::Unknown),
            (b"TO", CommandError::Unknown),
            (b"TOP\0 1 1", CommandError::Unknown),
            (b"\xff\xfe\xfd", CommandError::Unknown),
            (b"APOP ag c4c9334bac560ecc979e58001b3e22fb", CommandError::NotImplemented),
            (b"LANG", CommandError::NotImplemented),
            (b"USER", CommandError::MissingArgument),
            (b"PASS ", CommandError::MissingArgument),
            (b"RETR", CommandError::MissingArgument),
            (b"TOP 1", CommandError::MissingArgument),
            (b"NOOP 1", CommandError::UnexpectedArgument),
            (b"RETR 1 2", CommandError::UnexpectedArgument),
            (b"AUTH PLAIN = =", CommandError::UnexpectedArgument),
            (b"RETR one", CommandError::BadNumber),
            (b"RETR -1", CommandError::BadNumber),
            (b"USER a\0b", CommandError::BadText),
            (b"PASS a\rb", CommandError::BadText),
            (b"USER \xff", CommandError::BadText),
            (b"AUTH PL\tAIN", CommandError::BadText),
            (&long, CommandError::TooLong),
            (&long_name, CommandError::TooLong),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn display_hides_secrets() {
        assert_eq!(pass("hunter2").to_string(), "PASS ****");
        let auth = Command::parse(b"AUTH PLAIN AGFnAHg=").unwrap();
        assert_eq!(auth.to_string(), "AUTH PLAIN ****");
        assert!(!format!("{:?} {auth:?}", pass("hunter2")).contains("hunter2"));
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let argument = || "[!-~é]([ -~é]{0,80}[!-~é])?".prop_map(|text| Argument::new(text).unwrap());
        prop_oneof![
            argument().prop_map(Command::User),
            argument().prop_map(|text| Command::Pass(Secret::new(text))),
            ("[A-Z0-9_-]{1,20}", proptest::option::of("=|[A-Za-z0-9+/]{2,400}")).prop_map(
                |(mechanism, response)| Command::Auth {
                    mechanism: Some(mechanism),
                    initial_response: response.map(Secret::new)
                }
            ),
            any::<Option<u64>>().prop_map(Command::List),
            any::<Option<u64>>().prop_map(Command::Uidl),
            any::<u64>().prop_map(Command::Retr),
            any::<u64>().prop_map(Command::Dele),
            any::<(u64, u64)>().prop_map(|(number, lines)| Command::Top { number, lines }),
            proptest::sample::select(vec![
                Command::Stat,
                Command::Noop,
                Command::Rset,
                Command::Quit,
                Command::Capa,
                Command::Stls,
                Command::Utf8,
                Command::Auth { mechanism: None, initial_response: None },
            ]),
        ]
    }

    proptest! {
        #[test]
        fn parse_is_the_inverse_of_encode_for_any_command(command in any_command()) {
            let mut wire = BytesMut::new();
            command.encode(&mut wire);
            let line = wire.strip_suffix(b"\r\n").expect("a command is a line");
            prop_assert_eq!(Command::parse(line), Ok(command));
        }

        #[test]
        fn parse_never_panics_on_any_line(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(command) = Command::parse(&line) {
                let mut wire = BytesMut::new();
                command.encode(&mut wire);
                prop_assert!(!wire[..wire.len() - 2].contains(&b'\n'));
            }
        }

        #[test]
        fn parse_never_panics_on_any_argument(line in "(USER|pass|TOP|LIST|auth|RETR)[ 0-9a\0\r\n=é]{0,12}") {
            if let Ok(command) = Command::parse(line.as_bytes()) {
                let mut wire = BytesMut::new();
                command.encode(&mut wire);
                prop_assert_eq!(Command::parse(&wire[..wire.len() - 2]), Ok(command));
            }
        }
    }
}
