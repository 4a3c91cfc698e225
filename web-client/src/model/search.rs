//! Search queries: words, phrases in quotation marks, and operators.
//!
//! | operator | a message matches if |
//! |---|---|
//! | `from:x`, `to:x`, `subject:x` | the field contains x |
//! | `has:attachment` | it has an attachment |
//! | `is:unread` | it is unread |
//! | `label:x` | the name of one of its labels contains x |
//! | `before:2026-11-22` | it is older than the start of this day |
//! | `after:2026-11-22` | it is from this day or later |
//!
//! A message matches if all terms do. Texts and terms are folded, so that case and accents do not matter. An operator with
//! an unknown name or value is a word.

use chrono::{DateTime, NaiveDate, Utc};

use super::message::ListItem;

/// Removes the differences that a search ignores: case and accents.
pub(crate) type Fold = fn(&str) -> String;

/// The search field and its meaning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// As it was typed.
    pub(crate) text: String,
    terms: Vec<Term>,
    /// Folds the texts of drafts; those of messages are folded in advance.
    fold: Option<Fold>,
}

impl PartialEq for Search {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.terms) == (&other.text, &other.terms)
    }
}

impl Eq for Search {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Word(String),
    From(String),
    To(String),
    Subject(String),
    HasAttachment,
    Unread,
    Label(String),
    Before(DateTime<Utc>),
    After(DateTime<Utc>),
}

/// The folded texts of an item.
pub(super) struct SearchedTexts<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) subject: &'a str,
    pub(super) body: &'a str,
}

impl Search {
    /// `midnight` converts a local date to the time at which the day starts.
    pub(crate) fn parse(text: &str, fold: Fold, midnight: impl Fn(NaiveDate) -> DateTime<Utc>) -> Self {
        let terms = split(text).into_iter().filter_map(|part| term(&part, fold, &midnight)).collect();
        Self { text: text.to_owned(), terms, fold: Some(fold) }
    }

    /// Whether every item matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn fold(&self, text: &str) -> String {
        self.fold.map_or_else(|| text.to_owned(), |fold| fold(text))
    }

    pub(super) fn matches(&self, item: &ListItem, texts: &SearchedTexts<'_>) -> bool {
        let SearchedTexts { from, to, subject, body } = texts;
        self.terms.iter().all(|term| match term {
            Term::Word(word) => [from, to, subject, body].into_iter().any(|text| text.contains(word)),
            Term::From(word) => from.contains(word),
            Term::To(word) => to.contains(word),
            Term::Subject(word) => subject.contains(word),
            Term::HasAttachment => item.has_attachments(),
            Term::Unread => item.is_unread(),
            Term::Label(word) => item.labels().any(|label| self.fold(label).contains(word)),
            Term::Before(time) => item.date().is_some_and(|date| date < *time),
            Term::After(time) => item.date().is_some_and(|date| date >= *time),
        })
    }
}

/// Splits at white space outside quotation marks, which are removed.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' | '\u{201c}' | '\u{201d}' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

fn term(part: &str, fold: Fold, midnight: impl Fn(NaiveDate) -> DateTime<Utc>) -> Option<Term> {
    let operator = part.split_once(':').and_then(|(name, value)| {
        Some(match (name.to_ascii_lowercase().as_str(), fold(value)) {
            // While the value is being typed, the operator changes nothing.
            ("from" | "to" | "subject" | "has" | "is" | "label" | "before" | "after", value)
                if value.is_empty() =>
            {
                None
            }
            ("from", value) => Some(Term::From(value)),
            ("to", value) => Some(Term::To(value)),
            ("subject", value) => Some(Term::Subject(value)),
            ("has", value) if matches!(value.as_str(), "attachment" | "attachments") => {
                Some(Term::HasAttachment)
            }
            ("is", value) if value == "unread" => Some(Term::Unread),
            ("label", value) => Some(Term::Label(value)),
            ("before", value) => Some(Term::Before(midnight(parse_date(&value)?))),
            ("after", value) => Some(Term::After(midnight(parse_date(&value)?))),
            _ => return None,
        })
    });
    operator.unwrap_or_else(|| Some(fold(part)).filter(|word| !word.is_empty()).map(Term::Word))
}

/// `2026-11-22`, or the first day of `2026-11` or `2026`.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let mut numbers = text.splitn(3, ['-', '/']).map(str::parse::<u32>);
    let year = i32::try_from(numbers.next()?.ok()?).ok().filter(|year| (1970..=9999).contains(year))?;
    let mut next = || numbers.next().unwrap_or(Ok(1)).ok();
    NaiveDate::from_ymd_opt(year, next()?, next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn midnight(date: NaiveDate) -> DateTime<Utc> {
        date.and_hms_opt(0, 0, 0).unwrap().and_utc()
    }

    fn parse(text: &str) -> Vec<Term> {
        Search::parse(text, |text| text.to_lowercase(), midnight).terms
    }

    #[test]
    fn words_and_phrases_are_folded() {
        let word = |text: &str| Term::Word(text.to_owned());
        assert_eq!(parse("At  FIVE"), [word("at"), word("five")]);
        assert_eq!(parse("\"at five\" o'clock"), [word("at five"), word("o'clock")]);
        assert_eq!(parse("\"half a phrase"), [word("half a phrase")]);
        assert_eq!(parse(" \"\" "), []);
        assert!(Search::parse(" ", str::to_lowercase, midnight).is_empty());
    }

    #[test]
    fn operators_are_recognized() {
        let day = |text: &str| midnight(text.parse().unwrap());
        for (text, term) in [
            ("from:Ag", Term::From("ag".to_owned())),
            ("FROM:\"Ag Mitra\"", Term::From("ag mitra".to_owned())),
            ("to:gb@iit.edu", Term::To("gb@iit.edu".to_owned())),
            ("subject:Re:", Term::Subject("re:".to_owned())),
            ("has:attachment", Term::HasAttachment),
            ("is:unread", Term::Unread),
            ("label:Bills", Term::Label("bills".to_owned())),
            ("before:2026-11-22", Term::Before(day("2026-11-22"))),
            ("before:2026/11/2", Term::Before(day("2026-11-02"))),
            ("after:2026-11", Term::After(day("2026-11-01"))),
            ("after:2026", Term::After(day("2026-01-01"))),
        ] {
            assert_eq!(parse(text), [term], "{text}");
        }
    }

    #[test]
    fn unknown_operators_are_words_and_unfinished_ones_are_ignored() {
        for word in ["http://iit.edu/", "has:wings", "is:read", "before:noon", "after:2026-13", "x:"] {
            assert_eq!(parse(word), [Term::Word(word.to_owned())]);
        }
        assert_eq!(parse("from: before: is:"), []);
    }
}
