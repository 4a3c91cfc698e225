//! Addresses that a browser follows.

use js_sys::{Array, Function, Promise, Uint8Array};
use mail_core::message::draft::Attachment;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{BlobUrl, data_url};

/// The media type and the octets behind an address; nothing when there is nothing.
async fn fetched(address: &str) -> Option<(String, Vec<u8>)> {
    let fetch = "return fetch(address).then(async (answer) => { \
                 const blob = await answer.blob(); return [blob.type, new Uint8Array(await blob.arrayBuffer())] })";
    let fetch = Function::new_with_args("address", fetch).call1(&JsValue::NULL, &address.into()).unwrap();
    let answer: Array = JsFuture::from(fetch.unchecked_into::<Promise>()).await.ok()?.unchecked_into();
    Some((answer.get(0).as_string()?, answer.get(1).unchecked_into::<Uint8Array>().to_vec()))
}

fn file(mime: &str) -> Attachment {
    Attachment { name: "x".to_owned(), mime: mime.to_owned(), content_id: None, bytes: (0..=255).collect() }
}

#[test]
async fn what_is_saved_is_octets_and_nothing_that_a_browser_would_show() {
    let page = b"<script>alert(1)</script>";
    let saved = BlobUrl::to_save(page).unwrap();
    assert_eq!(fetched(saved.as_str()).await, Some(("application/octet-stream".to_owned(), page.to_vec())));
}

#[test]
async fn pictures_are_shown_and_nothing_else() {
    for mime in ["image/png", "image/jpeg", "image/gif", "image/webp"] {
        let picture = file(mime);
        let shown = BlobUrl::to_show(&picture).unwrap();
        assert_eq!(fetched(shown.as_str()).await, Some((mime.to_owned(), picture.bytes.clone())));
        assert_eq!(fetched(&data_url(&picture).unwrap()).await, Some((mime.to_owned(), picture.bytes)));
    }
    for mime in ["image/svg+xml", "text/html", "application/pdf", "IMAGE/PNG;x", ""] {
        assert_eq!((BlobUrl::to_show(&file(mime)), data_url(&file(mime))), (None, None), "{mime}");
    }
}

#[test]
async fn an_address_ends_with_its_value() {
    let saved = BlobUrl::to_save(b"x").unwrap();
    let address = saved.as_str().to_owned();
    assert!(fetched(&address).await.is_some());
    drop(saved);
    assert_eq!(fetched(&address).await, None);
}
