//! JSON, parsed by the browser. Missing values are empty, so that an answer of another version is still drawn.

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

#[derive(Clone, Debug)]
pub(super) struct Json(JsValue);

impl Json {
    pub(super) fn parse(text: &str) -> Option<Self> {
        js_sys::JSON::parse(text).ok().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Self {
        // Fails for values that are not objects.
        Self(Reflect::get(&self.0, &name.into()).unwrap_or(JsValue::UNDEFINED))
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<String> {
        self.get(name).0.as_string()
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.get(name).0.as_f64()
    }

    /// A count; 0 if it is missing.
    pub(super) fn count(&self, name: &str) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let count = self.number(name).unwrap_or_default() as usize;
        count
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).0.is_truthy()
    }

    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        let value = self.get(name).0;
        if Array::is_array(&value) { Array::from(&value).iter().map(Self).collect() } else { Vec::new() }
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).into_iter().filter_map(|value| value.0.as_string()).collect()
    }

    /// The names of the values of an object.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.0.dyn_ref::<Object>().map(Object::keys);
        names.into_iter().flatten().filter_map(|name| name.as_string()).collect()
    }
}
