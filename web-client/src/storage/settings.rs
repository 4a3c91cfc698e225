//! The settings of an account: an object in `profile`.

use js_sys::Array;
use wasm_bindgen::{JsCast as _, JsValue};

use super::{ObjectStore, Storage};
use crate::model::settings::{LIST_WIDTH_MAX, LIST_WIDTH_MIN, Settings};
use crate::platform::js;

const SETTINGS: &str = "settings";

impl Storage {
    /// The stored settings; `None` if there are none.
    pub(crate) async fn settings(&self) -> Option<Settings> {
        let value = self.database.value(ObjectStore::Profile.name(), SETTINGS).await.ok()??;
        Some(decode(&value))
    }

    /// Adds the changes from `before` to `after` to the stored settings, which other tabs may have changed. Returns the stored ones;
    /// `None` if they cannot be stored.
    pub(crate) async fn change_settings(&self, before: &Settings, after: &Settings) -> Option<Settings> {
        let mut changed = None;
        let change = |stored: Option<&JsValue>| {
            let stored = stored.map_or_else(|| before.clone(), decode);
            Some(encode(changed.insert(stored.with_changes(before, after))))
        };
        let is_stored = self.database.replace(ObjectStore::Profile.name(), SETTINGS, change).await;
        changed.filter(|_| is_stored.is_ok_and(|is_stored| is_stored))
    }
}

fn encode(settings: &Settings) -> JsValue {
    #[expect(clippy::cast_precision_loss, reason = "realistic sizes are exact in a double")]
    let offline_octets = settings.offline_octets as f64;
    js::object([
        ("name", JsValue::from(&settings.name)),
        ("signature", JsValue::from(&settings.signature)),
        ("offlineOctets", offline_octets.into()),
        ("undoSendSeconds", settings.undo_send_seconds.into()),
        ("conversations", settings.conversations.into()),
        ("plainText", settings.plain_text.into()),
        ("compact", settings.compact.into()),
        ("listWidth", settings.list_width.into()),
        ("imagesFrom", settings.images_from.iter().map(JsValue::from).collect::<Array>().into()),
    ])
    .into()
}

fn decode(value: &JsValue) -> Settings {
    let default = Settings::default();
    let property = |name: &str| js::property(value, name);
    let string = |name: &str| property(name).and_then(|value| value.as_string());
    let number = |name: &str| property(name).and_then(|value| value.as_f64());
    let flag = |name: &str| property(name).and_then(|value| value.as_bool());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    Settings {
        name: string("name").unwrap_or(default.name),
        signature: string("signature").unwrap_or(default.signature),
        offline_octets: number("offlineOctets").map_or(default.offline_octets, |octets| octets as u64),
        undo_send_seconds: number("undoSendSeconds")
            .map_or(default.undo_send_seconds, |seconds| seconds as u32),
        conversations: flag("conversations").unwrap_or(default.conversations),
        plain_text: flag("plainText").unwrap_or(default.plain_text),
        compact: flag("compact").unwrap_or(default.compact),
        list_width: number("listWidth")
            .map_or(default.list_width, |width| (width as u32).clamp(LIST_WIDTH_MIN, LIST_WIDTH_MAX)),
        images_from: property("imagesFrom").map_or(default.images_from, |senders| strings(&senders)),
    }
}

pub(super) fn strings(value: &JsValue) -> Vec<String> {
    let strings = value.dyn_ref::<Array>().into_iter().flat_map(|array| array.iter());
    strings.filter_map(|string| string.as_string()).collect()
}

/// JavaScript values exist on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use js_sys::Object;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn settings_round_trip_and_missing_ones_have_defaults() {
        let settings = Settings {
            name: "Åg".to_owned(),
            signature: "A\nB".to_owned(),
            offline_octets: 0,
            undo_send_seconds: 30,
            conversations: false,
            plain_text: true,
            compact: true,
            list_width: 500,
            images_from: vec!["ag@iit.edu".to_owned()],
        };
        assert_eq!(decode(&encode(&settings)), settings);
        assert_eq!(decode(&Object::new().into()), Settings::default());
        assert_eq!(decode(&JsValue::NULL), Settings::default());
    }
}
