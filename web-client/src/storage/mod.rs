//! The browser's storage: fetched headers and messages, read and starred marks, drafts, and copies of sent messages.
//!
//! Data of the maildrop is a cache. Drafts and sent copies exist only here, so they are deleted only at the user's
//! request. Every account has its own IndexedDB database `pennypost/<username>`, where the username is in lower
//! case and has no domain, or `pennypost/<server>/<username>`; object stores map ids to values:
//!
//! | object store | key | value |
//! |---|---|---|
//! | `headers`, `messages` | unique-id | octets |
//! | `marks` | unique-id | number: 1 read, 2 starred |
//! | `filing` | unique-id | object: `archived`, and `labels`, an array of names; see [`filing`] |
//! | `texts` | unique-id | object: `searchText`, folded, and `snippet`; see [`body_codec`] |
//! | `drafts` | draft id | object, see [`draft_codec`] |
//! | `sent` | draft id | octets of the message |
//! | `sentSummaries` | draft id | object: header octets and the message's size |
//! | `sentTexts` | draft id | the same object as in `texts` |
//! | `profile` | `address` | the user's own address |
//! | `profile` | `settings` | object, see [`settings`] |
//! | `people` | address | object, see [`people`] |
//!
//! Version 3 added `sentSummaries` and `profile`. Version 4 added `people` and the objects in `texts` and `sentTexts`. Until
//! version 3, those stores contained search texts in lower case; the page reads them and replaces them in the background.
//! Version 5 added `filing`.
//! The first pages named a database after the username as it was typed; see [`merge`].

mod body_codec;
mod draft_backup;
mod draft_codec;
mod filing;
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
mod merge;
mod pending_removals;
mod people;
mod sent_copies;
mod settings;
pub(crate) mod stored_sign_in;

use std::collections::HashSet;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use js_sys::Uint8Array;
use mail_core::message::address::Address;
use mail_core::message::draft::Attachment;
use mail_core::message::parsed::Summary;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::model::draft_form::DraftForm;
use crate::model::message::{BodyIndex, HeaderSummary, Message};
use crate::model::state::Snapshot;
use crate::platform::indexed_db::Database;
use crate::platform::{charset, text};

pub(crate) use draft_backup::ORIGINAL_OCTETS_MAX;
pub(crate) use sent_copies::{SENT_OCTETS_MAX, StoreError};

use body_codec::StoredBody;
pub(crate) use pending_removals::PendingRemoval;

const VERSION: u32 = 5;
const ADDRESS: &str = "address";

/// Larger messages are not cached.
pub(crate) const CACHED_OCTETS_MAX: usize = 10 * 1_024 * 1_024;

#[derive(Clone, Copy, Debug)]
pub(crate) enum ObjectStore {
    Headers,
    Messages,
    Marks,
    Filing,
    Drafts,
    Sent,
    SentSummaries,
    Texts,
    SentTexts,
    Profile,
    People,
}

impl ObjectStore {
    const NAMES: [&str; 11] = [
        Self::Headers.name(),
        Self::Messages.name(),
        Self::Marks.name(),
        Self::Filing.name(),
        Self::Drafts.name(),
        Self::Sent.name(),
        Self::SentSummaries.name(),
        Self::Texts.name(),
        Self::SentTexts.name(),
        Self::Profile.name(),
        Self::People.name(),
    ];
    /// The cache of the maildrop, and what the user has added to its messages.
    const MAILDROP: [Self; 5] = [Self::Headers, Self::Messages, Self::Marks, Self::Filing, Self::Texts];

    const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Messages => "messages",
            Self::Marks => "marks",
            Self::Filing => "filing",
            Self::Drafts => "drafts",
            Self::Sent => "sent",
            Self::SentSummaries => "sentSummaries",
            Self::Texts => "texts",
            Self::SentTexts => "sentTexts",
            Self::Profile => "profile",
            Self::People => "people",
        }
    }
}

/// The storage of one account.
#[derive(Debug)]
pub(crate) struct Storage {
    database: Database,
}

impl Storage {
    /// `account` is a username in lower case without a domain, possibly after a server and a slash.
    pub(crate) async fn open(account: &str) -> Self {
        let database = Self::database(format!("pennypost/{account}")).await;
        merge::merge_databases_with_domain(&database).await;
        Self { database }
    }

    async fn database(name: String) -> Database {
        Database::open(name, VERSION, &ObjectStore::NAMES).await
    }

    /// Everything that the lists show. Bodies are read when a message is opened.
    pub(crate) async fn load(&self) -> Snapshot {
        let (marks, filings) = (self.entries(ObjectStore::Marks).await, self.filings().await);
        let stored = self.keys(ObjectStore::Messages).await;
        let bodies = self.bodies(ObjectStore::Texts).await;
        // Without the message, an outdated text cannot be renewed.
        let can_be_renewed = |id: &String| stored.binary_search(id).is_ok();
        let outdated = bodies.iter().filter(|(id, body)| body.is_outdated && can_be_renewed(id));
        let outdated = outdated.map(|(id, _)| id.clone()).collect();
        let message = |(id, header): (String, JsValue)| {
            let summary = Summary::parse_with(&octets(&header), charset::decode);
            let header = Some(Rc::new(HeaderSummary::new(&summary, text::fold)));
            let (read, starred) =
                read_and_starred(find(&marks, &id).and_then(JsValue::as_f64).unwrap_or_default());
            let stored = stored.binary_search(&id).is_ok();
            let filing = find(&filings, &id).cloned().unwrap_or_default();
            let body = find(&bodies, &id).map(|body| body.index.clone());
            Rc::new(Message { id, number: None, octets: 0, header, read, starred, filing, stored, body })
        };
        Snapshot {
            messages: self.entries(ObjectStore::Headers).await.into_iter().map(message).collect(),
            sent: self.load_sent_copies().await,
            drafts: self.load_drafts().await,
            settings: self.settings().await.unwrap_or_default(),
            people: self.load_people().await,
            outdated,
        }
    }

    /// The stored drafts, updated from the backups of pages that were closed.
    async fn load_drafts(&self) -> Vec<Rc<DraftForm>> {
        let stored = self.entries(ObjectStore::Drafts).await;
        let stored = stored.iter().filter_map(|(id, draft)| draft_codec::decode(id, draft));
        let mut drafts: Vec<_> = stored.map(Rc::new).collect();
        for mut backup in draft_backup::load_all(self.database.name()) {
            if let Some(at) = drafts.iter().position(|stored| stored.id == backup.id) {
                if drafts[at].changed >= backup.changed {
                    draft_backup::delete(self.database.name(), &backup.id);
                    continue;
                }
                let stored = drafts.swap_remove(at);
                backup.attachments.clone_from(&stored.attachments);
                let original = backup.lost_original(&stored);
                if let Some(rich) = backup.rich.as_mut().filter(|_| original.is_some()) {
                    Rc::make_mut(rich).original = original;
                }
            }
            self.put_draft(&backup).await;
            drafts.push(Rc::new(backup));
        }
        drafts
    }

    /// The user's own address, if a session has found it.
    pub(crate) async fn address(&self) -> Option<Address> {
        let value = self.database.value(ObjectStore::Profile.name(), ADDRESS).await.ok()??;
        Address::parse(&value.as_string()?).ok()
    }

    pub(crate) async fn put_address(&self, address: &Address) {
        // Without it, the next session asks the server again.
        let _ = self.put(ObjectStore::Profile, ADDRESS, address.to_string().into()).await;
    }

    /// A whole message.
    pub(crate) async fn message(&self, store: ObjectStore, id: &str) -> Option<Vec<u8>> {
        self.database.value(store.name(), id).await.ok().flatten().map(|value| octets(&value))
    }

    /// Returns whether the octets are stored.
    pub(crate) async fn put_octets(&self, store: ObjectStore, items: &[(String, Vec<u8>)]) -> bool {
        let entry = |(id, octets): &'_ (String, Vec<u8>)| (id.clone(), Uint8Array::from(octets.as_slice()));
        let entries: Vec<_> = items.iter().map(entry).collect();
        let entries: Vec<_> =
            entries.iter().map(|(id, octets)| (store.name(), id.as_str(), octets.into())).collect();
        self.database.put(&entries).await
    }

    /// Stores the texts of messages. Without them, the search finds the text after the message is fetched again.
    pub(crate) async fn put_bodies(&self, bodies: &[(String, BodyIndex)]) {
        let entry = |(id, body): &'_ (String, BodyIndex)| (id.clone(), body_codec::encode(body));
        let entries: Vec<_> = bodies.iter().map(entry).collect();
        let store = ObjectStore::Texts.name();
        let entries: Vec<_> = entries.iter().map(|(id, value)| (store, id.as_str(), value.clone())).collect();
        let _ = self.database.put(&entries).await;
    }

    /// Returns whether the draft is stored.
    pub(crate) async fn put_draft(&self, form: &DraftForm) -> bool {
        let stored = self.put(ObjectStore::Drafts, &form.id, draft_codec::encode(form)).await;
        if stored {
            draft_backup::delete_older(self.database.name(), form);
        }
        stored
    }

    /// # Errors
    /// The database does not answer.
    pub(crate) async fn draft(&self, id: &str) -> Result<Option<Rc<DraftForm>>, idb::Error> {
        let value = self.database.value(ObjectStore::Drafts.name(), id).await?;
        Ok(value.and_then(|value| draft_codec::decode(id, &value)).map(Rc::new))
    }

    /// Ends the queued state of a draft, to send or to open it. Of several tabs with the same version of it, one succeeds.
    /// Returns whether this tab did. A draft that is claimed to be sent may be delivered from now on.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn claim_queued(&self, queued: &DraftForm, to_send: bool) -> Result<bool, idb::Error> {
        let unqueue = |value: Option<&JsValue>| {
            let stored = draft_codec::decode(&queued.id, value?)?;
            let is_same = stored.queue == queued.queue && stored.changed == queued.changed;
            let maybe_delivered = stored.maybe_delivered || to_send;
            is_same.then(|| draft_codec::encode(&DraftForm { maybe_delivered, ..stored.unqueued() }))
        };
        self.database.replace(ObjectStore::Drafts.name(), &queued.id, unqueue).await
    }

    /// Adds an attachment to a stored draft, which other tabs may change. Returns whether it is stored.
    pub(crate) async fn add_attachment(
        &self,
        id: &str,
        attachment: &Rc<Attachment>,
        changed: DateTime<Utc>,
    ) -> bool {
        let add = |value: Option<&JsValue>| {
            let stored = draft_codec::decode(id, value?)?;
            Some(draft_codec::encode(&stored.with_attachment(attachment.clone(), changed)))
        };
        self.database.replace(ObjectStore::Drafts.name(), id, add).await.is_ok_and(|is_stored| is_stored)
    }

    /// Stores the text of a draft synchronously, for a page that is being closed.
    pub(crate) fn back_up_draft(&self, form: &DraftForm) {
        draft_backup::store(self.database.name(), form);
    }

    pub(crate) async fn delete_draft(&self, id: &str) {
        draft_backup::delete(self.database.name(), id);
        self.database.delete(&[ObjectStore::Drafts.name()], &[id.to_owned()]).await;
    }

    /// Returns whether the marks are stored.
    pub(crate) async fn put_marks(&self, messages: &[Rc<Message>]) -> bool {
        let store = ObjectStore::Marks.name();
        let entry = |message: &'_ Rc<Message>| mark(message.read, message.starred).into();
        let entries: Vec<_> =
            messages.iter().map(|message| (store, message.id.as_str(), entry(message))).collect();
        self.database.put(&entries).await
    }

    /// Remembers that the user has deleted messages, until [`forget_removals`](Self::forget_removals). `due` is the end of
    /// the time for Undo.
    pub(crate) fn remember_removals(&self, unique_ids: &[String], due: DateTime<Utc>) {
        pending_removals::put(self.database.name(), unique_ids, due);
    }

    pub(crate) fn forget_removals(&self, unique_ids: &[String]) {
        pending_removals::remove(self.database.name(), unique_ids);
    }

    /// Messages that were deleted and that the server may still have.
    pub(crate) fn pending_removals(&self) -> Vec<PendingRemoval> {
        pending_removals::load(self.database.name())
    }

    /// Removes messages from the cache of the maildrop. A failure is repaired by the next
    /// [`retain_messages`](Self::retain_messages).
    pub(crate) async fn delete_messages(&self, ids: &[String]) {
        self.database.delete(&ObjectStore::MAILDROP.map(ObjectStore::name), ids).await;
    }

    /// Removes all messages from the cache that the maildrop does not contain.
    pub(crate) async fn retain_messages(&self, existing: &HashSet<String>) {
        let mut gone = Vec::new();
        for store in ObjectStore::MAILDROP {
            gone.extend(self.keys(store).await.into_iter().filter(|id| !existing.contains(id)));
        }
        if !gone.is_empty() {
            self.delete_messages(&gone).await;
        }
    }

    /// Deletes the account's database, draft backups and pending deletions. A tab that has the database open delays its
    /// deletion by the browser.
    pub(crate) async fn wipe(&self) {
        draft_backup::delete_all(self.database.name());
        pending_removals::delete_all(self.database.name());
        self.database.destroy().await;
    }

    async fn put(&self, store: ObjectStore, id: &str, value: JsValue) -> bool {
        self.database.put(&[(store.name(), id, value)]).await
    }

    async fn bodies(&self, store: ObjectStore) -> Vec<(String, StoredBody)> {
        let entries = self.entries(store).await.into_iter();
        entries.filter_map(|(id, value)| Some((id, body_codec::decode(&value)?))).collect()
    }

    async fn keys(&self, store: ObjectStore) -> Vec<String> {
        self.database.keys(store.name()).await
    }

    async fn entries(&self, store: ObjectStore) -> Vec<(String, JsValue)> {
        self.database.entries(store.name()).await
    }
}

/// Looks up an id in the entries of an object store. They are sorted by key: ids are ASCII, for which IndexedDB's order
/// is that of the bytes.
fn find<'a, T>(entries: &'a [(String, T)], id: &str) -> Option<&'a T> {
    let at = entries.binary_search_by(|(key, _)| key.as_str().cmp(id)).ok()?;
    Some(&entries[at].1)
}

fn octets(value: &JsValue) -> Vec<u8> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec).unwrap_or_default()
}

fn mark(read: bool, starred: bool) -> f64 {
    f64::from(u8::from(read) | u8::from(starred) << 1)
}

fn read_and_starred(mark: f64) -> (bool, bool) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let mark = mark as u8;
    (mark & 1 != 0, mark & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn marks_round_trip() {
        for (read, starred) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(read_and_starred(mark(read, starred)), (read, starred));
        }
        assert_eq!(read_and_starred(f64::NAN), (false, false));
    }
}
