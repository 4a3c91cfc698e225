//! `sessionStorage`, which lasts as long as the tab. Without it, every function does nothing.

use web_sys::Storage;

pub(crate) fn set(key: &str, value: &str) {
    if let Some(storage) = storage() {
        // The quota may be exceeded.
        let _ = storage.set_item(key, value);
    }
}

pub(crate) fn value(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

pub(crate) fn remove(key: &str) {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(key);
    }
}

fn storage() -> Option<Storage> {
    web_sys::window()?.session_storage().ok()?
}
