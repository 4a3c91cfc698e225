//! In a browser's own database.

use std::collections::HashSet;
use std::rc::Rc;

use chrono::DateTime;
use idb::Factory;
use mail_core::message::draft::Attachment;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{Local, Shelf};
use crate::form::{Form, Recipients};
use crate::last_words;
use crate::state::Message;

const HEADER: &[u8] = b"From: Ag <ag@iit.edu>\r\nTo: gb@iit.edu\r\nSubject: Hello\r\n\r\n";

/// Of a draft of this number, as it was at this second, without its file.
fn words(number: u128, second: i64) -> Form {
    Form {
        to: Recipients { chips: vec!["gb@iit.edu".to_owned()], typed: String::new() },
        subject: "Numbers".to_owned(),
        body: format!("As of {second}"),
        ..Form::new(number, DateTime::from_timestamp(second, 0).unwrap())
    }
}

/// With its file.
fn draft(number: u128, second: i64) -> Form {
    let bytes = (0..=255).cycle().take(100_000).collect();
    let file = Attachment { name: "x.bin".into(), mime: "image/png".into(), content_id: None, bytes };
    Form { attachments: vec![Rc::new(file)], ..words(number, second) }
}

async fn drafts(account: &str) -> Vec<Form> {
    let kept = Local::open(account).await.load().await;
    let mut drafts: Vec<_> = kept.drafts.into_iter().map(Rc::unwrap_or_clone).collect();
    drafts.sort_by_key(Form::number);
    drafts
}

fn items(ids: &[&str]) -> Vec<(String, Vec<u8>)> {
    ids.iter().map(|id| ((*id).to_owned(), HEADER.to_vec())).collect()
}

fn set(ids: &[&str]) -> HashSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
async fn what_is_kept_is_there_the_next_time() {
    let local = Local::open("kept").await;
    assert!(local.keep_octets(Shelf::Headers, &items(&["1", "2"])).await);
    assert!(local.keep_octets(Shelf::Messages, &items(&["2"])).await);
    local.keep_text(Shelf::Texts, "2", "see you at five").await;
    let marked = Message { id: "2".to_owned(), read: true, starred: true, ..Message::default() };
    assert!(local.keep_marks(&marked).await);
    assert!(local.keep_octets(Shelf::Sent, &items(&["mine"])).await);
    assert!(local.keep_draft(&draft(7, 1)).await);

    let local = Local::open("kept").await;
    let kept = local.load().await;
    let seen: Vec<_> = kept
        .messages
        .iter()
        .map(|message| {
            let head = message.head.as_ref().map(|head| (head.from.as_str(), head.subject.as_str()));
            (message.id.as_str(), head, message.read, message.starred, message.kept, message.text.as_deref())
        })
        .collect();
    let head = Some(("Ag", "Hello"));
    assert_eq!(
        seen,
        [("1", head, false, false, false, None), ("2", head, true, true, true, Some("see you at five"))]
    );
    assert_eq!(kept.sent.len(), 1);
    assert_eq!(kept.sent[0].head.as_ref().unwrap().from, "To gb@iit.edu");
    assert_eq!(local.message(Shelf::Messages, "2").await.as_deref(), Some(HEADER));
    assert_eq!(local.message(Shelf::Messages, "1").await, None);
    assert_eq!(drafts("kept").await, [draft(7, 1)]);
}

#[test]
async fn what_is_forgotten_is_gone_and_the_rest_stays() {
    let local = Local::open("forgotten").await;
    for shelf in Shelf::OF_MAILDROP {
        local.keep_octets(shelf, &items(&["1", "2", "3"])).await;
    }
    local.keep_octets(Shelf::Sent, &items(&["1"])).await;
    for number in [1, 2] {
        local.keep_draft(&draft(number, 1)).await;
        local.leave_draft(&draft(number, 2));
    }
    local.forget(&Shelf::OF_MAILDROP, &["1".to_owned()]).await;
    for shelf in Shelf::OF_MAILDROP {
        assert_eq!(local.keys(shelf).await, ["2", "3"], "{shelf:?}");
    }
    // Somebody else has deleted the third.
    local.keep_only(&set(&["2", "4"])).await;
    for shelf in Shelf::OF_MAILDROP {
        assert_eq!(local.keys(shelf).await, ["2"], "{shelf:?}");
    }
    assert_eq!(local.keys(Shelf::Sent).await, ["1"]);
    local.forget_draft(&draft(1, 1).id).await;
    assert_eq!(drafts("forgotten").await.iter().map(Form::number).collect::<Vec<_>>(), [2]);
}

/// Somebody who has signed out and in again before still has the old one open, unless it was closed.
#[test]
async fn a_wiped_account_leaves_nothing_and_another_is_not_touched() {
    for account in ["wiped", "wiped2"] {
        let local = Local::open(account).await;
        local.keep_octets(Shelf::Messages, &items(&["1"])).await;
        local.keep_draft(&draft(1, 1)).await;
        local.leave_draft(&draft(1, 2));
    }
    Local::open("wiped").await.wipe().await;
    assert_eq!(last_words::left("pennypost/wiped"), []);
    assert_eq!(last_words::left("pennypost/wiped2"), [words(1, 2)]);
    let local = Local::open("wiped").await;
    for shelf in Shelf::ALL {
        assert_eq!(local.keys(shelf).await, [""; 0], "{shelf:?}");
    }
    let other = Local::open("wiped2").await;
    assert_eq!(other.message(Shelf::Messages, "1").await.as_deref(), Some(HEADER));
}

#[test]
async fn last_words_that_are_newer_win_and_keep_the_files() {
    let local = Local::open("newer").await;
    local.keep_draft(&draft(1, 1)).await;
    local.leave_draft(&draft(1, 2));
    local.leave_draft(&draft(2, 3));
    let expected = [Form { attachments: draft(1, 1).attachments, ..words(1, 2) }, words(2, 3)];
    assert_eq!(drafts("newer").await, expected);
    // The database has them now.
    assert_eq!(last_words::left("pennypost/newer"), []);
    assert_eq!(drafts("newer").await, expected);
}

#[test]
async fn last_words_that_are_older_are_forgotten() {
    let local = Local::open("older").await;
    for (number, left) in [(1, 4), (2, 5)] {
        local.keep_draft(&draft(number, 5)).await;
        local.leave_draft(&draft(number, left));
    }
    assert_eq!(drafts("older").await, [draft(1, 5), draft(2, 5)]);
    assert_eq!(last_words::left("pennypost/older"), []);
}

#[test]
async fn keeping_a_draft_ends_its_last_words_unless_they_are_newer() {
    let local = Local::open("ended").await;
    local.leave_draft(&draft(1, 2));
    local.keep_draft(&draft(1, 1)).await;
    assert_eq!(last_words::left("pennypost/ended"), [words(1, 2)]);
    local.keep_draft(&draft(1, 3)).await;
    assert_eq!(last_words::left("pennypost/ended"), []);
}

/// The other tab's deletion of the database, or the browser's, is not made to wait for this one.
#[test]
async fn a_database_that_is_taken_away_is_done_without() {
    let local = Local::open("taken").await;
    assert!(local.keep_octets(Shelf::Headers, &items(&["1"])).await);
    Factory::new().unwrap().delete("pennypost/taken").unwrap().await.unwrap();
    assert!(!local.keep_octets(Shelf::Headers, &items(&["2"])).await);
    assert!(!local.keep_draft(&draft(1, 1)).await);
    assert_eq!(local.message(Shelf::Headers, "1").await, None);
    local.forget(&Shelf::OF_MAILDROP, &["1".to_owned()]).await;
    let kept = local.load().await;
    assert!(kept.messages.is_empty() && kept.sent.is_empty() && kept.drafts.is_empty());
}
