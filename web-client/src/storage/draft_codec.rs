//! Drafts as JavaScript objects, for IndexedDB and as JSON.

use std::rc::Rc;

use chrono::DateTime;
use js_sys::{Array, Uint8Array};
use mail_core::message::address::Address;
use mail_core::message::draft::Attachment;
use mail_core::message::id::MessageId;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::model::draft_form::{DraftForm, Queue, Recipients};
use crate::model::rich_text::{Original, RichText};
use crate::platform::js::{self, property};
use crate::platform::rich_dom;

pub(super) fn encode(form: &DraftForm) -> JsValue {
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
    let original = form.rich.as_ref().and_then(|rich| rich.original.as_ref());
    js::object([
        ("changed", changed.into()),
        ("from", form.from.as_ref().map_or(JsValue::NULL, |from| from.to_string().into())),
        ("to", recipients(&form.to)),
        ("cc", recipients(&form.cc)),
        ("bcc", recipients(&form.bcc)),
        ("subject", form.subject.as_str().into()),
        ("body", form.body.as_str().into()),
        ("html", form.rich.as_ref().map_or(JsValue::NULL, |rich| rich.stored_html().into())),
        ("original", original.map_or(JsValue::NULL, |original| encode_original(original))),
        ("attachments", form.attachments.iter().map(|attachment| file(attachment)).collect::<Array>().into()),
        ("inReplyTo", in_reply_to.map_or(JsValue::NULL, JsValue::from)),
        ("references", strings(&ids).into()),
        ("unsure", form.maybe_delivered.into()),
        ("queued", form.is_queued().into()),
        ("waiting", form.is_in_outbox().into()),
    ])
    .into()
}

/// `None` for an object that [`encode`] did not write.
pub(super) fn decode(id: &str, value: &JsValue) -> Option<DraftForm> {
    let recipients =
        |name| Some(Recipients { chips: strings(&property(value, name)?), typed: String::new() });
    let flag = |name| property(value, name).and_then(|value| value.as_bool()).unwrap_or_default();
    let number = u128::from_str_radix(id, 16).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let changed = DateTime::from_timestamp_millis(property(value, "changed")?.as_f64()? as i64)?;
    Some(DraftForm {
        // Earlier versions did not store it.
        from: property(value, "from").and_then(|from| Address::parse(&from.as_string()?).ok()),
        to: recipients("to")?,
        cc: recipients("cc")?,
        bcc: recipients("bcc")?,
        subject: property(value, "subject")?.as_string()?,
        body: property(value, "body")?.as_string()?,
        rich: rich(value).map(Rc::new),
        attachments: list(&property(value, "attachments")?)
            .iter()
            .filter_map(attachment)
            .map(Rc::new)
            .collect(),
        in_reply_to: property(value, "inReplyTo")?.as_string().and_then(|id| MessageId::parse(&id)),
        references: strings(&property(value, "references")?)
            .iter()
            .filter_map(|id| MessageId::parse(id))
            .collect(),
        maybe_delivered: flag("unsure"),
        queue: match (flag("queued"), flag("waiting")) {
            // An earlier version marked a message of the outbox as waiting while it was being sent, and after a refusal.
            (false, _) => Queue::Draft,
            (true, false) => Queue::Held,
            (true, true) => Queue::Outbox,
        },
        ..DraftForm::new(number, changed)
    })
}

/// The document of a draft with formatting.
fn rich(value: &JsValue) -> Option<RichText> {
    let html = property(value, "html")?.as_string()?;
    let original = property(value, "original").and_then(|value| decode_original(&value));
    Some(RichText { blocks: rich_dom::stored_blocks(&html), original: original.map(Rc::new) })
}

fn encode_original(original: &Original) -> JsValue {
    js::object([
        ("html", original.html.as_str().into()),
        ("text", original.text.as_str().into()),
        ("forwarded", original.is_forwarded.into()),
    ])
    .into()
}

fn decode_original(value: &JsValue) -> Option<Original> {
    if value.is_null() {
        return None;
    }
    Some(Original {
        html: property(value, "html")?.as_string()?,
        text: property(value, "text")?.as_string()?,
        is_forwarded: property(value, "forwarded")?.as_bool()?,
    })
}

fn file(attachment: &Attachment) -> JsValue {
    js::object([
        ("name", attachment.name.as_str().into()),
        ("mime", attachment.mime.as_str().into()),
        ("contentId", attachment.content_id.as_deref().map_or(JsValue::NULL, JsValue::from)),
        ("bytes", Uint8Array::from(attachment.bytes.as_slice()).into()),
    ])
    .into()
}

fn attachment(value: &JsValue) -> Option<Attachment> {
    Some(Attachment {
        name: property(value, "name")?.as_string()?,
        mime: property(value, "mime")?.as_string()?,
        content_id: property(value, "contentId").and_then(|id| id.as_string()),
        content_location: None,
        bytes: property(value, "bytes")?.dyn_ref::<Uint8Array>()?.to_vec(),
    })
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
    use js_sys::{Object, Reflect};
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
            from: Address::parse("sales@iit.edu").ok(),
            to: Recipients { chips: vec!["gb@iit.edu".into(), "wrong".into()], typed: String::new() },
            subject: "Ünïcode".into(),
            body: "a\nb".into(),
            attachments: vec![Rc::new(attachment)],
            in_reply_to: MessageId::parse("<1@iit.edu>"),
            references: vec![MessageId::parse("<0@iit.edu>").unwrap()],
            maybe_delivered: true,
            queue: Queue::Outbox,
            ..DraftForm::new(u128::MAX - 5, DateTime::from_timestamp_millis(1_795_374_907_123).unwrap())
        };
        assert_eq!(decode(&draft.id, &encode(&draft)), Some(draft));
        let earlier = encode(&DraftForm::new(1, DateTime::UNIX_EPOCH));
        for name in ["from", "queued"] {
            Reflect::delete_property(earlier.unchecked_ref::<Object>(), &name.into()).unwrap();
        }
        assert_eq!(decode("1", &earlier).unwrap().from, None);
        // An earlier version left this mark on a message of the outbox that the server has refused.
        Reflect::set(&earlier, &"waiting".into(), &true.into()).unwrap();
        assert_eq!(decode("1", &earlier).unwrap().queue, Queue::Draft);
        assert_eq!(decode("x", &encode(&DraftForm::new(1, DateTime::UNIX_EPOCH))), None);
        assert_eq!(decode("1", &JsValue::NULL), None);
        assert_eq!(decode("1", &Object::new().into()), None);
    }
}
