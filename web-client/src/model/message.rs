//! Messages and drafts as rows of the message list.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::parsed::{NamedAddress, Summary};
use mail_core::message::printable::printable_line;

use super::draft_form::DraftForm;

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
    /// The whole message is in IndexedDB.
    pub(crate) stored: bool,
    /// Body text for the search, in lower case. `None` until the message was opened once.
    pub(crate) text: Option<Rc<str>>,
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
    /// Names, addresses and subject, in lower case.
    search_text: String,
}

impl HeaderSummary {
    pub(crate) fn new(summary: &Summary) -> Self {
        let addresses: Vec<_> =
            summary.from.iter().chain(&summary.to).map(|person| person.address.as_str()).collect();
        let (from, to) = (names(&summary.from), names(&summary.to));
        let subject = printable_line(&summary.subject).into_owned();
        let search_text = format!("{from}\n{to}\n{}\n{subject}", addresses.join("\n")).to_lowercase();
        let date = summary.received.or(summary.date).map(|date| date.to_utc());
        Self { from, to, subject, date, has_attachments: summary.has_attachments, search_text }
    }

    /// For a sent copy: the recipients take the sender's place.
    pub(crate) fn of_sent_copy(summary: &Summary) -> Self {
        let header = Self::new(summary);
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

    /// Whether the header or the text contains every word. The words are in lower case.
    pub(super) fn matches(&self, words: &[String]) -> bool {
        match self {
            Self::Message(message) => {
                let (header, text) = (message.header.as_deref(), message.text.as_deref());
                words.iter().all(|word| {
                    header.is_some_and(|header| header.search_text.contains(word))
                        || text.is_some_and(|text| text.contains(word))
                })
            }
            Self::Draft(form) => {
                let text = format!("{}\n{}\n{}", form.recipients(), form.subject, form.body).to_lowercase();
                words.iter().all(|word| text.contains(word.as_str()))
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
