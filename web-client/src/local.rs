//! What is kept on this device: headers and messages that were fetched, what is read and starred, drafts, and copies of
//! what was sent from here.
//!
//! It is a cache: the maildrop is the truth, and a browser may forget all of this at any time. Only drafts and sent
//! copies lie nowhere else. Every account has its own IndexedDB database. Where the browser has none, as in some private
//! windows, nothing is kept and everything still works.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use idb::{Database, DatabaseEvent as _, Error, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::Uint8Array;
use mail_core::message::view::Summary;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::charset;
use crate::form::Form;
use crate::state::{Head, Message};
use crate::{keeping, last_words};

const VERSION: u32 = 2;

/// Larger messages are fetched again when they are read again.
pub(crate) const KEPT_OCTETS_MAX: usize = 10 * 1_024 * 1_024;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shelf {
    /// Headers, by unique-id.
    Headers,
    /// Whole messages, by unique-id.
    Messages,
    /// Read and starred, by unique-id.
    Marks,
    /// By their own name.
    Drafts,
    /// Whole messages, by their own name.
    Sent,
    /// What the search looks at in whole messages: by unique-id, and by their own name.
    Texts,
    SentTexts,
}

impl Shelf {
    const ALL: [Self; 7] =
        [Self::Headers, Self::Messages, Self::Marks, Self::Drafts, Self::Sent, Self::Texts, Self::SentTexts];
    /// What is known of messages that the server has.
    pub(crate) const OF_MAILDROP: [Self; 4] = [Self::Headers, Self::Messages, Self::Marks, Self::Texts];

    const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Messages => "messages",
            Self::Marks => "marks",
            Self::Drafts => "drafts",
            Self::Sent => "sent",
            Self::Texts => "texts",
            Self::SentTexts => "sentTexts",
        }
    }
}

/// All that is needed to show the lists.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) messages: Vec<Rc<Message>>,
    pub(crate) sent: Vec<Rc<Message>>,
    pub(crate) drafts: Vec<Rc<Form>>,
}

#[derive(Debug)]
pub(crate) struct Local {
    name: String,
    database: Option<Database>,
}

impl Local {
    pub(crate) async fn open(account: &str) -> Self {
        let name = format!("pennypost/{account}");
        let database = open(&name).await.ok();
        Self { name, database }
    }

    pub(crate) async fn load(&self) -> Kept {
        let marks: HashMap<_, _> = self.all(Shelf::Marks).await.into_iter().collect();
        let kept: HashSet<_> = self.keys(Shelf::Messages).await.into_iter().collect();
        let (texts, sent_texts) = (self.texts(Shelf::Texts).await, self.texts(Shelf::SentTexts).await);
        let message = |(id, header): (String, JsValue)| {
            let head = Some(Rc::new(Head::new(&Summary::parse_with(&octets(&header), charset::decode))));
            let mark = marks.get(&id).and_then(JsValue::as_f64).unwrap_or_default();
            let (read, starred) = keeping::read_and_starred(mark);
            let kept = kept.contains(&id);
            let text = texts.get(&id).cloned();
            Rc::new(Message { id, number: None, octets: 0, head, read, starred, kept, text })
        };
        let copy = |(id, message): (String, JsValue)| {
            let message = octets(&message);
            let head = Some(Rc::new(Head::of_copy(&Summary::parse_with(&message, charset::decode))));
            let octets = message.len() as u64;
            let text = sent_texts.get(&id).cloned();
            Rc::new(Message { id, octets, head, read: true, kept: true, text, ..Message::default() })
        };
        let drafts = self.all(Shelf::Drafts).await;
        Kept {
            messages: self.all(Shelf::Headers).await.into_iter().map(message).collect(),
            sent: self.all(Shelf::Sent).await.into_iter().map(copy).collect(),
            drafts: self
                .with_last_words(drafts.iter().filter_map(|(id, draft)| keeping::form(id, draft)))
                .await,
        }
    }

    /// The kept drafts, with what was written when the page went away.
    async fn with_last_words(&self, drafts: impl Iterator<Item = Form>) -> Vec<Rc<Form>> {
        let mut drafts: HashMap<_, _> = drafts.map(|form| (form.id.clone(), form)).collect();
        for mut left in last_words::left(&self.name) {
            if let Some(kept) = drafts.get(&left.id) {
                if kept.changed >= left.changed {
                    last_words::forget(&self.name, &left.id);
                    continue;
                }
                left.attachments.clone_from(&kept.attachments);
            }
            self.keep_draft(&left).await;
            drafts.insert(left.id.clone(), left);
        }
        drafts.into_values().map(Rc::new).collect()
    }

    /// A whole message.
    pub(crate) async fn message(&self, shelf: Shelf, id: &str) -> Option<Vec<u8>> {
        self.value(shelf, id).await.ok().flatten().map(|value| octets(&value))
    }

    /// Whether it is kept now.
    pub(crate) async fn keep_octets(&self, shelf: Shelf, items: &[(String, Vec<u8>)]) -> bool {
        let values: Vec<_> = items
            .iter()
            .map(|(id, octets)| (id.clone(), Uint8Array::from(octets.as_slice()).into()))
            .collect();
        self.keep(shelf, &values).await
    }

    /// What cannot be kept is not found until it is read again.
    pub(crate) async fn keep_text(&self, shelf: Shelf, id: &str, text: &str) {
        let _ = self.keep(shelf, &[(id.to_owned(), text.into())]).await;
    }

    /// Whether it is kept now.
    pub(crate) async fn keep_draft(&self, form: &Form) -> bool {
        let kept = self.keep(Shelf::Drafts, &[(form.id.clone(), keeping::value(form))]).await;
        if kept {
            last_words::kept(&self.name, form);
        }
        kept
    }

    /// A draft, if it is still kept.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn draft(&self, id: &str) -> Result<Option<Rc<Form>>, Error> {
        let value = self.value(Shelf::Drafts, id).await?;
        Ok(value.and_then(|value| keeping::form(id, &value)).map(Rc::new))
    }

    /// Keeps the text of a draft at once: the page may be gone before the database answers.
    pub(crate) fn leave_draft(&self, form: &Form) {
        last_words::leave(&self.name, form);
    }

    pub(crate) async fn forget_draft(&self, id: &str) {
        last_words::forget(&self.name, id);
        self.forget(&[Shelf::Drafts], &[id.to_owned()]).await;
    }

    pub(crate) async fn keep_marks(&self, message: &Message) -> bool {
        let mark = keeping::mark(message.read, message.starred);
        self.keep(Shelf::Marks, &[(message.id.clone(), mark.into())]).await
    }

    pub(crate) async fn forget(&self, shelves: &[Shelf], ids: &[String]) {
        let Some(database) = &self.database else { return };
        let forget = async || -> Result<(), Error> {
            let names: Vec<_> = shelves.iter().map(|shelf| shelf.name()).collect();
            let transaction = database.transaction(&names, TransactionMode::ReadWrite)?;
            for name in names {
                let store = transaction.object_store(name)?;
                for id in ids {
                    store.delete(Query::Key(id.as_str().into()))?;
                }
            }
            transaction.commit()?.await.map(drop)
        };
        // What is still there is forgotten another time: a message that is gone is looked for at every check.
        let _ = forget().await;
    }

    /// Forgets all messages but these.
    pub(crate) async fn keep_only(&self, there: &HashSet<String>) {
        let mut gone = Vec::new();
        for shelf in Shelf::OF_MAILDROP {
            gone.extend(self.keys(shelf).await.into_iter().filter(|id| !there.contains(id)));
        }
        if !gone.is_empty() {
            self.forget(&Shelf::OF_MAILDROP, &gone).await;
        }
    }

    /// Forgets everything of this account, drafts and sent copies too.
    pub(crate) async fn wipe(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
        last_words::forget_all(&self.name);
        if let Ok(request) = Factory::new().and_then(|factory| factory.delete(&self.name)) {
            // Another tab that has it open delays this; the browser does it then.
            let _ = request.await;
        }
    }

    async fn keep(&self, shelf: Shelf, items: &[(String, JsValue)]) -> bool {
        let Some(database) = &self.database else { return false };
        let keep = async || -> Result<(), Error> {
            let transaction = database.transaction(&[shelf.name()], TransactionMode::ReadWrite)?;
            let store = transaction.object_store(shelf.name())?;
            for (id, value) in items {
                store.put(value, Some(&id.as_str().into()))?;
            }
            transaction.commit()?.await.map(drop)
        };
        keep().await.is_ok()
    }

    async fn value(&self, shelf: Shelf, id: &str) -> Result<Option<JsValue>, Error> {
        let Some(database) = &self.database else { return Ok(None) };
        let transaction = database.transaction(&[shelf.name()], TransactionMode::ReadOnly)?;
        transaction.object_store(shelf.name())?.get(JsValue::from(id))?.await
    }

    async fn texts(&self, shelf: Shelf) -> HashMap<String, Rc<str>> {
        let all = self.all(shelf).await.into_iter();
        all.filter_map(|(id, text)| Some((id, text.as_string()?.into()))).collect()
    }

    async fn keys(&self, shelf: Shelf) -> Vec<String> {
        let Some(database) = &self.database else { return Vec::new() };
        let keys = async || -> Result<Vec<JsValue>, Error> {
            let transaction = database.transaction(&[shelf.name()], TransactionMode::ReadOnly)?;
            transaction.object_store(shelf.name())?.get_all_keys(None, None)?.await
        };
        keys().await.unwrap_or_default().iter().filter_map(JsValue::as_string).collect()
    }

    async fn all(&self, shelf: Shelf) -> Vec<(String, JsValue)> {
        let Some(database) = &self.database else { return Vec::new() };
        let all = async || -> Result<(Vec<JsValue>, Vec<JsValue>), Error> {
            let transaction = database.transaction(&[shelf.name()], TransactionMode::ReadOnly)?;
            let store = transaction.object_store(shelf.name())?;
            // Both are in the order of the keys, and within one transaction nothing comes between them.
            let (keys, values) = (store.get_all_keys(None, None)?, store.get_all(None, None)?);
            Ok((keys.await?, values.await?))
        };
        let (keys, values) = all().await.unwrap_or_default();
        keys.iter().filter_map(JsValue::as_string).zip(values).collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(database) = &self.database {
            // Until it is closed nobody can delete it, and the browser closes it when it pleases.
            database.close();
        }
    }
}

async fn open(name: &str) -> Result<Database, Error> {
    let mut request = Factory::new()?.open(name, Some(VERSION))?;
    request.on_upgrade_needed(|event| {
        let Ok(database) = event.database() else { return };
        for shelf in Shelf::ALL {
            // What fails here fails the opening.
            let _ = database.create_object_store(shelf.name(), ObjectStoreParams::new());
        }
    });
    let mut database = request.await?;
    // Another tab that wants a newer version, or none at all, is not made to wait.
    database.on_version_change(|event| {
        if let Ok(database) = event.database() {
            database.close();
        }
    });
    Ok(database)
}

fn octets(value: &JsValue) -> Vec<u8> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec).unwrap_or_default()
}

#[cfg(all(test, target_arch = "wasm32"))]
mod in_browser;
