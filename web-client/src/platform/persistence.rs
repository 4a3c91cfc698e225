//! The size of the data that the page has stored in the browser, and the request to keep them.

use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::StorageManager;

use super::js;

/// Asks the browser not to delete the page's data to make room. It may ask the user.
pub(crate) async fn request() {
    if let Some(promise) = storage().and_then(|storage| storage.persist().ok()) {
        // If it is refused, the data stays until the browser needs the room.
        let _ = JsFuture::from(promise).await;
    }
}

/// Octets that the page has stored, as estimated by the browser.
pub(crate) async fn usage() -> Option<u64> {
    let estimate = JsFuture::from(storage()?.estimate().ok()?).await.ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let octets = js::property(&estimate, "usage")?.as_f64()? as u64;
    Some(octets)
}

fn storage() -> Option<StorageManager> {
    // Undefined on insecure pages, contrary to the declared type.
    let navigator: JsValue = web_sys::window()?.navigator().into();
    js::property(&navigator, "storage")?.dyn_into().ok()
}
