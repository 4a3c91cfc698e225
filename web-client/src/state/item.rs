//! A row of the list, as far as it does not depend on where and when it is looked at.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use mail_core::message::text::printable_line;
use mail_core::message::view::{Person, Summary};

use crate::form::Form;

/// A message in the maildrop, or a copy of one that was sent from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its unique-id, or the name of the copy.
    pub(crate) id: String,
    /// Where it was in the last session.
    pub(crate) number: Option<u64>,
    pub(crate) octets: u64,
    /// Absent until its header has come.
    pub(crate) head: Option<Rc<Head>>,
    pub(crate) read: bool,
    pub(crate) starred: bool,
    /// All of it is kept locally.
    pub(crate) kept: bool,
    /// What it says, once it was read, for the search: in lower case.
    pub(crate) text: Option<Rc<str>>,
}

/// What the header says, ready to be shown and searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    /// When it was received, or else written.
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) has_attachments: bool,
    /// What the search looks at, in lower case.
    words: String,
}

impl Head {
    pub(crate) fn new(summary: &Summary) -> Self {
        let addresses: Vec<_> =
            summary.from.iter().chain(&summary.to).map(|person| person.address.as_str()).collect();
        let (from, to) = (names(&summary.from), names(&summary.to));
        let subject = printable_line(&summary.subject).into_owned();
        let words = format!("{from}\n{to}\n{}\n{subject}", addresses.join("\n")).to_lowercase();
        let at = summary.received.or(summary.date).map(|date| date.to_utc());
        Self { from, to, subject, at, has_attachments: summary.has_attachments, words }
    }

    /// What the list says of a copy of a sent message: to whom it went.
    pub(crate) fn of_copy(summary: &Summary) -> Self {
        let head = Self::new(summary);
        Self { from: format!("To {}", head.to), ..head }
    }
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Rc<Message>),
    Draft(Rc<Form>),
}

impl Item {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Message(message) => &message.id,
            Self::Draft(form) => &form.id,
        }
    }

    /// The sender; of a draft, the recipients.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Message(message) => message.head.as_ref().map(|head| head.from.clone()).unwrap_or_default(),
            Self::Draft(form) => form.recipients(),
        }
    }

    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Message(message) => message.head.as_ref().map_or("", |head| &head.subject),
            Self::Draft(form) => form.subject.trim(),
        }
    }

    pub(crate) fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Message(message) => message.head.as_ref().and_then(|head| head.at),
            Self::Draft(form) => Some(form.changed),
        }
    }

    pub(crate) fn octets(&self) -> u64 {
        match self {
            Self::Message(message) => message.octets,
            Self::Draft(form) => form.octets(),
        }
    }

    /// Whether it holds every one of the words, which are in lower case.
    pub(super) fn holds(&self, words: &[String]) -> bool {
        match self {
            Self::Message(message) => {
                let (head, text) = (message.head.as_deref(), message.text.as_deref());
                words.iter().all(|word| {
                    head.is_some_and(|head| head.words.contains(word))
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

fn names(people: &[Person]) -> String {
    let name =
        |person: &Person| printable_line(person.name.as_deref().unwrap_or(&person.address)).into_owned();
    people.iter().map(name).collect::<Vec<_>>().join(", ")
}
