//! Archive and labels of messages: objects in `filing`.

use std::collections::BTreeSet;

use js_sys::Array;
use wasm_bindgen::JsValue;

use super::settings::strings;
use super::{ObjectStore, Storage};
use crate::model::filing::Filing;
use crate::platform::js;

impl Storage {
    /// Returns whether they are stored.
    pub(crate) async fn put_filings(&self, filings: &[(String, Filing)]) -> bool {
        let store = ObjectStore::Filing.name();
        let entries: Vec<_> =
            filings.iter().map(|(id, filing)| (store, id.as_str(), encode(filing))).collect();
        self.database.put(&entries).await
    }

    /// All stored ones, sorted by unique-id.
    pub(crate) async fn filings(&self) -> Vec<(String, Filing)> {
        let entries = self.entries(ObjectStore::Filing).await.into_iter();
        entries.map(|(id, value)| (id, decode(&value))).collect()
    }
}

/// Union of both.
pub(super) fn merge(existing: &JsValue, old: &JsValue) -> JsValue {
    encode(&decode(existing).union(decode(old)))
}

fn encode(filing: &Filing) -> JsValue {
    let labels: Array = filing.labels.iter().map(JsValue::from).collect();
    js::object([("archived", filing.archived.into()), ("labels", labels.into())]).into()
}

fn decode(value: &JsValue) -> Filing {
    let archived = js::property(value, "archived").and_then(|value| value.as_bool()).unwrap_or_default();
    let labels: BTreeSet<String> = js::property(value, "labels")
        .map(|labels| strings(&labels).into_iter().collect())
        .unwrap_or_default();
    Filing { archived, labels }
}
