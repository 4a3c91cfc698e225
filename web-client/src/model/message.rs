//! Messages and drafts as rows of the message list.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::id::MessageId;
use mail_core::message::parsed::{NamedAddress, Summary};
use mail_core::message::printable::printable_line;

use super::draft_form::DraftForm;
use super::filing::Filing;
use super::search::{Fold, Search, SearchedTexts};

/// One message of a scan listing, with its unique-id (RFC 1939 sections 5 and 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) unique_id: String,
    /// Valid for the session that listed it. Later sessions check it against the unique-id.
    pub(crate) number: u64,
    pub(crate) octets: u64,
}

/// A message in the maildrop, or a sent copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Unique-id, or the draft id of a sent copy.
    pub(crate) id: String,
    /// Message number in the last session.
    pub(crate) number: Option<u64>,
    pub(crate) octets: u64,
    /// `None` until the header has been fetched.
    pub(crate) header: Option<Rc<HeaderSummary>>,
    pub(crate) read: bool,
    pub(crate) starred: bool,
    pub(crate) filing: Filing,
    /// The whole message is in IndexedDB.
    pub(crate) stored: bool,
    /// `None` until the message was fetched once.
    pub(crate) body: Option<BodyIndex>,
}

impl Message {
    pub(crate) fn message_id(&self) -> Option<&MessageId> {
        self.header.as_ref()?.message_id.as_ref()
    }
}

/// The part of a message's text that the list shows and searches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyIndex {
    /// The folded text.
    pub(crate) search_text: Rc<str>,
    /// The beginning of the text, in one line.
    pub(crate) snippet: Rc<str>,
}

/// Characters of a message's text that can be searched.
const SEARCH_TEXT_CHARS_MAX: usize = 20_000;
const SNIPPET_CHARS_MAX: usize = 140;

impl BodyIndex {
    pub(crate) fn new(text: &str, fold: Fold) -> Self {
        let end = text.char_indices().nth(SEARCH_TEXT_CHARS_MAX).map_or(text.len(), |(at, _)| at);
        Self { search_text: fold(&text[..end]).into(), snippet: snippet(text).into() }
    }
}

/// The first words that are not quoted.
fn snippet(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('>') && !line.ends_with(" wrote:"));
    let mut snippet = String::new();
    let mut chars_left = SNIPPET_CHARS_MAX;
    for word in lines.flat_map(str::split_whitespace) {
        if !snippet.is_empty() {
            snippet.push(' ');
            chars_left -= 1;
        }
        for c in printable_line(word).chars().take(chars_left) {
            snippet.push(c);
            chars_left -= 1;
        }
        // A space and a character follow.
        if chars_left < 2 {
            break;
        }
    }
    snippet
}

/// Header fields ready for display and search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderSummary {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    /// Date of the topmost Received field, else of the Date field.
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) has_attachments: bool,
    pub(crate) message_id: Option<MessageId>,
    /// The messages that it answers: References and In-Reply-To.
    pub(crate) references: Vec<MessageId>,
    /// Folded names and addresses.
    pub(crate) folded_from: String,
    pub(crate) folded_to: String,
    pub(crate) folded_subject: String,
}

impl HeaderSummary {
    pub(crate) fn new(summary: &Summary, fold: Fold) -> Self {
        let (from, to) = (names(&summary.from), names(&summary.to));
        let folded = |names: &str, people: &[NamedAddress]| {
            let addresses = people.iter().map(|person| person.address.as_str());
            fold(&std::iter::once(names).chain(addresses).collect::<Vec<_>>().join("\n"))
        };
        let (folded_from, folded_to) = (folded(&from, &summary.from), folded(&to, &summary.to));
        let subject = printable_line(&summary.subject).into_owned();
        let folded_subject = fold(&subject);
        let date = summary.received.or(summary.date).map(|date| date.to_utc());
        let has_attachments = summary.has_attachments;
        let message_id = summary.message_id.clone();
        let references = summary.references.iter().chain(&summary.in_reply_to).cloned().collect();
        Self {
            from,
            to,
            subject,
            date,
            has_attachments,
            message_id,
            references,
            folded_from,
            folded_to,
            folded_subject,
        }
    }

    /// For a sent copy: the recipients take the sender's place.
    pub(crate) fn of_sent_copy(summary: &Summary, fold: Fold) -> Self {
        let header = Self::new(summary, fold);
        Self { from: format!("To {}", header.to), ..header }
    }
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListItem {
    Message(Rc<Message>),
    Draft(Rc<DraftForm>),
}

impl ListItem {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Message(message) => &message.id,
            Self::Draft(form) => &form.id,
        }
    }

    /// The sender of a message, the recipients of a draft.
    pub(crate) fn correspondent(&self) -> String {
        match self {
            Self::Message(message) => {
                message.header.as_ref().map(|header| header.from.clone()).unwrap_or_default()
            }
            Self::Draft(form) => form.recipients(),
        }
    }

    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Message(message) => message.header.as_ref().map_or("", |header| &header.subject),
            Self::Draft(form) => form.subject.trim(),
        }
    }

    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Message(message) => message.header.as_ref().and_then(|header| header.date),
            Self::Draft(form) => Some(form.changed),
        }
    }

    pub(crate) fn octets(&self) -> u64 {
        match self {
            Self::Message(message) => message.octets,
            Self::Draft(form) => form.octets(),
        }
    }

    pub(crate) fn has_attachments(&self) -> bool {
        match self {
            Self::Message(message) => message.header.as_ref().is_some_and(|header| header.has_attachments),
            Self::Draft(form) => !form.attachments.is_empty(),
        }
    }

    pub(crate) fn is_unread(&self) -> bool {
        match self {
            Self::Message(message) => !message.read,
            Self::Draft(_) => false,
        }
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = &String> {
        let filing = match self {
            Self::Message(message) => Some(&message.filing),
            Self::Draft(_) => None,
        };
        filing.into_iter().flat_map(|filing| &filing.labels)
    }

    /// The first words of the text; empty if they are not known.
    pub(crate) fn snippet(&self) -> Rc<str> {
        match self {
            Self::Message(message) => {
                message.body.as_ref().map(|body| body.snippet.clone()).unwrap_or_default()
            }
            Self::Draft(form) => snippet(&form.body).into(),
        }
    }

    pub(super) fn matches(&self, search: &Search) -> bool {
        match self {
            Self::Message(message) => {
                let header = message.header.as_deref();
                search.matches(
                    self,
                    &SearchedTexts {
                        from: header.map_or("", |header| &header.folded_from),
                        to: header.map_or("", |header| &header.folded_to),
                        subject: header.map_or("", |header| &header.folded_subject),
                        body: message.body.as_ref().map_or("", |body| &body.search_text),
                    },
                )
            }
            Self::Draft(form) => {
                let fold = |text: &str| search.fold(text);
                let (to, subject, body) = (fold(&form.recipients()), fold(&form.subject), fold(&form.body));
                search.matches(self, &SearchedTexts { from: "", to: &to, subject: &subject, body: &body })
            }
        }
    }
}

fn names(people: &[NamedAddress]) -> String {
    let name = |person: &NamedAddress| {
        printable_line(person.name.as_deref().unwrap_or(&person.address)).into_owned()
    };
    people.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn body_index_has_the_folded_text_and_the_first_unquoted_words() {
        let body =
            BodyIndex::new("\r\nOn Sunday, Ag wrote:\r\n> Quoted\r\nSee  you\r\n\r\nAt FIVE.\r\n", |text| {
                text.to_lowercase()
            });
        assert_eq!(&*body.snippet, "See you At FIVE.");
        assert!(body.search_text.contains("quoted") && body.search_text.contains("at five."));
        let long = BodyIndex::new(&"ü".repeat(30_000), str::to_lowercase);
        assert_eq!(long.search_text.chars().count(), SEARCH_TEXT_CHARS_MAX);
        assert_eq!(long.snippet.chars().count(), SNIPPET_CHARS_MAX);
        let words = BodyIndex::new(&"ü ".repeat(30_000), str::to_lowercase);
        assert_eq!(words.snippet.chars().count(), SNIPPET_CHARS_MAX - 1);
        assert!(words.snippet.ends_with(" ü"));
        let word = BodyIndex::new(&format!("{} {}", "a".repeat(100), "b".repeat(100)), str::to_lowercase);
        assert_eq!(word.snippet.chars().count(), SNIPPET_CHARS_MAX);
    }
}
