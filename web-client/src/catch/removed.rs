//! The elements and attributes that DOMPurify removed in its last call.

use std::collections::BTreeMap;

use js_sys::{Array, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::Node;

/// Kinds of removals that are listed.
const KINDS_MAX: usize = 100;

/// Descriptions such as `<script>` or `onclick of <p>`, with their numbers.
pub(crate) fn last_removed() -> Vec<(String, usize)> {
    let global: JsValue = js_sys::global().into();
    let removed = property(&property(&global, "DOMPurify"), "removed");
    if !Array::is_array(&removed) {
        return Vec::new();
    }
    let mut kinds = BTreeMap::new();
    for entry in Array::from(&removed).iter() {
        let Some(kind) = description(&entry) else { continue };
        if kinds.len() < KINDS_MAX || kinds.contains_key(&kind) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    kinds.into_iter().collect()
}

fn description(entry: &JsValue) -> Option<String> {
    let name = |node: &JsValue| node.dyn_ref::<Node>().map(|node| node.node_name().to_lowercase());
    if let Some(element) = name(&property(entry, "element")) {
        // Comments are not shown anyway, DOMPurify adds an element of its own, and style sheets are filtered separately.
        return (!element.starts_with('#') && !matches!(element.as_str(), "remove" | "style"))
            .then(|| format!("<{element}>"));
    }
    let attribute = property(&property(entry, "attribute"), "name").as_string()?;
    let element = name(&property(entry, "from"))?;
    Some(format!("{attribute} of <{element}>"))
}

fn property(value: &JsValue, name: &str) -> JsValue {
    // Fails for values that are not objects.
    Reflect::get(value, &name.into()).unwrap_or(JsValue::UNDEFINED)
}
