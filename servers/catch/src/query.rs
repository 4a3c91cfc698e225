//! The search syntax, which is Mailpit's: words and "quoted phrases", all of which must occur, with `-` or `!` before those that must
//! not. Prefixes restrict a word to a field.
//!
//! | prefix | compared |
//! |---|---|
//! | `to:` `cc:` `bcc:` `from:` `reply-to:` `addressed:` | names and addresses; `from:` also MAIL FROM |
//! | `subject:` `message-id:` | the field |
//! | `tag:` | a whole tag |
//! | `is:read` `is:unread` `is:tagged` `has:attachment` `has:inline` | the state |
//! | `before:` `after:` | time of receipt |
//! | `larger:` `smaller:` | octets, with `k` or `m` |
//! | none | subject, addresses, Message-ID and text |
//!
//! Comparisons ignore case. Dates without a time zone are UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::content::Content;
use crate::store::{Field, Files, Message, Needle};

/// A parsed search.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    is_excluded: bool,
    condition: Condition,
}

#[derive(Debug, Clone)]
enum Condition {
    Field(Field, Needle),
    Addressed(Needle),
    Tag(String),
    Read,
    Unread,
    Tagged,
    HasAttachment,
    HasInline,
    Before(DateTime<Utc>),
    After(DateTime<Utc>),
    Larger(u64),
    Smaller(u64),
    /// With the word itself, which is searched in files.
    Text(Needle, String),
}

impl Query {
    /// # Errors
    /// A sentence that names the prefix with an invalid value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        words(text)
            .into_iter()
            .map(|word| Term::parse(&word))
            .collect::<Result<_, _>>()
            .map(|terms| Self { terms })
    }

    /// Whether words are searched in the text, which may be read from a file.
    pub(crate) fn searches_text(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.condition, Condition::Text(..)))
    }

    /// Whether a message matches. Text beyond that in memory is read from the message's file.
    pub(crate) fn matches(&self, message: &Message, files: &Files) -> bool {
        self.terms.iter().all(|term| term.condition.matches(message, files) != term.is_excluded)
    }
}

/// Splits at spaces outside quotes, and removes the quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => words.push(String::new()),
            c => words.last_mut().expect("there is always a word").push(c),
        }
    }
    words.into_iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

impl Term {
    fn parse(word: &str) -> Result<Self, String> {
        let rest = word.strip_prefix(['-', '!']).filter(|rest| !rest.is_empty());
        let condition = Condition::parse(&rest.unwrap_or(word).to_lowercase())?;
        Ok(Self { is_excluded: rest.is_some(), condition })
    }
}

impl Condition {
    /// `word` is in lower case.
    fn parse(word: &str) -> Result<Self, String> {
        let Some((prefix, value)) = word.split_once(':') else { return Ok(Self::text(word)) };
        let text = value.trim();
        let field = |field| Self::Field(field, Needle::new(text));
        let condition = match (prefix, value) {
            ("is", "read") => Self::Read,
            ("is", "unread") => Self::Unread,
            ("is", "tagged") => Self::Tagged,
            ("has", "attachment" | "attachments") => Self::HasAttachment,
            ("has", "inline" | "inlines") => Self::HasInline,
            ("is", _) => return Err(format!("`is:{value}` is unknown; use is:read, is:unread or is:tagged")),
            ("has", _) => return Err(format!("`has:{value}` is unknown; use has:attachment or has:inline")),
            ("before", _) => Self::Before(date(prefix, value)?),
            ("after", _) => Self::After(date(prefix, value)?),
            ("larger", _) => Self::Larger(size(prefix, value)?),
            ("smaller", _) => Self::Smaller(size(prefix, value)?),
            ("to", _) => field(Field::To),
            ("cc", _) => field(Field::Cc),
            ("bcc", _) => field(Field::Bcc),
            ("from", _) => field(Field::From),
            ("reply-to", _) => field(Field::ReplyTo),
            ("addressed", _) => Self::Addressed(Needle::new(text)),
            ("subject", _) => field(Field::Subject),
            ("message-id", _) => field(Field::MessageId),
            ("tag", _) => Self::Tag(text.to_owned()),
            // A colon in a word, such as a time or a URL.
            _ => Self::text(word),
        };
        Ok(condition)
    }

    fn text(word: &str) -> Self {
        Self::Text(Needle::new(word), word.to_owned())
    }

    fn matches(&self, message: &Message, files: &Files) -> bool {
        let search = &message.search;
        match self {
            Self::Field(field, text) => text.is_in(search.field(*field)),
            Self::Addressed(text) => text.is_in(search.addresses()),
            Self::Tag(text) => message.state().tags.iter().any(|tag| tag.to_lowercase() == *text),
            Self::Read => message.state().read,
            Self::Unread => !message.state().read,
            Self::Tagged => !message.state().tags.is_empty(),
            Self::HasAttachment => message.summary.attachments > 0,
            Self::HasInline => message.summary.inline > 0,
            Self::Before(time) => message.received <= *time,
            Self::After(time) => message.received >= *time,
            Self::Larger(octets) => message.size > *octets,
            Self::Smaller(octets) => message.size < *octets,
            Self::Text(needle, text) => search.contains(needle, || file_contains(&message.id, text, files)),
        }
    }
}

fn file_contains(id: &str, text: &str, files: &Files) -> bool {
    let octets = files.read(id).unwrap_or_default();
    let (_, shown) = Content::parse(&octets).summary();
    shown.to_lowercase().contains(text)
}

fn date(prefix: &str, value: &str) -> Result<DateTime<Utc>, String> {
    let value = value.trim().to_ascii_uppercase();
    if let Ok(time) = DateTime::parse_from_rfc3339(&value) {
        return Ok(time.to_utc());
    }
    let forms =
        ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(&value, form).ok());
    let day =
        || ["%Y-%m-%d", "%Y/%m/%d"].iter().find_map(|form| NaiveDate::parse_from_str(&value, form).ok());
    time.or_else(|| day()?.and_hms_opt(0, 0, 0)).map(|time| time.and_utc()).ok_or_else(|| {
        format!("`{prefix}:{value}` has no date; write it as in {prefix}:2026-11-22 or {prefix}:2026-11-22T19:15:00Z")
    })
}

fn size(prefix: &str, value: &str) -> Result<u64, String> {
    let digits = value.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let factor = match value[digits..].trim() {
        "" => Some(1.0),
        "k" | "kb" => Some(1_024.0),
        "m" | "mb" => Some(1_048_576.0),
        _ => None,
    };
    factor
        .and_then(|factor| Some(value[..digits].parse::<f64>().ok()? * factor))
        .map(|octets| octets as u64)
        .ok_or_else(|| format!("`{prefix}:{value}` has no size; write it as in {prefix}:100k or {prefix}:2m"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{record, stored};

    const MAIL: &str = "From: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nCc: carl@c.example\r\n\
        Reply-To: r@a.example\r\nSubject: Please confirm\r\nMessage-ID: <42@a.example>\r\nX-Tags: Urgent\r\n\r\nThe Quick fox\r\n";

    #[test]
    fn terms_select_by_field_state_and_text() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::permanent(directory.path()).expect("a directory");
        let message = stored(
            MAIL,
            record("2026-11-22T19:15:00Z", "bounce@a.example", &["bob@b.example", "dan@d.example"]),
        );
        for (query, is_match) in [
            ("", true),
            ("to:BOB", true),
            ("to:ann", false),
            ("from:bounce@a.example from:ann", true),
            ("cc:carl bcc:dan reply-to:r@a", true),
            ("bcc:bob", false),
            ("addressed:carl", true),
            ("subject:\"please confirm\"", true),
            ("subject:please confirm", true),
            ("message-id:42@a", true),
            ("tag:urgent is:tagged is:unread", true),
            ("tag:urg", false),
            ("-is:read !has:attachment", true),
            ("is:read", false),
            ("quick fox", true),
            ("\"fox quick\"", false),
            ("fox -wolf", true),
            ("-fox", false),
            ("after:2026-11-22 before:2026-11-23", true),
            ("after:2026-11-22T19:15:01Z", false),
            ("before:\"2026-11-22 19:14\"", false),
            ("larger:0.1k smaller:1m", true),
            ("smaller:10", false),
            ("-", false),
        ] {
            let parsed = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(parsed.matches(&message, &files), is_match, "{query}");
        }
    }

    #[test]
    fn text_beyond_the_part_in_memory_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::permanent(directory.path()).expect("a directory");
        let text = format!("Subject: long\r\n\r\n{} needle\r\n", "hay ".repeat(10_000));
        let message = stored(&text, record("2026-11-22T19:15:00Z", "", &[]));
        std::fs::write(files.message_path(&message.id), &text).expect("the file is written");
        for (query, is_match) in [("NEEDLE", true), ("pin", false)] {
            assert_eq!(Query::parse(query).expect("a query").matches(&message, &files), is_match, "{query}");
        }
    }

    #[test]
    fn invalid_value_is_named() {
        for (query, part) in [
            ("before:yesterday", "`before:YESTERDAY`"),
            ("after:", "2026-11-22"),
            ("larger:big", "`larger:big`"),
            ("is:new", "is:unread"),
            ("x has:link", "has:attachment"),
        ] {
            let reason = Query::parse(query).expect_err(query);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
