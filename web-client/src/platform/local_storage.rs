//! `localStorage`. Without it, as in some private windows, every function does nothing.

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

pub(crate) fn keys() -> Vec<String> {
    let Some(storage) = storage() else { return Vec::new() };
    (0..storage.length().unwrap_or_default()).filter_map(|index| storage.key(index).ok()?).collect()
}

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}
