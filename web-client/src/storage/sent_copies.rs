//! Copies of sent messages, up to [`SENT_OCTETS_MAX`] per account.
//!
//! They exist only in this browser, so an old copy is never dropped to make room: a message that does not fit is sent
//! without a copy, and the page says so.

use std::rc::Rc;

use js_sys::Uint8Array;
use mail_core::message::header;
use mail_core::message::parsed::Summary;
use wasm_bindgen::JsValue;

use super::{ObjectStore, Storage, body_codec, find, octets};
use crate::model::fetched_message::FetchedMessage;
use crate::model::message::{BodyIndex, HeaderSummary, Message};
use crate::platform::{PLATFORM, charset, js, text};

/// Budget for all sent copies of an account.
pub(crate) const SENT_OCTETS_MAX: u64 = 50_000_000;

/// The reason a sent copy was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// The copies would exceed [`SENT_OCTETS_MAX`].
    BudgetExceeded,
    /// The browser refused.
    Unavailable,
}

impl Storage {
    /// The list entries of all sent copies. A copy without a summary or with an outdated text, from an earlier version of
    /// the database, gets a new one.
    pub(super) async fn load_sent_copies(&self) -> Vec<Rc<Message>> {
        let summaries = self.sent_summaries().await;
        let bodies = self.bodies(ObjectStore::SentTexts).await;
        let mut copies = Vec::new();
        for id in self.keys(ObjectStore::Sent).await {
            let body = find(&bodies, &id).filter(|body| !body.is_outdated);
            let copy = match (find(&summaries, &id), body) {
                (Some(summary), Some(body)) => Message { body: Some(body.index.clone()), ..summary.copy(id) },
                _ => {
                    // One at a time, to bound the memory.
                    let Some(message) = self.message(ObjectStore::Sent, &id).await else { continue };
                    self.put_sent_summary(&id, &message).await
                }
            };
            copies.push(Rc::new(copy));
        }
        copies
    }

    /// Stores what the list needs of a copy.
    async fn put_sent_summary(&self, id: &str, message: &[u8]) -> Message {
        let (summary, body) = (SentSummary::new(message), body_of(message));
        let entries = [
            (ObjectStore::SentSummaries.name(), id, summary.encode()),
            (ObjectStore::SentTexts.name(), id, body_codec::encode(&body)),
        ];
        // Without it, the next sign-in repeats this.
        let _ = self.database.put(&entries).await;
        Message { body: Some(body), ..summary.copy(id.to_owned()) }
    }

    /// Stores a copy and returns its list entry.
    ///
    /// # Errors
    /// The copy is not stored.
    pub(crate) async fn put_sent_copy(&self, id: &str, message: &[u8]) -> Result<Message, StoreError> {
        let summaries = self.sent_summaries().await;
        let others = summaries.iter().filter(|(other, _)| other != id);
        let used: u64 = others.map(|(_, summary)| summary.octets).sum();
        if used + message.len() as u64 > SENT_OCTETS_MAX {
            return Err(StoreError::BudgetExceeded);
        }
        let (summary, body) = (SentSummary::new(message), body_of(message));
        let entries = [
            (ObjectStore::Sent.name(), id, Uint8Array::from(message).into()),
            (ObjectStore::SentSummaries.name(), id, summary.encode()),
            (ObjectStore::SentTexts.name(), id, body_codec::encode(&body)),
        ];
        if !self.database.put(&entries).await {
            return Err(StoreError::Unavailable);
        }
        Ok(Message { body: Some(body), ..summary.copy(id.to_owned()) })
    }

    /// Returns whether the copies are deleted.
    pub(crate) async fn delete_sent_copies(&self, ids: &[String]) -> bool {
        let stores = [ObjectStore::Sent, ObjectStore::SentSummaries, ObjectStore::SentTexts];
        self.database.delete(&stores.map(ObjectStore::name), ids).await
    }

    async fn sent_summaries(&self) -> Vec<(String, SentSummary)> {
        let entries = self.entries(ObjectStore::SentSummaries).await.into_iter();
        entries.filter_map(|(id, value)| Some((id, SentSummary::decode(&value)?))).collect()
    }
}

fn body_of(message: &[u8]) -> BodyIndex {
    FetchedMessage::parse(message.to_vec(), PLATFORM).body_index(text::fold)
}

/// A record of `sentSummaries`.
struct SentSummary {
    header: Vec<u8>,
    octets: u64,
}

impl SentSummary {
    fn new(message: &[u8]) -> Self {
        let (header, _) = header::split(message);
        Self { header: header.to_vec(), octets: message.len() as u64 }
    }

    fn copy(&self, id: String) -> Message {
        let summary = Summary::parse_with(&self.header, charset::decode);
        let header = Some(Rc::new(HeaderSummary::of_sent_copy(&summary, text::fold)));
        Message { id, octets: self.octets, header, read: true, stored: true, ..Message::default() }
    }

    fn encode(&self) -> JsValue {
        #[expect(clippy::cast_precision_loss, reason = "sizes of messages are exact in a double")]
        let octets = self.octets as f64;
        let header = Uint8Array::from(self.header.as_slice());
        js::object([("header", header.into()), ("octets", octets.into())]).into()
    }

    fn decode(value: &JsValue) -> Option<Self> {
        let property = |name: &str| js::property(value, name);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let size = property("octets")?.as_f64()? as u64;
        Some(Self { header: octets(&property("header")?), octets: size })
    }
}
