//! Draft backups in a browser's `localStorage`.

use std::rc::Rc;

use chrono::DateTime;
use mail_core::message::draft::Attachment;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{delete, delete_all, delete_older, load_all, store};
use crate::model::draft_form::{DraftForm, Recipients};
use crate::platform::web_storage::LOCAL;

/// A draft, changed at this second.
fn draft(number: u128, second: i64) -> DraftForm {
    DraftForm {
        to: Recipients { chips: vec!["gb@iit.edu".to_owned()], typed: String::new() },
        subject: format!("Draft {number}"),
        body: format!("As of {second}\n\u{1f4ee}"),
        ..DraftForm::new(number, DateTime::from_timestamp(second, 0).unwrap())
    }
}

#[test]
fn backup_is_loaded_without_attachments() {
    let bytes = vec![7; 1_000];
    let file = Attachment {
        name: "x.bin".into(),
        mime: "image/png".into(),
        content_id: None,
        content_location: None,
        bytes,
    };
    let text = draft(1, 1);
    store("backup/found", &DraftForm { attachments: vec![Rc::new(file)], ..text.clone() });
    assert_eq!(load_all("backup/found"), [text]);
}

#[test]
fn backup_includes_typed_recipients() {
    let mut form = draft(1, 1);
    form.to.typed = "ag@iit".to_owned();
    store("backup/typed", &form);
    assert_eq!(load_all("backup/typed")[0].to.chips, ["gb@iit.edu", "ag@iit"]);
}

#[test]
fn older_backup_is_deleted() {
    store("backup/older", &draft(1, 5));
    delete_older("backup/older", &draft(1, 4));
    delete_older("backup/older", &draft(2, 9));
    assert_eq!(load_all("backup/older"), [draft(1, 5)]);
    delete_older("backup/older", &draft(1, 5));
    assert_eq!(load_all("backup/older"), []);
}

#[test]
fn accounts_are_separate() {
    for (database, number) in [("backup/gb", 1), ("backup/gb", 2), ("backup/gb2", 3), ("backup/gb/x", 4)] {
        store(database, &draft(number, 1));
    }
    let numbers = |database| {
        let mut numbers: Vec<_> = load_all(database).iter().map(DraftForm::number).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("backup/gb"), [1, 2]);
    delete("backup/gb", &draft(1, 1).id);
    assert_eq!(numbers("backup/gb"), [2]);
    delete_all("backup/gb");
    assert_eq!(
        (numbers("backup/gb"), numbers("backup/gb2"), numbers("backup/gb/x")),
        (vec![], vec![3], vec![4])
    );
}

#[test]
fn malformed_backup_is_ignored() {
    let id = draft(1, 1).id;
    for (key, value) in
        [(id.as_str(), "{"), ("x", "{}"), ("", "null"), ("00ff", "[1]"), ("0", "{\"changed\":\"x\"}")]
    {
        LOCAL.set(&format!("backup/odd/{key}"), value);
    }
    assert_eq!(load_all("backup/odd"), []);
}
