//! Properties of JavaScript objects.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// A new object with these properties.
pub(crate) fn object<const N: usize>(properties: [(&str, JsValue); N]) -> Object {
    let object = Object::new();
    for (name, value) in &properties {
        // A new object accepts every property.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object
}

/// `None` if the property is undefined or `object` is no object.
pub(crate) fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}
