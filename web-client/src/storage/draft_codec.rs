//! Drafts as JavaScript objects, for IndexedDB and as JSON.

use std::rc::Rc;

use chrono::DateTime;
use js_sys::{Array, Object, Reflect, Uint8Array};
use mail_core::message::draft::Attachment;
use mail_core::message::id::MessageId;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::model::draft_form::{DraftForm, Recipients};

pub(super) fn encode(form: &DraftForm) -> JsValue {
    let object = Object::new();
    let strings = |strings: &[String]| strings.iter().map(JsValue::from).collect::<Array>();
    let recipients = |recipients: &Recipients| {
        let mut recipients = recipients.clone();
        recipients.commit_typed();
        strings(&recipients.chips).into()
    };
    let ids: Vec<_> = form.references.iter().map(ToString::to_string).collect();
    let in_reply_to = form.in_reply_to.as_ref().map(ToString::to_string);
    #[expect(clippy::cast_precision_loss, reason = "realistic dates are exact in a double")]
    let changed = form.changed.timestamp_millis() as f64;
    for (name, value) in [
        ("changed", changed.into()),
        ("to", recipients(&form.to)),
        ("cc", recipients(&form.cc)),
        ("bcc", recipients(&form.bcc)),
        ("subject", form.subject.as_str().into()),
        ("body", form.body.as_str().into()),
        ("attachments", form.attachments.iter().map(|attachment| file(attachment)).collect::<Array>().into()),
        ("inReplyTo", in_reply_to.map_or(JsValue::NULL, JsValue::from)),
        ("references", strings(&ids).into()),
        ("unsure", form.maybe_delivered.into()),
        ("queued", form.queued.into()),
    ] {
        put(&object, name, &value);
    }
    object.into()
}

/// `None` for an object that [`encode`] did not write.
pub(super) fn decode(id: &str, value: &JsValue) -> Option<DraftForm> {
    let recipients = |name| Some(Recipients { chips: strings(&get(value, name)?), typed: String::new() });
    let number = u128::from_str_radix(id, 16).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let changed = DateTime::from_timestamp_millis(get(value, "changed")?.as_f64()? as i64)?;
    Some(DraftForm {
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
        maybe_delivered: get(value, "unsure").and_then(|value| value.as_bool()).unwrap_or_default(),
        queued: get(value, "queued").and_then(|value| value.as_bool()).unwrap_or_default(),
        ..DraftForm::new(number, changed)
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
        content_location: None,
        bytes: get(value, "bytes")?.dyn_ref::<Uint8Array>()?.to_vec(),
    })
}

fn put(object: &Object, name: &str, value: &JsValue) {
    // A new object accepts every property.
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

/// JavaScript values exist on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn draft_round_trips() {
        let bytes: Vec<u8> = (0..=255).collect();
        let attachment = Attachment {
            name: "ö.bin".into(),
            mime: "image/png".into(),
            content_id: None,
            content_location: None,
            bytes,
        };
        let draft = DraftForm {
            to: Recipients { chips: vec!["gb@iit.edu".into(), "wrong".into()], typed: String::new() },
            subject: "Ünïcode".into(),
            body: "a\nb".into(),
            attachments: vec![Rc::new(attachment)],
            in_reply_to: MessageId::parse("<1@iit.edu>"),
            references: vec![MessageId::parse("<0@iit.edu>").unwrap()],
            maybe_delivered: true,
            queued: true,
            ..DraftForm::new(u128::MAX - 5, DateTime::from_timestamp_millis(1_795_374_907_123).unwrap())
        };
        assert_eq!(decode(&draft.id, &encode(&draft)), Some(draft));
        assert_eq!(decode("x", &encode(&DraftForm::new(1, DateTime::UNIX_EPOCH))), None);
        assert_eq!(decode("1", &JsValue::NULL), None);
        assert_eq!(decode("1", &Object::new().into()), None);
    }
}
