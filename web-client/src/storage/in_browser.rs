//! Storage in a browser's IndexedDB.

use std::collections::HashSet;
use std::rc::Rc;

use chrono::DateTime;
use futures::future::join;
use idb::{DatabaseEvent as _, Factory, ObjectStoreParams, TransactionMode};
use js_sys::{Array, Object, Reflect, Uint8Array};
use mail_core::message::address::Address;
use mail_core::message::draft::Attachment;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{ObjectStore, SENT_OCTETS_MAX, Storage, StoreError, draft_backup, draft_codec};
use crate::model::draft_form::{DraftForm, Queue, Recipients};
use crate::model::filing::Filing;
use crate::model::message::{BodyIndex, Message};
use crate::model::rich_text::{Original, RichText};
use crate::model::settings::Settings;
use crate::platform::rich_dom::stored_blocks;
use crate::platform::text;

const HEADER: &[u8] = b"From: Ag <ag@iit.edu>\r\nTo: gb@iit.edu\r\nSubject: Hello\r\n\r\n";

/// A draft without attachments, changed at this second.
fn text_draft(number: u128, second: i64) -> DraftForm {
    DraftForm {
        to: Recipients { chips: vec!["gb@iit.edu".to_owned()], typed: String::new() },
        subject: "Numbers".to_owned(),
        body: format!("As of {second}"),
        ..DraftForm::new(number, DateTime::from_timestamp(second, 0).unwrap())
    }
}

/// The same draft with an attachment.
fn draft(number: u128, second: i64) -> DraftForm {
    let bytes = (0..=255).cycle().take(100_000).collect();
    let file = Attachment {
        name: "x.bin".into(),
        mime: "image/png".into(),
        content_id: None,
        content_location: None,
        bytes,
    };
    DraftForm { attachments: vec![Rc::new(file)], ..text_draft(number, second) }
}

async fn drafts(account: &str) -> Vec<DraftForm> {
    let snapshot = Storage::open(account).await.load().await;
    let mut drafts: Vec<_> = snapshot.drafts.into_iter().map(Rc::unwrap_or_clone).collect();
    drafts.sort_by_key(DraftForm::number);
    drafts
}

/// A draft with formatting, an image in its text, and a quoted message.
fn formatted_draft(number: u128, second: i64) -> DraftForm {
    let html = "<p>a <b>b</b>  c</p><ul><li><p><a href=\"https://x.example\">d</a></p></li></ul>\
        <p><img src=\"cid:1@x\" alt=\"e\" data-id=\"1@x\"></p>";
    let original =
        Original { html: "<p>Hello</p>".repeat(1_000), text: "> Hello\n".to_owned(), is_forwarded: false };
    let rich = RichText { blocks: stored_blocks(html), original: Some(Rc::new(original)) };
    let image = Attachment {
        name: "e.png".into(),
        mime: "image/png".into(),
        content_id: Some("1@x".into()),
        content_location: None,
        bytes: vec![1, 2, 3],
    };
    let mut draft = DraftForm { attachments: vec![Rc::new(image)], ..text_draft(number, second) };
    draft.set_rich(Rc::new(rich));
    draft
}

#[test]
async fn formatting_of_a_draft_is_stored() {
    let storage = Storage::open("formatted").await;
    let draft = formatted_draft(1, 100);
    assert!(storage.put_draft(&draft).await);
    assert_eq!(drafts("formatted").await, [draft.clone()]);
    // The page was closed after another edit.
    let edited = DraftForm { changed: DateTime::from_timestamp(200, 0).unwrap(), ..draft.clone() };
    storage.back_up_draft(&edited);
    assert_eq!(drafts("formatted").await, [edited]);
    // The backup has no room for the quoted message, which is stored.
    let mut large = draft.clone();
    let rich = Rc::make_mut(large.rich.as_mut().unwrap());
    Rc::make_mut(rich.original.as_mut().unwrap()).html = "<p>Hello</p>".repeat(60_000);
    large.changed = DateTime::from_timestamp(300, 0).unwrap();
    assert!(storage.put_draft(&large).await);
    let edited = DraftForm { changed: DateTime::from_timestamp(400, 0).unwrap(), ..large.clone() };
    storage.back_up_draft(&edited);
    assert_eq!(drafts("formatted").await, [edited]);
    storage.wipe().await;
}

/// Version 4 of the page stored drafts without formatting and without Content-IDs.
#[test]
async fn draft_of_an_earlier_page_is_plain_text() {
    let storage = Storage::open("earlier").await;
    let draft = draft(1, 100);
    let object = draft_codec::encode(&draft);
    for property in ["html", "original"] {
        Reflect::delete_property(object.unchecked_ref::<Object>(), &property.into()).unwrap();
    }
    let files: Array = Reflect::get(&object, &"attachments".into()).unwrap().into();
    Reflect::delete_property(files.get(0).unchecked_ref::<Object>(), &"contentId".into()).unwrap();
    assert!(storage.put(ObjectStore::Drafts, &draft.id, object).await);
    assert_eq!(drafts("earlier").await, [draft]);
    storage.wipe().await;
}

fn items(ids: &[&str]) -> Vec<(String, Vec<u8>)> {
    ids.iter().map(|id| ((*id).to_owned(), HEADER.to_vec())).collect()
}

fn set(ids: &[&str]) -> HashSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn keys(storage: &Storage, store: &str) -> Vec<String> {
    storage.database.keys(store).await
}

#[test]
async fn stored_data_is_loaded_at_the_next_sign_in() {
    let storage = Storage::open("stored").await;
    assert!(storage.put_octets(ObjectStore::Headers, &items(&["1", "2"])).await);
    assert!(storage.put_octets(ObjectStore::Messages, &items(&["2"])).await);
    let body = BodyIndex { search_text: "see you at five".into(), snippet: "See you".into() };
    storage.put_bodies(&[("2".to_owned(), body.clone())]).await;
    let marked = Message { id: "2".to_owned(), read: true, starred: true, ..Message::default() };
    assert!(storage.put_marks(&[Rc::new(marked)]).await);
    let filing = Filing { archived: true, labels: ["Bills".to_owned()].into() };
    assert!(storage.put_filings(&[("1".to_owned(), filing.clone())]).await);
    let sent = [HEADER, b"Hello, gb!\r\n"].concat();
    assert!(storage.put_sent_copy("mine", &sent).await.is_ok());
    assert!(storage.put_draft(&draft(7, 1)).await);
    let address = Address::parse("gb@iit.edu").unwrap();
    assert_eq!(storage.address().await, None);
    storage.put_address(&address).await;

    let storage = Storage::open("stored").await;
    assert_eq!(storage.address().await, Some(address));
    let snapshot = storage.load().await;
    let loaded: Vec<_> = snapshot
        .messages
        .iter()
        .map(|message| {
            let header =
                message.header.as_ref().map(|header| (header.from.as_str(), header.subject.as_str()));
            let marks = (message.read, message.starred);
            (message.id.as_str(), header, marks, message.stored, message.body.clone())
        })
        .collect();
    let header = Some(("Ag", "Hello"));
    assert_eq!(
        loaded,
        [("1", header, (false, false), false, None), ("2", header, (true, true), true, Some(body))]
    );
    assert_eq!([0, 1].map(|at: usize| snapshot.messages[at].filing.clone()), [filing, Filing::default()]);
    assert_eq!(snapshot.sent.len(), 1);
    let copy = &snapshot.sent[0];
    assert_eq!(copy.header.as_ref().unwrap().from, "To gb@iit.edu");
    let body = copy.body.as_ref().unwrap();
    assert_eq!((copy.octets, &*body.snippet), (sent.len() as u64, "Hello, gb!"));
    assert_eq!(storage.message(ObjectStore::Messages, "2").await.as_deref(), Some(HEADER));
    assert_eq!(storage.message(ObjectStore::Messages, "1").await, None);
    assert_eq!(drafts("stored").await, [draft(7, 1)]);
}

#[test]
async fn deletion_affects_only_the_given_ids() {
    let storage = Storage::open("deleted").await;
    for store in ObjectStore::MAILDROP {
        storage.put_octets(store, &items(&["1", "2", "3"])).await;
    }
    storage.put_sent_copy("1", HEADER).await.unwrap();
    storage.put_sent_copy("2", HEADER).await.unwrap();
    for number in [1, 2] {
        storage.put_draft(&draft(number, 1)).await;
        storage.back_up_draft(&draft(number, 2));
    }
    storage.delete_messages(&["1".to_owned()]).await;
    for store in ObjectStore::MAILDROP {
        assert_eq!(keys(&storage, store.name()).await, ["2", "3"], "{store:?}");
    }
    // Another client has deleted the third.
    storage.retain_messages(&set(&["2", "4"])).await;
    for store in ObjectStore::MAILDROP {
        assert_eq!(keys(&storage, store.name()).await, ["2"], "{store:?}");
    }
    assert!(storage.delete_sent_copies(&["1".to_owned()]).await);
    for store in ["sent", "sentSummaries", "sentTexts"] {
        assert_eq!(keys(&storage, store).await, ["2"], "{store}");
    }
    storage.delete_draft(&draft(1, 1).id).await;
    assert_eq!(drafts("deleted").await.iter().map(DraftForm::number).collect::<Vec<_>>(), [2]);
}

/// Version 2 had no summaries of sent copies.
#[test]
async fn version_2_is_migrated_without_loss() {
    let stores = ["headers", "messages", "marks", "drafts", "sent", "texts", "sentTexts"];
    let mut request = Factory::new().unwrap().open("pennypost/migrated", Some(2)).unwrap();
    request.on_upgrade_needed(move |event| {
        for store in stores {
            event.database().unwrap().create_object_store(store, ObjectStoreParams::new()).unwrap();
        }
    });
    let database = request.await.unwrap();
    let messages = [("00aa", "First", 10), ("00bb", "Second", 300_000)].map(|(id, subject, octets)| {
        let header = format!("From: gb@iit.edu\r\nTo: ag@iit.edu\r\nSubject: {subject}\r\n\r\n");
        (id, [header.into_bytes(), vec![b'x'; octets]].concat())
    });
    let transaction = database.transaction(&stores, TransactionMode::ReadWrite).unwrap();
    let put = |store: &str, key: &str, value: &JsValue| {
        transaction.object_store(store).unwrap().put(value, Some(&JsValue::from(key))).unwrap();
    };
    for (id, message) in &messages {
        put("sent", id, &Uint8Array::from(message.as_slice()).into());
    }
    put("sentTexts", "00bb", &"second text".into());
    put("headers", "1", &Uint8Array::from(HEADER).into());
    put("marks", "1", &JsValue::from(2.0));
    transaction.commit().unwrap().await.unwrap();
    database.close();

    // The second time, the summaries exist.
    for _ in 0..2 {
        let storage = Storage::open("migrated").await;
        let snapshot = storage.load().await;
        assert!(snapshot.messages[0].starred);
        assert_eq!(snapshot.sent.len(), 2);
        for (copy, (id, message)) in snapshot.sent.iter().zip(&messages) {
            assert_eq!((copy.id.as_str(), copy.octets), (*id, message.len() as u64));
            assert_eq!(copy.header.as_ref().unwrap().from, "To ag@iit.edu");
            assert_eq!(storage.message(ObjectStore::Sent, id).await.as_ref(), Some(message));
        }
        assert_eq!(snapshot.sent[1].header.as_ref().unwrap().subject, "Second");
        let body = snapshot.sent[1].body.as_ref().unwrap();
        assert!(body.search_text.starts_with("xxx") && body.snippet.starts_with("xxx"));
        assert_eq!(keys(&storage, "sentSummaries").await, ["00aa", "00bb"]);
    }
}

#[test]
async fn sent_copy_over_the_budget_is_refused_and_old_copies_stay() {
    let storage = Storage::open("budget").await;
    let half = vec![b'x'; usize::try_from(SENT_OCTETS_MAX / 2).unwrap()];
    for id in ["1", "2"] {
        assert!(storage.put_sent_copy(id, &half).await.is_ok());
    }
    let refused = storage.put_sent_copy("3", HEADER).await;
    assert_eq!(refused, Err(StoreError::BudgetExceeded));
    assert_eq!(keys(&storage, "sent").await, ["1", "2"]);
    // A copy that replaces itself fits.
    assert!(storage.put_sent_copy("2", &half).await.is_ok());
    assert!(storage.delete_sent_copies(&["1".to_owned()]).await);
    assert!(storage.put_sent_copy("3", HEADER).await.is_ok());
    storage.wipe().await;
}

/// Version 3 stored the texts of messages without a snippet, in lower case with accents.
#[test]
async fn version_3_is_migrated_without_loss() {
    let stores =
        ["headers", "messages", "marks", "drafts", "sent", "sentSummaries", "texts", "sentTexts", "profile"];
    let mut request = Factory::new().unwrap().open("pennypost/version3", Some(3)).unwrap();
    request.on_upgrade_needed(move |event| {
        for store in stores {
            event.database().unwrap().create_object_store(store, ObjectStoreParams::new()).unwrap();
        }
    });
    let database = request.await.unwrap();
    let message = [HEADER, "Voilà l’Été!\r\n".as_bytes()].concat();
    let (kept, summary) = (draft(7, 1), Object::new());
    let octets = |octets: &[u8]| JsValue::from(Uint8Array::from(octets));
    Reflect::set(&summary, &"header".into(), &octets(HEADER)).unwrap();
    Reflect::set(&summary, &"octets".into(), &JsValue::from(message.len() as f64)).unwrap();
    let transaction = database.transaction(&stores, TransactionMode::ReadWrite).unwrap();
    for (store, key, value) in [
        ("headers", "1", octets(HEADER)),
        ("headers", "2", octets(HEADER)),
        ("messages", "1", octets(&message)),
        ("texts", "1", "voilà l’été!".into()),
        // The message is too large to be stored.
        ("texts", "2", "déjà vu".into()),
        ("marks", "1", JsValue::from(3.0)),
        ("drafts", kept.id.as_str(), draft_codec::encode(&kept)),
        ("sent", "00aa", octets(&message)),
        ("sentSummaries", "00aa", summary.into()),
        ("sentTexts", "00aa", "voilà l’été!".into()),
        ("profile", "address", "gb@iit.edu".into()),
    ] {
        transaction.object_store(store).unwrap().put(&value, Some(&JsValue::from(key))).unwrap();
    }
    transaction.commit().unwrap().await.unwrap();
    database.close();

    let storage = Storage::open("version3").await;
    let snapshot = storage.load().await;
    let [one, two] = &snapshot.messages[..] else { panic!("{:?}", snapshot.messages) };
    assert!(one.read && one.starred && one.stored && !two.stored);
    let text = |message: &Message| message.body.clone().unwrap().search_text.to_string();
    assert_eq!((text(one).as_str(), text(two).as_str()), ("voila l’ete!", "deja vu"));
    assert_eq!(snapshot.outdated, ["1"]);
    assert_eq!(storage.message(ObjectStore::Messages, "1").await.as_ref(), Some(&message));
    assert_eq!(drafts("version3").await, [kept]);
    assert_eq!(storage.address().await.unwrap().to_string(), "gb@iit.edu");
    let copy = &snapshot.sent[0];
    assert_eq!((copy.octets, &*copy.body.as_ref().unwrap().snippet), (message.len() as u64, "Voilà l’Été!"));
    // The page replaces outdated texts in the background.
    let body = BodyIndex::new("Voilà l’Été!", text::fold);
    storage.put_bodies(&[("1".to_owned(), body.clone())]).await;
    let snapshot = storage.load().await;
    assert_eq!((snapshot.messages[0].body.as_ref(), snapshot.outdated.as_slice()), (Some(&body), &[][..]));
}

/// Version 4 had no Archive and no labels.
#[test]
async fn version_4_is_migrated_without_loss() {
    let stores = [
        "headers",
        "messages",
        "marks",
        "drafts",
        "sent",
        "sentSummaries",
        "texts",
        "sentTexts",
        "profile",
        "people",
    ];
    let mut request = Factory::new().unwrap().open("pennypost/version4", Some(4)).unwrap();
    request.on_upgrade_needed(move |event| {
        for store in stores {
            event.database().unwrap().create_object_store(store, ObjectStoreParams::new()).unwrap();
        }
    });
    let database = request.await.unwrap();
    let kept = draft(7, 1);
    let octets = |octets: &[u8]| JsValue::from(Uint8Array::from(octets));
    let transaction = database.transaction(&stores, TransactionMode::ReadWrite).unwrap();
    for (store, key, value) in [
        ("headers", "1", octets(HEADER)),
        ("messages", "1", octets(HEADER)),
        ("marks", "1", JsValue::from(2.0)),
        ("drafts", kept.id.as_str(), draft_codec::encode(&kept)),
        ("sent", "00aa", octets(HEADER)),
    ] {
        transaction.object_store(store).unwrap().put(&value, Some(&JsValue::from(key))).unwrap();
    }
    transaction.commit().unwrap().await.unwrap();
    database.close();

    let storage = Storage::open("version4").await;
    let snapshot = storage.load().await;
    let [message] = &snapshot.messages[..] else { panic!("{:?}", snapshot.messages) };
    assert!(message.starred && message.stored && message.filing.is_default());
    assert_eq!((snapshot.sent.len(), drafts("version4").await), (1, vec![kept]));
    let filing = Filing { archived: false, labels: ["Bills".to_owned()].into() };
    assert!(storage.put_filings(&[("1".to_owned(), filing.clone())]).await);
    assert_eq!(storage.load().await.messages[0].filing, filing);
}

/// A database that is still open from an earlier sign-in blocks its deletion.
#[test]
async fn wiped_account_leaves_nothing_and_other_accounts_stay() {
    for account in ["wiped", "wiped2"] {
        let storage = Storage::open(account).await;
        storage.put_octets(ObjectStore::Messages, &items(&["1"])).await;
        storage.put_draft(&draft(1, 1)).await;
        storage.back_up_draft(&draft(1, 2));
    }
    Storage::open("wiped").await.wipe().await;
    assert_eq!(draft_backup::load_all("pennypost/wiped"), []);
    assert_eq!(draft_backup::load_all("pennypost/wiped2"), [text_draft(1, 2)]);
    let storage = Storage::open("wiped").await;
    for store in ObjectStore::NAMES {
        assert_eq!(keys(&storage, store).await, [""; 0], "{store}");
    }
    let other = Storage::open("wiped2").await;
    assert_eq!(other.message(ObjectStore::Messages, "1").await.as_deref(), Some(HEADER));
}

#[test]
async fn newer_backup_replaces_the_text_and_keeps_attachments() {
    let storage = Storage::open("newer").await;
    storage.put_draft(&draft(1, 1)).await;
    storage.back_up_draft(&draft(1, 2));
    storage.back_up_draft(&draft(2, 3));
    let expected = [DraftForm { attachments: draft(1, 1).attachments, ..text_draft(1, 2) }, text_draft(2, 3)];
    assert_eq!(drafts("newer").await, expected);
    // IndexedDB has them now.
    assert_eq!(draft_backup::load_all("pennypost/newer"), []);
    assert_eq!(drafts("newer").await, expected);
}

#[test]
async fn queued_draft_is_claimed_by_one_tab() {
    let queued = DraftForm { queue: Queue::Held, ..draft(1, 5) };
    let tabs = [Storage::open("claimed").await, Storage::open("claimed").await];
    assert!(!tabs[0].claim_queued(&queued, false).await.unwrap(), "no such draft");
    assert!(tabs[0].put_draft(&queued).await);
    let claims = join(tabs[0].claim_queued(&queued, false), tabs[1].claim_queued(&queued, false)).await;
    assert_ne!(claims.0.unwrap(), claims.1.unwrap());
    assert_eq!(drafts("claimed").await, [draft(1, 5)]);
    // Another tab has changed the draft and queued it again.
    let newer = DraftForm { queue: Queue::Held, ..draft(1, 6) };
    assert!(tabs[1].put_draft(&newer).await);
    assert!(!tabs[0].claim_queued(&queued, false).await.unwrap());
    assert_eq!(drafts("claimed").await, [newer]);
}

#[test]
async fn attachments_are_added_to_a_stored_draft_at_the_same_time() {
    let storage = Storage::open("attached").await;
    let [one, other] = [1, 2].map(|number| draft(number, 1).attachments[0].clone());
    let at = |second| DateTime::from_timestamp(second, 0).unwrap();
    let id = draft(3, 1).id;
    assert!(!storage.add_attachment(&id, &one, at(2)).await, "no such draft");
    storage.put_draft(&text_draft(3, 1)).await;
    let added =
        join(storage.add_attachment(&id, &one, at(2)), storage.add_attachment(&id, &other, at(3))).await;
    assert_eq!(added, (true, true));
    assert_eq!(
        drafts("attached").await,
        [DraftForm { changed: at(3), attachments: vec![one, other], ..text_draft(3, 1) }]
    );
}

#[test]
async fn settings_of_two_tabs_are_merged() {
    let tabs = [Storage::open("settings").await, Storage::open("settings").await];
    let before = Settings::default();
    let name = Settings { name: "Gb".to_owned(), ..before.clone() };
    let signature = Settings { signature: "Kharagpur".to_owned(), ..before.clone() };
    join(tabs[0].change_settings(&before, &name), tabs[1].change_settings(&before, &signature)).await;
    let merged = Settings { signature: "Kharagpur".to_owned(), ..name };
    assert_eq!(tabs[0].settings().await, Some(merged));
}

#[test]
async fn older_backup_is_ignored_and_deleted() {
    let storage = Storage::open("older").await;
    for (number, second) in [(1, 4), (2, 5)] {
        storage.put_draft(&draft(number, 5)).await;
        storage.back_up_draft(&draft(number, second));
    }
    assert_eq!(drafts("older").await, [draft(1, 5), draft(2, 5)]);
    assert_eq!(draft_backup::load_all("pennypost/older"), []);
}

#[test]
async fn stored_draft_deletes_its_backup_unless_that_is_newer() {
    let storage = Storage::open("superseded").await;
    storage.back_up_draft(&draft(1, 2));
    storage.put_draft(&draft(1, 1)).await;
    assert_eq!(draft_backup::load_all("pennypost/superseded"), [text_draft(1, 2)]);
    storage.put_draft(&draft(1, 3)).await;
    assert_eq!(draft_backup::load_all("pennypost/superseded"), []);
}

/// An open database does not block its deletion by another tab or by the browser.
#[test]
async fn deleted_database_reads_as_empty_and_refuses_writes() {
    let storage = Storage::open("taken").await;
    assert!(storage.put_octets(ObjectStore::Headers, &items(&["1"])).await);
    Factory::new().unwrap().delete("pennypost/taken").unwrap().await.unwrap();
    assert!(!storage.put_octets(ObjectStore::Headers, &items(&["2"])).await);
    assert!(!storage.put_draft(&draft(1, 1)).await);
    assert_eq!(storage.put_sent_copy("1", HEADER).await, Err(StoreError::Unavailable));
    assert_eq!(storage.message(ObjectStore::Headers, "1").await, None);
    storage.delete_messages(&["1".to_owned()]).await;
    let snapshot = storage.load().await;
    assert!(snapshot.messages.is_empty() && snapshot.sent.is_empty() && snapshot.drafts.is_empty());
}
