//! A stored message as it is kept in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::content::{Contact, Content, Summary};
use crate::pop3;
use crate::record::{Envelope, Record};

/// Octets of text that are searched in memory. The rest of a longer message is searched in its file.
const SEARCH_OCTETS_MAX: usize = 2 << 10;

/// Summary of a stored message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// Ascends in the order of storing. Set by the store.
    pub(crate) sequence: u64,
    pub(crate) received: DateTime<Utc>,
    pub(crate) size: u64,
    /// Octets as POP3 sends them, with CRLF at every line end.
    pub(crate) pop3_octets: u64,
    pub(crate) summary: Summary,
    pub(crate) envelope: Envelope,
    /// The user name of AUTH.
    pub(crate) user: String,
    /// Texts that a search compares.
    pub(crate) search: SearchText,
    state: Mutex<State>,
}

/// The changeable part of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) read: bool,
    /// In ascending order.
    pub(crate) tags: Vec<String>,
}

/// Text in lower case.
#[derive(Debug, Default)]
pub(crate) struct SearchText {
    pub(crate) from: Box<str>,
    pub(crate) to: Box<str>,
    pub(crate) cc: Box<str>,
    pub(crate) bcc: Box<str>,
    pub(crate) reply_to: Box<str>,
    pub(crate) subject: Box<str>,
    /// The beginning of the message's text.
    pub(crate) text: Box<str>,
    /// Whether `text` is all of it.
    pub(crate) is_complete: bool,
}

/// Data derived from the octets of a message, before it is stored.
#[derive(Debug)]
pub(crate) struct Analysis {
    summary: Summary,
    text: Box<str>,
    is_complete: bool,
    pop3_octets: u64,
}

impl Analysis {
    pub(crate) fn of(octets: &[u8]) -> Self {
        let (summary, mut text) = Content::parse(octets).summary();
        let is_complete = text.len() <= SEARCH_OCTETS_MAX;
        text.truncate(text.floor_char_boundary(SEARCH_OCTETS_MAX));
        Self { summary, text: text.to_lowercase().into(), is_complete, pop3_octets: pop3::octets(octets) }
    }
}

impl Message {
    /// Tags come from X-Tags and from `+tag` of the recipients, unless the record has them already.
    pub(crate) fn new(analysis: Analysis, record: &Record) -> Self {
        let Analysis { mut summary, text, is_complete, pop3_octets } = analysis;
        summary.bcc.extend(hidden_recipients(&summary, &record.envelope));
        let search = SearchText {
            from: contacts_text(summary.from.as_slice(), &[&record.envelope.from]),
            to: contacts_text(&summary.to, &[]),
            cc: contacts_text(&summary.cc, &[]),
            bcc: contacts_text(&summary.bcc, &[]),
            reply_to: contacts_text(&summary.reply_to, &[]),
            subject: summary.subject.to_lowercase().into(),
            text,
            is_complete,
        };
        let state = State { read: record.read, tags: record.tags.clone() };
        Self {
            id: record.id.clone(),
            sequence: 0,
            received: record.received,
            size: record.size,
            pop3_octets,
            user: record.session.user.clone().unwrap_or_default(),
            envelope: record.envelope.clone(),
            summary,
            search,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tags of a new message, in ascending order.
pub(crate) fn initial_tags(analysis: &Analysis, envelope: &Envelope) -> Vec<String> {
    let detail = |address: &String| {
        let (local, _) = address.rsplit_once('@')?;
        let (_, tag) = local.split_once('+')?;
        (!tag.is_empty()).then(|| tag.to_owned())
    };
    let mut tags: Vec<String> =
        analysis.summary.tags.iter().cloned().chain(envelope.to.iter().filter_map(detail)).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Recipients of the envelope that no field names.
fn hidden_recipients(summary: &Summary, envelope: &Envelope) -> Vec<Contact> {
    let is_named = |address: &str| {
        let named = summary.to.iter().chain(&summary.cc).chain(&summary.bcc);
        named.into_iter().any(|contact| contact.address.eq_ignore_ascii_case(address))
    };
    let hidden = envelope.to.iter().filter(|address| !is_named(address));
    hidden.map(|address| Contact { name: String::new(), address: address.clone() }).collect()
}

fn contacts_text(contacts: &[Contact], more: &[&str]) -> Box<str> {
    let mut text = String::new();
    for contact in contacts {
        text.push_str(&contact.name.to_lowercase());
        text.push(' ');
        text.push_str(&contact.address.to_lowercase());
        text.push('\n');
    }
    for word in more {
        text.push_str(&word.to_lowercase());
        text.push('\n');
    }
    text.into()
}
