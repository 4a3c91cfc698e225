//! Blob and data URLs, fetched by the browser.

use js_sys::{Array, Function, Promise, Uint8Array};
use mail_core::message::draft::Attachment;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{BlobUrl, data_url};

/// The media type and content of a URL, or `None` if it cannot be fetched.
async fn fetched(url: &str) -> Option<(String, Vec<u8>)> {
    let fetch = "return fetch(url).then(async (answer) => { \
                 const blob = await answer.blob(); return [blob.type, new Uint8Array(await blob.arrayBuffer())] })";
    let fetch = Function::new_with_args("url", fetch).call1(&JsValue::NULL, &url.into()).unwrap();
    let answer: Array = JsFuture::from(fetch.unchecked_into::<Promise>()).await.ok()?.unchecked_into();
    Some((answer.get(0).as_string()?, answer.get(1).unchecked_into::<Uint8Array>().to_vec()))
}

fn file(mime: &str, start: &[u8]) -> Attachment {
    let bytes = start.iter().copied().chain(0..=255).collect();
    Attachment {
        name: "x".to_owned(),
        mime: mime.to_owned(),
        content_id: None,
        content_location: None,
        bytes,
    }
}

#[test]
async fn download_url_is_an_octet_stream() {
    let page = b"<script>alert(1)</script>";
    let saved = BlobUrl::for_download(page).unwrap();
    assert_eq!(fetched(saved.as_str()).await, Some(("application/octet-stream".to_owned(), page.to_vec())));
}

#[test]
async fn image_urls_exist_only_for_image_types() {
    for (start, mime) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFFsizeWEBP", "image/webp"),
    ] {
        for declared in [mime, "image/x-other", "application/octet-stream"] {
            let image = file(declared, start);
            let shown = BlobUrl::for_image(&image).unwrap();
            assert_eq!(fetched(shown.as_str()).await, Some((mime.to_owned(), image.bytes.clone())));
            assert_eq!(fetched(&data_url(&image).unwrap()).await, Some((mime.to_owned(), image.bytes)));
        }
    }
    for (start, mime) in [
        (&b"<svg xmlns='http://www.w3.org/2000/svg'>"[..], "image/svg+xml"),
        (b"<!doctype html>", "image/png"),
        (b"", "image/gif"),
    ] {
        let other = file(mime, start);
        assert_eq!((BlobUrl::for_image(&other), data_url(&other)), (None, None), "{mime}");
    }
}

#[test]
async fn url_is_revoked_on_drop() {
    let saved = BlobUrl::for_download(b"x").unwrap();
    let url = saved.as_str().to_owned();
    assert!(fetched(&url).await.is_some());
    drop(saved);
    assert_eq!(fetched(&url).await, None);
}
