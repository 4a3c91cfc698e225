//! Saves files.

use js_sys::{Array, Uint8Array};
use mail_core::time::Duration;
use wasm_bindgen::JsCast as _;
use web_sys::HtmlAnchorElement;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::blob_url::BlobUrl;
use super::dom;

/// Time for the browser to read the file, for which no event exists.
const READ_TIME: Duration = Duration::from_secs(60);

/// Opens a PDF in a new tab, with the viewer of the browser. Because of the media type, the browser does not run it as HTML.
pub(crate) fn open_pdf(bytes: &Uint8Array) {
    let Some(url) = BlobUrl::for_pdf(bytes) else { return };
    if let Some(window) = web_sys::window() {
        // A browser may block the tab; the file can be saved.
        let _ = window.open_with_url_and_target_and_features(url.as_str(), "_blank", "noopener");
    }
    keep(url);
}

/// Saves a file that consists of these `Uint8Array`s. Returns whether the browser accepts it.
pub(crate) fn save(name: &str, parts: &Array) -> bool {
    let link = dom::document().and_then(|document| document.create_element("a").ok());
    let link = link.and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok());
    let (Some(link), Some(url)) = (link, BlobUrl::of_parts(parts)) else { return false };
    link.set_href(url.as_str());
    link.set_download(name);
    link.click();
    keep(url);
    true
}

fn keep(url: BlobUrl) {
    spawn_local(async move {
        sleep(READ_TIME).await;
        drop(url);
    });
}
