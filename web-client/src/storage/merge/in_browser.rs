//! Merges databases in a browser's IndexedDB.

use std::collections::HashSet;

use chrono::DateTime;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{ObjectStore, Storage, draft_backup, draft_codec};
use crate::model::draft_form::DraftForm;
use crate::platform::indexed_db::{self, Database};

/// A database as an earlier page named it, for one spelling of a username.
async fn old_database(username: &str) -> Database {
    Storage::database(format!("pennypost/{username}")).await
}

fn draft(number: u128, second: i64) -> DraftForm {
    DraftForm {
        body: format!("As of {second}"),
        ..DraftForm::new(number, DateTime::from_timestamp(second, 0).unwrap())
    }
}

async fn put(database: &Database, store: ObjectStore, key: &str, value: JsValue) {
    assert!(database.put(&[(store.name(), key, value)]).await);
}

async fn put_draft(database: &Database, draft: &DraftForm) {
    put(database, ObjectStore::Drafts, &draft.id, draft_codec::encode(draft)).await;
}

fn octets(text: &str) -> JsValue {
    Uint8Array::from(text.as_bytes()).into()
}

/// Waits until the databases whose names start with this are the expected ones. Old ones are deleted in the background.
async fn wait_for_names(prefix: &str, expected: &[&str]) {
    let expected: HashSet<_> = expected.iter().map(|name| format!("pennypost/{name}")).collect();
    let prefix = format!("pennypost/{prefix}");
    let mut names = HashSet::new();
    for _ in 0..1_000 {
        names = indexed_db::names()
            .await
            .unwrap_or_default()
            .into_iter()
            .filter(|name| name.starts_with(&prefix))
            .collect();
        if names == expected {
            return;
        }
    }
    panic!("{names:?} instead of {expected:?}");
}

#[test]
async fn databases_of_all_spellings_are_merged() {
    {
        let own = old_database("merged").await;
        put(&own, ObjectStore::Headers, "1", octets("own header")).await;
        put(&own, ObjectStore::Marks, "1", JsValue::from(1.0)).await;
        put_draft(&own, &draft(1, 5)).await;
        put_draft(&own, &draft(2, 5)).await;
        let iit = old_database("merged@iit.edu").await;
        put(&iit, ObjectStore::Headers, "1", octets("other header")).await;
        put(&iit, ObjectStore::Headers, "2", octets("second header")).await;
        put(&iit, ObjectStore::Marks, "1", JsValue::from(2.0)).await;
        put(&iit, ObjectStore::Sent, "9", octets("sent")).await;
        put_draft(&iit, &draft(1, 4)).await;
        put_draft(&iit, &draft(2, 6)).await;
        let kgp = old_database("merged@iitkgp.edu").await;
        put(&kgp, ObjectStore::Messages, "2", octets("message")).await;
        put_draft(&kgp, &draft(3, 1)).await;
        draft_backup::store(kgp.name(), &draft(3, 2));
    }
    let storage = Storage::open("merged").await;
    let text = |octets: Option<Vec<u8>>| octets.map(|octets| String::from_utf8(octets).unwrap());
    for (store, id, expected) in [
        (ObjectStore::Headers, "1", "own header"),
        (ObjectStore::Headers, "2", "second header"),
        (ObjectStore::Messages, "2", "message"),
        (ObjectStore::Sent, "9", "sent"),
    ] {
        assert_eq!(text(storage.message(store, id).await).as_deref(), Some(expected), "{store:?} {id}");
    }
    let marks = storage.database.value("marks", "1").await.unwrap().unwrap();
    assert_eq!(marks.as_f64(), Some(3.0), "read in one database, starred in the other");
    let mut drafts: Vec<_> =
        storage.load().await.drafts.iter().map(|draft| DraftForm::clone(draft)).collect();
    drafts.sort_by_key(DraftForm::number);
    assert_eq!(drafts, [draft(1, 5), draft(2, 6), draft(3, 2)], "the newer version of each draft");
    assert_eq!(draft_backup::load_all("pennypost/merged@iitkgp.edu"), []);
    wait_for_names("merged", &["merged"]).await;
}

#[test]
async fn databases_of_other_accounts_stay() {
    drop(old_database("another@iit.edu").await);
    drop(old_database("anotherone@iit.edu").await);
    drop(Storage::open("an").await);
    wait_for_names("another", &["another@iit.edu", "anotherone@iit.edu"]).await;
    drop(Storage::open("another").await);
    wait_for_names("another", &["another", "anotherone@iit.edu"]).await;
}

/// The page was closed between the copy and the deletion.
#[test]
async fn interrupted_merge_is_repeated_without_duplicates() {
    for _ in 0..2 {
        let old = old_database("repeated@iit.edu").await;
        put_draft(&old, &draft(1, 1)).await;
        put(&old, ObjectStore::Headers, "1", octets("header")).await;
        drop(old);
        let storage = Storage::open("repeated").await;
        let snapshot = storage.load().await;
        assert_eq!((snapshot.drafts.len(), snapshot.messages.len()), (1, 1));
    }
}

#[test]
async fn database_that_cannot_be_copied_stays() {
    let old = old_database("failing@iit.edu").await;
    put(&old, ObjectStore::Headers, "1", octets("header")).await;
    drop(old);
    // The target does not exist.
    let target = Storage::database("pennypost/failing".to_owned()).await;
    target.destroy().await;
    super::merge_databases_with_domain(&target).await;
    wait_for_names("failing", &["failing@iit.edu"]).await;
    let storage = Storage::open("failing").await;
    assert_eq!(storage.message(ObjectStore::Headers, "1").await.as_deref(), Some(&b"header"[..]));
}
