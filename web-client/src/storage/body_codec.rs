//! Texts of messages as JavaScript values.

use wasm_bindgen::JsValue;

use crate::model::message::BodyIndex;
use crate::platform::{js, text};

pub(super) struct StoredBody {
    pub(super) index: BodyIndex,
    /// Version 3 stored only the text in lower case. The snippet is missing.
    pub(super) is_outdated: bool,
}

pub(super) fn encode(body: &BodyIndex) -> JsValue {
    let properties = [("searchText", &body.search_text), ("snippet", &body.snippet)];
    js::object(properties.map(|(name, value)| (name, JsValue::from(&**value)))).into()
}

pub(super) fn decode(value: &JsValue) -> Option<StoredBody> {
    if let Some(text) = value.as_string() {
        let index = BodyIndex { search_text: text::fold(&text).into(), ..BodyIndex::default() };
        return Some(StoredBody { index, is_outdated: true });
    }
    let string = |name: &str| Some(js::property(value, name)?.as_string()?.into());
    let index = BodyIndex { search_text: string("searchText")?, snippet: string("snippet")? };
    Some(StoredBody { index, is_outdated: false })
}
