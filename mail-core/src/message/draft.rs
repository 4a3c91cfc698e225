//! An unsent message and its validation, for the terminal client and the browser client.
//!
//! From, To and Subject are required. An address is X@Y, with or without angle brackets, by the grammar of
//! [`address`](super::address). The subject is one line of at most 100 characters. The body may be empty.
//! [`compose`](super::compose) converts a draft to a message.

use std::collections::HashSet;
use std::fmt::{self, Display};

use super::address::{Address, AddressError};
use super::id::MessageId;

/// Maximum length of a subject in characters, before encoding.
pub const SUBJECT_CHARS_MAX: usize = 100;

/// An unsent message. The types of its fields rule out header injection; [`Draft::check`] validates the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The author.
    pub from: Address,
    /// The author's display name. It may be empty.
    pub from_name: String,
    /// Primary recipients; at least one.
    pub to: Vec<Address>,
    /// Recipients of a visible copy.
    pub cc: Vec<Address>,
    /// Recipients of a hidden copy. They are not in the header.
    pub bcc: Vec<Address>,
    /// The subject.
    pub subject: Subject,
    /// The text, with any line ends.
    pub body: String,
    /// The same content with formatting. It may show attachments by their Content-ID, as `src="cid:..."`.
    pub html: Option<String>,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// The message that this one replies to.
    pub in_reply_to: Option<MessageId>,
    /// The thread, oldest message first.
    pub references: Vec<MessageId>,
}

/// A file attached to a sent or received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The file name, without directories.
    pub name: String,
    /// The media type, such as `image/png`.
    pub mime: String,
    /// Content-ID without angle brackets, to which the HTML of the message refers. Sent if the HTML of the draft does.
    pub content_id: Option<String>,
    /// Content-Location, to which the HTML of the message refers (RFC 2557). Not sent.
    pub content_location: Option<String>,
    /// The decoded content.
    pub bytes: Vec<u8>,
}

/// The reason a draft cannot be sent, as a message for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// One of the first three lines is missing or out of order.
    #[error("expected \"{0}:\"; the mail must begin with the lines From, To and Subject, in this order")]
    Field(&'static str),
    /// An invalid address in From, To, Cc or Bcc.
    #[error("{field}: {error}")]
    Address {
        /// The field.
        field: &'static str,
        /// The reason.
        error: AddressError,
    },
    /// No recipient in To.
    #[error("To: enter at least one address")]
    NoRecipient,
    /// The subject, with this length, exceeds [`SUBJECT_CHARS_MAX`].
    #[error("Subject: it has {0} characters; the limit is 100")]
    SubjectTooLong(usize),
    /// The subject contains a control character.
    #[error("Subject: must be a single line without control characters")]
    SubjectControl,
    /// The line with a single dot is missing.
    #[error("the end of the body is missing: write a line with a single dot")]
    NoDot,
}

impl Draft {
    /// A draft without copies and attachments.
    #[must_use]
    pub const fn new(from: Address, to: Vec<Address>, subject: Subject, body: String) -> Self {
        Self {
            from,
            from_name: String::new(),
            to,
            cc: Vec::new(),
            bcc: Vec::new(),
            subject,
            body,
            html: None,
            attachments: Vec::new(),
            in_reply_to: None,
            references: Vec::new(),
        }
    }

    /// Parses the terminal client's input: the lines From, To (one address each) and Subject, in this order, then the
    /// body and a line with a single dot. One empty line before the body is skipped.
    ///
    /// # Errors
    /// The first problem found.
    pub fn parse_dialogue(text: &str) -> Result<Self, DraftError> {
        let mut lines = text.lines();
        let from = parse_address("From", field(&mut lines, "From")?)?;
        let to = parse_address("To", field(&mut lines, "To")?)?;
        let subject = Subject::parse(field(&mut lines, "Subject")?)?;
        let mut body = String::new();
        for (number, line) in lines.enumerate() {
            if line == "." {
                return Ok(Self::new(from, vec![to], subject, body));
            }
            if number > 0 || !line.is_empty() {
                body.push_str(line);
                body.push('\n');
            }
        }
        Err(DraftError::NoDot)
    }

    /// Checks that there is a recipient.
    ///
    /// # Errors
    /// [`DraftError::NoRecipient`].
    pub const fn check(&self) -> Result<(), DraftError> {
        if self.to.is_empty() { Err(DraftError::NoRecipient) } else { Ok(()) }
    }

    /// All recipients, without duplicates.
    #[must_use]
    pub fn recipients(&self) -> Vec<&Address> {
        let mut seen = HashSet::new();
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc);
        all.filter(|address| seen.insert(*address)).collect()
    }

    /// The Content-IDs of the images that the HTML shows.
    #[must_use]
    pub fn shown_content_ids(&self) -> HashSet<&str> {
        const START: &str = "\"cid:";
        let html = self.html.as_deref().unwrap_or_default();
        let urls = html.match_indices(START).map(|(at, _)| &html[at + START.len()..]);
        urls.filter_map(|url| url.split('"').next()).collect()
    }

    /// Whether an address is not ASCII, so that the server must support SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.from.is_ascii() || self.recipients().iter().any(|address| !address.is_ascii())
    }
}

/// Parses one address, with or without angle brackets. `field` is used in the error.
///
/// # Errors
/// [`DraftError::Address`].
pub fn parse_address(field: &'static str, text: &str) -> Result<Address, DraftError> {
    let text = text.trim();
    let inner = text.strip_prefix('<').map_or(Ok(text), |rest| {
        rest.strip_suffix('>').ok_or(DraftError::Address { field, error: AddressError::UnclosedBracket })
    })?;
    Address::parse(inner).map_err(|error| DraftError::Address { field, error })
}

/// Parses a comma-separated list of addresses, each with or without angle brackets. The list may be empty.
///
/// # Errors
/// [`DraftError::Address`].
pub fn parse_addresses(field: &'static str, text: &str) -> Result<Vec<Address>, DraftError> {
    let (mut quoted, mut escaped) = (false, false);
    let comma = |c| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && !escaped && c == '\\';
        c == ',' && !quoted
    };
    let parts = text.split(comma).filter(|part| !part.trim().is_empty());
    parts.map(|part| parse_address(field, part)).collect()
}

/// A subject: one line of at most 100 characters, without control characters or surrounding white space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// Parses a subject. Trims white space and converts tabs to spaces.
    ///
    /// # Errors
    /// [`DraftError::SubjectTooLong`] or [`DraftError::SubjectControl`].
    pub fn parse(text: &str) -> Result<Self, DraftError> {
        let text = text.replace('\t', " ");
        if text.contains(char::is_control) {
            return Err(DraftError::SubjectControl);
        }
        let text = text.trim();
        match text.chars().count() {
            0..=SUBJECT_CHARS_MAX => Ok(Self(text.to_owned())),
            chars => Err(DraftError::SubjectTooLong(chars)),
        }
    }

    /// Makes a valid subject from any text: converts control characters to spaces and truncates.
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        let text = text.replace(char::is_control, " ");
        let mut text = text.trim();
        if let Some((end, _)) = text.char_indices().nth(SUBJECT_CHARS_MAX) {
            text = text[..end].trim_end();
        }
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of the next line, which must be this field.
fn field<'a>(lines: &mut std::str::Lines<'a>, name: &'static str) -> Result<&'a str, DraftError> {
    let (own, value) = lines.next().and_then(|line| line.split_once(':')).ok_or(DraftError::Field(name))?;
    if own.trim().eq_ignore_ascii_case(name) { Ok(value.trim()) } else { Err(DraftError::Field(name)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn parse_dialogue_reads_fields_and_body() {
        let draft = Draft::parse_dialogue(
            "From: ag@iit.edu\nto : <gb@iit.edu>\r\nSUBJECT:Hi: you\n\na\n\n..\nb\n.\n",
        )
        .unwrap();
        assert_eq!((draft.from, draft.to), (address("ag@iit.edu"), vec![address("gb@iit.edu")]));
        assert_eq!((draft.subject.as_str(), draft.body.as_str()), ("Hi: you", "a\n\n..\nb\n"));
        let empty = Draft::parse_dialogue("From: ag@iit.edu\nTo: gb@iit.edu\nSubject:\n.").unwrap();
        assert_eq!((empty.subject.as_str(), empty.body.as_str()), ("", ""));
    }

    #[test]
    fn parse_dialogue_reports_the_first_error() {
        use DraftError as E;
        let (from, to, subject) = ("From: ag@iit.edu\n", "To: gb@iit.edu\n", "Subject: x\n");
        let at = |field, error| E::Address { field, error };
        for (text, error) in [
            (String::new(), E::Field("From")),
            (format!("{to}{from}{subject}.\n"), E::Field("From")),
            (format!("{from}{subject}{to}.\n"), E::Field("To")),
            (format!("{from}{to}.\n"), E::Field("Subject")),
            (format!("{from}{to}hello\n.\n"), E::Field("Subject")),
            (format!("From:\n{to}{subject}.\n"), at("From", AddressError::Empty)),
            (format!("From: ag\n{to}{subject}.\n"), at("From", AddressError::NoAt)),
            (format!("{from}To: Gb <gb@iit.edu>\n{subject}.\n"), at("To", AddressError::LocalPartChar(' '))),
            (format!("{from}To: <gb@iit.edu\n{subject}.\n"), at("To", AddressError::UnclosedBracket)),
            (
                format!("{from}To: a@iit.edu, b@iit.edu\n{subject}.\n"),
                at("To", AddressError::DomainChar(',')),
            ),
            (format!("{from}{to}Subject: {}\n.\n", "é".repeat(101)), E::SubjectTooLong(101)),
            (format!("{from}{to}Subject: a\rb\n.\n"), E::SubjectControl),
            (format!("{from}{to}{subject}body\n"), E::NoDot),
            (format!("{from}{to}{subject}. \n"), E::NoDot),
        ] {
            assert_eq!(Draft::parse_dialogue(&text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn parse_addresses_splits_at_commas_outside_quotes() {
        let list = parse_addresses("To", "a@b.c, <\"x,\\\"y\"@b.c>,,d@e.f ,").unwrap();
        assert_eq!(list, [address("a@b.c"), address("\"x,\\\"y\"@b.c"), address("d@e.f")]);
        assert_eq!(parse_addresses("To", " "), Ok(vec![]));
        assert!(parse_addresses("To", "a@b.c d@e.f").is_err());
    }

    #[test]
    fn recipients_have_no_duplicates() {
        let list = |text| parse_addresses("To", text).unwrap();
        let mut draft = Draft::new(address("ag@iit.edu"), vec![], Subject::default(), String::new());
        assert_eq!(draft.check(), Err(DraftError::NoRecipient));
        (draft.to, draft.cc, draft.bcc) = (list("a@b.c"), list("a@B.C, d@e.f"), list("g@h.i"));
        assert_eq!(draft.check(), Ok(()));
        assert_eq!(draft.recipients(), list("a@b.c,d@e.f,g@h.i").iter().collect::<Vec<_>>());
        assert!(!draft.needs_smtputf8());
        draft.bcc = list("g@bücher.example");
        assert!(draft.needs_smtputf8());
    }

    #[test]
    fn subject_is_one_line_of_at_most_100_characters() {
        assert_eq!(Subject::parse(&" é".repeat(50)).unwrap().as_str().chars().count(), 99);
        for text in ["a\nb", "a\r\nBcc: x@y.z", "a\0", "\u{85}"] {
            assert_eq!(Subject::parse(text), Err(DraftError::SubjectControl), "{text:?}");
        }
        assert_eq!(Subject::truncated("a\r\nb").as_str(), "a  b");
        assert_eq!(Subject::truncated(&"ß".repeat(300)).as_str(), "ß".repeat(100));
    }

    proptest! {
        #[test]
        fn truncated_subject_is_valid(text in "[a é\t\r\n\0]{0,120}|\\PC{0,120}") {
            let subject = Subject::truncated(&text);
            prop_assert_eq!(Subject::parse(subject.as_str()), Ok(subject));
        }

        #[test]
        fn parse_dialogue_preserves_subject_and_body(subject in "[a-z é:]{0,40}", body in "([a-z. é]{0,9}\n){0,5}") {
            let text = format!("From: ag@iit.edu\nTo: <gb@iit.edu>\nSubject: {subject}\n\n{body}.\n");
            let expected = body.split_inclusive('\n').take_while(|line| *line != ".\n").collect::<String>();
            let draft = Draft::parse_dialogue(&text).unwrap();
            prop_assert_eq!((draft.subject.as_str(), draft.body), (subject.trim(), expected));
        }

        #[test]
        fn parse_never_panics(text in "((From|To|Subject|\\.)?[:@a<>, \n\"\\\\]{0,6}){0,8}") {
            let _ = (Draft::parse_dialogue(&text), parse_addresses("To", &text));
        }
    }
}
