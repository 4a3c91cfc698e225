//! How drafts and marks lie in the browser's database.

use std::rc::Rc;

use chrono::DateTime;
use js_sys::{Array, Object, Reflect, Uint8Array};
use mail_core::message::draft::Attachment;
use mail_core::message::id::MessageId;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::form::{Form, Recipients};

pub(crate) fn mark(read: bool, starred: bool) -> f64 {
    f64::from(u8::from(read) | u8::from(starred) << 1)
}

pub(crate) fn read_and_starred(mark: f64) -> (bool, bool) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let mark = mark as u8;
    (mark & 1 != 0, mark & 2 != 0)
}

pub(crate) fn value(form: &Form) -> JsValue {
    let object = Object::new();
    let strings = |strings: &[String]| strings.iter().map(JsValue::from).collect::<Array>();
    let recipients = |recipients: &Recipients| {
        let mut settled = recipients.clone();
        settled.settle();
        strings(&settled.chips).into()
    };
    let ids: Vec<_> = form.references.iter().map(ToString::to_string).collect();
    let answered = form.in_reply_to.as_ref().map(ToString::to_string);
    #[expect(clippy::cast_precision_loss, reason = "the years in question are exact in a double")]
    let changed = form.changed.timestamp_millis() as f64;
    for (name, value) in [
        ("changed", changed.into()),
        ("to", recipients(&form.to)),
        ("cc", recipients(&form.cc)),
        ("bcc", recipients(&form.bcc)),
        ("subject", form.subject.as_str().into()),
        ("body", form.body.as_str().into()),
        ("attachments", form.attachments.iter().map(|attachment| file(attachment)).collect::<Array>().into()),
        ("inReplyTo", answered.map_or(JsValue::NULL, JsValue::from)),
        ("references", strings(&ids).into()),
        ("unsure", form.unsure.into()),
    ] {
        put(&object, name, &value);
    }
    object.into()
}

/// `None` when it is no draft of this version.
pub(crate) fn form(id: &str, value: &JsValue) -> Option<Form> {
    let recipients = |name| Some(Recipients { chips: strings(&get(value, name)?), typed: String::new() });
    let number = u128::from_str_radix(id, 16).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let changed = DateTime::from_timestamp_millis(get(value, "changed")?.as_f64()? as i64)?;
    Some(Form {
        to: recipients("to")?,
        cc: recipients("cc")?,
        bcc: recipients("bcc")?,
        subject: get(value, "subject")?.as_string()?,
        body: get(value, "body")?.as_string()?,
        attachments: list(&get(value, "attachments")?).iter().filter_map(attachment).map(Rc::new).collect(),
        in_reply_to: get(value, "inReplyTo")?.as_string().and_then(|id| MessageId::parse(&id)),
        references: strings(&get(value, "references")?)
            .iter()
            .filter_map(|id| MessageId::parse(id))
            .collect(),
        unsure: get(value, "unsure").and_then(|unsure| unsure.as_bool()).unwrap_or_default(),
        ..Form::new(number, changed)
    })
}

fn file(attachment: &Attachment) -> JsValue {
    let object = Object::new();
    put(&object, "name", &attachment.name.as_str().into());
    put(&object, "mime", &attachment.mime.as_str().into());
    put(&object, "bytes", &Uint8Array::from(attachment.bytes.as_slice()).into());
    object.into()
}

fn attachment(value: &JsValue) -> Option<Attachment> {
    Some(Attachment {
        name: get(value, "name")?.as_string()?,
        mime: get(value, "mime")?.as_string()?,
        content_id: None,
        bytes: get(value, "bytes")?.dyn_ref::<Uint8Array>()?.to_vec(),
    })
}

fn put(object: &Object, name: &str, value: &JsValue) {
    // A new object takes every property.
    let _ = Reflect::set(object, &name.into(), value);
}

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}

fn list(value: &JsValue) -> Vec<JsValue> {
    value.dyn_ref::<Array>().map(|array| array.iter().collect()).unwrap_or_default()
}

fn strings(value: &JsValue) -> Vec<String> {
    list(value).iter().filter_map(JsValue::as_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn marks_are_read_as_they_were_written() {
        for (read, starred) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(read_and_starred(mark(read, starred)), (read, starred));
        }
        assert_eq!(read_and_starred(f64::NAN), (false, false));
    }

    /// Values of JavaScript are there on WebAssembly only.
    #[cfg(target_arch = "wasm32")]
    #[test]
    fn a_draft_is_read_as_it_was_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        let attachment =
            Attachment { name: "ö.bin".into(), mime: "image/png".into(), content_id: None, bytes };
        let draft = Form {
            to: Recipients { chips: vec!["gb@iit.edu".into(), "wrong".into()], typed: String::new() },
            subject: "Ünïcode".into(),
            body: "a\nb".into(),
            attachments: vec![Rc::new(attachment)],
            in_reply_to: MessageId::parse("<1@iit.edu>"),
            references: vec![MessageId::parse("<0@iit.edu>").unwrap()],
            unsure: true,
            ..Form::new(u128::MAX - 5, DateTime::from_timestamp_millis(1_795_374_907_123).unwrap())
        };
        assert_eq!(form(&draft.id, &value(&draft)), Some(draft));
        assert_eq!(form("x", &value(&Form::new(1, DateTime::UNIX_EPOCH))), None);
        assert_eq!(form("1", &JsValue::NULL), None);
        assert_eq!(form("1", &Object::new().into()), None);
    }
}
