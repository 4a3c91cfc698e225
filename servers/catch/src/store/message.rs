//! The part of a stored message that is in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::search::{BodyText, SearchText};
use crate::content::{Contact, Content, Summary};
use crate::pop3;
use crate::record::{Envelope, Record};

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

/// Data derived from the octets of a message, before it is stored.
#[derive(Debug)]
pub(crate) struct Analysis {
    summary: Summary,
    text: BodyText,
    pop3_octets: u64,
}

impl Analysis {
    pub(crate) fn of(octets: &[u8]) -> Self {
        let (summary, text) = Content::parse(octets).summary();
        Self { summary, text: BodyText::new(&text), pop3_octets: pop3::octets(octets) }
    }
}

impl Message {
    /// Tags come from X-Tags and from `+tag` of the recipients, unless the record has them already.
    pub(crate) fn new(analysis: Analysis, record: &Record) -> Self {
        let Analysis { mut summary, text, pop3_octets } = analysis;
        summary.bcc.extend(hidden_recipients(&summary, &record.envelope));
        let fields = [
            contacts_text(summary.from.as_slice(), &[&record.envelope.from]),
            contacts_text(&summary.to, &[]),
            contacts_text(&summary.cc, &[]),
            contacts_text(&summary.bcc, &[]),
            contacts_text(&summary.reply_to, &[]),
            summary.subject.to_lowercase(),
            summary.message_id.to_lowercase(),
        ];
        let search = SearchText::new(fields, text);
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

fn contacts_text(contacts: &[Contact], more: &[&str]) -> String {
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
    text
}
