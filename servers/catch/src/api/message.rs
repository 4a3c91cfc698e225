//! One message in Mailpit's shapes: details, header, source and parts; its text and its HTML for a browser.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};

use super::params::Params;
use super::shapes::{Details, canonical_name};
use super::{Api, ApiError, blocking, ok_json};
use crate::content::{Content, File};
use crate::store::Message;

/// Blocks scripts and all requests except inline images, and gives the document an opaque origin.
const MAIL_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
);
/// Total size of the inline files in the HTML of a message, in octets. Each reference counts; references over the limit stay unchanged.
const INLINE_OCTETS_MAX: usize = 32 << 20;
/// References to inline files that are replaced.
const REFERENCES_MAX: usize = 10_000;

/// Runs `read` on the octets of a message.
pub(super) async fn with_octets<T: Send + 'static>(
    api: &Arc<Api>,
    message: &Arc<Message>,
    read: impl FnOnce(&Message, &[u8]) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let message = Arc::clone(message);
    let result = blocking(api, move |api| {
        let octets = api.store().files().read(&message.id)?;
        Some(read(&message, &octets))
    });
    result.await?.ok_or(ApiError::NotFound)
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let details = with_octets(&api, &message, Details::of).await?;
    api.store().update(&message, |state| state.read = true);
    Ok(ok_json(&details))
}

pub(super) async fn headers(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let headers = with_octets(&api, &message, |_, octets| Content::parse(octets).raw_headers()).await?;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        values.entry(canonical_name(&name)).or_default().push(value);
    }
    Ok(ok_json(&values))
}

pub(super) async fn raw(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let octets = with_octets(&api, &message, |_, octets| octets.to_vec()).await?;
    let mut response = ([(CONTENT_TYPE, "text/plain; charset=utf-8")], octets).into_response();
    if Params::parse(query.as_deref()).get("dl") == Some("1") {
        let disposition = format!("attachment; filename=\"{}.eml\"", message.id);
        response.headers_mut().insert(CONTENT_DISPOSITION, header_value(&disposition));
    }
    Ok(response)
}

pub(super) async fn part(
    State(api): State<Arc<Api>>,
    Path((id, part)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let file = with_octets(&api, &message, move |_, octets| Content::parse(octets).part(&part)).await?;
    let File { name, media_type, octets, .. } = file.ok_or(ApiError::NotFound)?;
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let headers = [
        (CONTENT_TYPE, header_value(&media_type)),
        (CONTENT_DISPOSITION, header_value(&format!("inline; filename=\"{}\"", name.replace('+', "%20")))),
        (CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    Ok((headers, octets).into_response())
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// `/view/ID.html` and `/view/ID.txt`.
pub(super) async fn view(
    State(api): State<Arc<Api>>,
    Path(file): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (id, is_html) = match file.rsplit_once('.') {
        Some((id, "html")) => (id, true),
        Some((id, "txt")) => (id, false),
        _ => return Err(ApiError::NotFound),
    };
    let message = api.find(id, uri.query()).await?;
    let (text, html) = with_octets(&api, &message, move |_, octets| {
        let content = Content::parse(octets);
        let (text, html) = content.texts();
        let html = if is_html { with_inline_files(&html, &content.files()) } else { html };
        (text, html)
    })
    .await?;
    if !is_html {
        return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    if html.is_empty() {
        let text = "This message does not contain a HTML part";
        return Ok(super::error_response(StatusCode::NOT_FOUND, text, None));
    }
    let headers: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    Ok((headers, html).into_response())
}

/// Replaces references to inline files (RFC 2392) with `data:` URLs, because the sandboxed document cannot make requests.
fn with_inline_files(html: &str, files: &[File]) -> String {
    static REFERENCE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?i)\bcid:([^\s"'<>()]+)"#).expect("the pattern is valid"));
    let mut inline = InlineFiles::new(files);
    let replaced = REFERENCE.replace_all(html, |reference: &Captures<'_>| {
        inline.data_url(&reference[1]).map_or_else(|| reference[0].to_owned(), str::to_owned)
    });
    replaced.into_owned()
}

/// The files of a message by their Content-IDs. Each is encoded once, when it is needed.
struct InlineFiles<'a> {
    files: HashMap<&'a str, &'a File>,
    encoded: HashMap<&'a str, String>,
    octets_left: usize,
    references_left: usize,
}

impl<'a> InlineFiles<'a> {
    fn new(files: &'a [File]) -> Self {
        // The first of several files with the same Content-ID is used.
        let named = files.iter().rev().map(|file| (file.content_id.as_str(), file));
        Self {
            files: named.filter(|(content_id, _)| !content_id.is_empty()).collect(),
            encoded: HashMap::new(),
            octets_left: INLINE_OCTETS_MAX,
            references_left: REFERENCES_MAX,
        }
    }

    /// The URL of the file with this Content-ID, which may be percent-encoded, or have an encoded ampersand.
    fn data_url(&mut self, content_id: &str) -> Option<&str> {
        self.references_left = self.references_left.checked_sub(1)?;
        let unescaped = content_id.replace("&amp;", "&");
        let decoded = percent_decode_str(&unescaped).decode_utf8_lossy();
        let file = *self.files.get(content_id).or_else(|| self.files.get(&*decoded))?;
        self.octets_left = self.octets_left.checked_sub(file.octets.len())?;
        Some(self.encoded.entry(&file.content_id).or_insert_with(|| encode(file)))
    }
}

fn encode(file: &File) -> String {
    // Other characters could end the URL.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "/.+-_".contains(c);
    let media_type =
        if file.media_type.chars().all(is_token) { &*file.media_type } else { "application/octet-stream" };
    format!("data:{media_type};base64,{}", STANDARD.encode(&file.octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content_id: &str, octets: &[u8]) -> File {
        File {
            part_id: "1".to_owned(),
            name: String::new(),
            media_type: "image/gif".to_owned(),
            content_id: content_id.to_owned(),
            is_inline: true,
            octets: octets.to_vec(),
        }
    }

    #[test]
    fn references_become_data_urls_by_their_whole_content_id() {
        let files = [file("img1", b"1"), file("img10", b"10"), file("a&b@c", b"c"), file("", b"none")];
        for (html, expected) in [
            (
                "<img src=cid:img1><img src=\"cid:img10\">",
                "<img src=data:image/gif;base64,MQ==><img src=\"data:image/gif;base64,MTA=\">",
            ),
            (
                "<p style='background:url(CID:img1)'>",
                "<p style='background:url(data:image/gif;base64,MQ==)'>",
            ),
            ("<img src='cid:a&amp;b%40c'>", "<img src='data:image/gif;base64,Yw=='>"),
            ("<img src='cid:img100'> acid:img1 cid:", "<img src='cid:img100'> acid:img1 cid:"),
        ] {
            assert_eq!(with_inline_files(html, &files), expected);
        }
    }

    #[test]
    fn inline_files_are_limited_for_each_reference() {
        let files = [file("x", &vec![0; INLINE_OCTETS_MAX / 3])];
        let html = with_inline_files(&"<img src='cid:x'>".repeat(10), &files);
        assert_eq!((html.matches("data:").count(), html.matches("cid:").count()), (3, 7));
        // A message with many references to many files takes time in proportion to their number.
        let files: Vec<_> = (0..20_000).map(|number| file(&format!("f{number}"), b"x")).collect();
        let html = with_inline_files(&"<img src='cid:f19999'>".repeat(2 * REFERENCES_MAX), &files);
        assert_eq!(html.matches("data:").count(), REFERENCES_MAX);
    }

    #[test]
    fn first_file_with_a_content_id_is_shown() {
        let html = with_inline_files("<img src='cid:x'>", &[file("x", b"1"), file("x", b"2")]);
        assert_eq!(html, "<img src='data:image/gif;base64,MQ=='>");
    }
}
