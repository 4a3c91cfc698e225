//! `localStorage`, and `sessionStorage`, which lasts as long as the tab. Without them, as in some private windows, every
//! function does nothing.

use wasm_bindgen::JsValue;
use web_sys::{Storage, Window};

pub(crate) const LOCAL: WebStorage = WebStorage(Window::local_storage);
pub(crate) const SESSION: WebStorage = WebStorage(Window::session_storage);

pub(crate) struct WebStorage(fn(&Window) -> Result<Option<Storage>, JsValue>);

impl WebStorage {
    pub(crate) fn set(&self, key: &str, value: &str) {
        if let Some(storage) = self.storage() {
            // The quota may be exceeded.
            let _ = storage.set_item(key, value);
        }
    }

    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.storage()?.get_item(key).ok()?
    }

    pub(crate) fn remove(&self, key: &str) {
        if let Some(storage) = self.storage() {
            let _ = storage.remove_item(key);
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let Some(storage) = self.storage() else { return Vec::new() };
        (0..storage.length().unwrap_or_default()).filter_map(|index| storage.key(index).ok()?).collect()
    }

    fn storage(&self) -> Option<Storage> {
        (self.0)(&web_sys::window()?).ok()?
    }
}
