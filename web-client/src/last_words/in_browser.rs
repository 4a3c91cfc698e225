//! In a browser's own storage.

use std::rc::Rc;

use chrono::DateTime;
use mail_core::message::draft::Attachment;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{forget, forget_all, kept, leave, left, storage};
use crate::form::{Form, Recipients};

/// Of a draft of this number, as it was at this second.
fn draft(number: u128, second: i64) -> Form {
    Form {
        to: Recipients { chips: vec!["gb@iit.edu".to_owned()], typed: String::new() },
        subject: format!("Draft {number}"),
        body: format!("As of {second}\n\u{1f4ee}"),
        ..Form::new(number, DateTime::from_timestamp(second, 0).unwrap())
    }
}

#[test]
fn what_is_left_is_found_without_its_files() {
    let bytes = vec![7; 1_000];
    let file = Attachment { name: "x.bin".into(), mime: "image/png".into(), content_id: None, bytes };
    let text = draft(1, 1);
    leave("words/found", &Form { attachments: vec![Rc::new(file)], ..text.clone() });
    assert_eq!(left("words/found"), [text]);
}

/// What stands in the last field is typed, and not a chip yet.
#[test]
fn what_is_being_typed_is_left_too() {
    let mut form = draft(1, 1);
    form.to.typed = "ag@iit".to_owned();
    leave("words/typed", &form);
    assert_eq!(left("words/typed")[0].to.chips, ["gb@iit.edu", "ag@iit"]);
}

#[test]
fn what_was_kept_later_is_needed_no_more() {
    leave("words/kept", &draft(1, 5));
    kept("words/kept", &draft(1, 4));
    kept("words/kept", &draft(2, 9));
    assert_eq!(left("words/kept"), [draft(1, 5)]);
    kept("words/kept", &draft(1, 5));
    assert_eq!(left("words/kept"), []);
}

#[test]
fn each_account_has_its_own() {
    for (database, number) in [("words/gb", 1), ("words/gb", 2), ("words/gb2", 3), ("words/gb/x", 4)] {
        leave(database, &draft(number, 1));
    }
    let numbers = |database| {
        let mut numbers: Vec<_> = left(database).iter().map(Form::number).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("words/gb"), [1, 2]);
    forget("words/gb", &draft(1, 1).id);
    assert_eq!(numbers("words/gb"), [2]);
    forget_all("words/gb");
    assert_eq!(
        (numbers("words/gb"), numbers("words/gb2"), numbers("words/gb/x")),
        (vec![], vec![3], vec![4])
    );
}

#[test]
fn what_is_no_draft_is_passed_over() {
    let storage = storage().expect("the browser has one");
    let id = draft(1, 1).id;
    for (key, value) in
        [(id.as_str(), "{"), ("x", "{}"), ("", "null"), ("00ff", "[1]"), ("0", "{\"changed\":\"x\"}")]
    {
        storage.set_item(&format!("words/odd/{key}"), value).unwrap();
    }
    assert_eq!(left("words/odd"), []);
}
