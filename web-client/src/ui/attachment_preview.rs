//! A dialog with the content of an attachment: an image, a text, or a message.

use std::collections::BTreeSet;
use std::rc::Rc;

use mail_core::message::draft::Attachment;
use mail_core::message::printable::printable;
use yew::prelude::*;

use super::attachments::{Attachments, is_image, named};
use super::chunked_text::{ChunkedText, TextOf};
use super::message_frame::MessageFrame;
use super::message_header::MessageHeader;
use super::modal::Modal;
use crate::model::fetched_message::FetchedMessage;
use crate::platform::blob_url::BlobUrl;
use crate::platform::{PLATFORM, charset};
use crate::sanitize::{RemoteImages, sanitize_html};

const TITLE_ID: &str = "preview-title";
/// Octets of a text that are shown.
const TEXT_OCTETS_MAX: usize = 500_000;
/// Messages inside messages that can be shown.
const DEPTH_MAX: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreviewKind {
    Image,
    Text,
    Message,
    Calendar,
    Pdf,
}

impl PreviewKind {
    /// By the content, or else by the type and the name.
    pub(super) fn of(file: &Attachment) -> Option<Self> {
        let name = file.name.to_ascii_lowercase();
        let has_extension = |extensions: &[&str]| {
            name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
        };
        let mime = file.mime.as_str();
        if is_image(file) {
            Some(Self::Image)
        } else if file.bytes.starts_with(b"%PDF-") {
            Some(Self::Pdf)
        } else if mime == "message/rfc822" || has_extension(&["eml"]) {
            Some(Self::Message)
        } else if mime == "text/calendar" || has_extension(&["ics"]) {
            Some(Self::Calendar)
        } else {
            let is_text = mime.starts_with("text/") && mime != "text/html"
                || mime == "application/json"
                || has_extension(&["txt", "csv", "log", "md", "json", "xml", "patch", "diff", "vcf"]);
            (is_text && !file.bytes.contains(&0)).then_some(Self::Text)
        }
    }
}

#[derive(Properties, PartialEq)]
pub(super) struct AttachmentPreviewProps {
    pub(super) message: Rc<FetchedMessage>,
    pub(super) index: usize,
    pub(super) onclose: Callback<()>,
}

#[component]
pub(super) fn AttachmentPreview(
    AttachmentPreviewProps { message, index, onclose }: &AttachmentPreviewProps,
) -> Html {
    let depth = use_context::<Depth>().unwrap_or_default();
    let Some(file) = message.parsed.attachments.get(*index) else { return html! {} };
    let content = match PreviewKind::of(file) {
        Some(PreviewKind::Image) => html! { <ImagePreview message={message.clone()} index={*index} /> },
        Some(PreviewKind::Message) if depth.0 < DEPTH_MAX => html! {
            <ContextProvider<Depth> context={Depth(depth.0 + 1)}>
                <InnerMessage message={message.clone()} index={*index} />
            </ContextProvider<Depth>>
        },
        _ => text(&file.bytes),
    };
    html! {
        <Modal labelled_by={TITLE_ID} class="preview" onclose={onclose.clone()}>
            <div class="preview-bar">
                <h2 id={TITLE_ID}><bdi>{ named(file) }</bdi></h2>
                <button class="button" type="button" onclick={onclose.reform(|_: MouseEvent| ())}>{ "Close" }</button>
            </div>
            { content }
        </Modal>
    }
}

/// Number of messages around this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Depth(usize);

#[derive(Properties, PartialEq)]
struct PartProps {
    message: Rc<FetchedMessage>,
    index: usize,
}

#[component]
fn ImagePreview(PartProps { message, index }: &PartProps) -> Html {
    let url = use_memo((message.clone(), *index), |(message, index)| {
        message.parsed.attachments.get(*index).and_then(BlobUrl::for_image)
    });
    let name = message.parsed.attachments.get(*index).map(named);
    html! {
        if let Some(url) = &*url { <img class="preview-image" src={url.as_str().to_owned()} alt={name} /> }
    }
}

/// An attached message. Its links and remote images are treated as those of any message.
#[component]
fn InnerMessage(PartProps { message, index }: &PartProps) -> Html {
    let inner = use_memo((message.clone(), *index), |(message, index)| {
        let bytes = message.parsed.attachments.get(*index).map(|file| file.bytes.clone());
        Rc::new(FetchedMessage::parse(bytes.unwrap_or_default(), PLATFORM))
    });
    let html = use_memo(inner.clone(), |inner| {
        let html =
            sanitize_html(inner.parsed.html.as_deref()?, &inner.parsed.attachments, RemoteImages::Blocked)?;
        (!html.is_empty).then_some(html)
    });
    let images: BTreeSet<usize> =
        html.iter().flat_map(|html| html.images.iter()).filter_map(|image| *image).collect();
    let subject = printable(&inner.parsed.subject).into_owned();
    html! {
        <div class="inner-message">
            <h3>{ if subject.is_empty() { "(no subject)".to_owned() } else { subject } }</h3>
            <MessageHeader message={(*inner).clone()}>{ Html::default() }</MessageHeader>
            if let Some(html) = &*html {
                <MessageFrame document={html.document.clone()} is_themed={html.is_themed} onbroken={Callback::noop()} />
            } else {
                <ChunkedText message={(*inner).clone()} of={TextOf::TextPart} />
            }
            <Attachments message={(*inner).clone()} inline={images} />
        </div>
    }
}

fn text(bytes: &[u8]) -> Html {
    let shown = &bytes[..bytes.len().min(TEXT_OCTETS_MAX)];
    let text = match std::str::from_utf8(shown) {
        Ok(text) => text.to_owned(),
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(shown).into_owned(),
        Err(_) => charset::decode("windows-1252", shown)
            .unwrap_or_else(|| String::from_utf8_lossy(shown).into_owned()),
    };
    html! {
        <>
            if shown.len() < bytes.len() { <p class="secondary">{ "Only the beginning is shown. Save the file to see all of it." }</p> }
            <pre class="preview-text" tabindex="0" dir="auto">{ printable(&text).into_owned() }</pre>
        </>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn preview_depends_on_the_content_before_the_name() {
        let kind = |name: &str, mime: &str, bytes: &[u8]| {
            PreviewKind::of(&Attachment {
                name: name.to_owned(),
                mime: mime.to_owned(),
                content_id: None,
                content_location: None,
                bytes: bytes.to_vec(),
            })
        };
        assert_eq!(kind("x.bin", "application/octet-stream", b"GIF89a"), Some(PreviewKind::Image));
        assert_eq!(kind("x.txt", "text/plain", b"%PDF-1.7"), Some(PreviewKind::Pdf));
        assert_eq!(kind("a.EML", "application/octet-stream", b"Subject: x"), Some(PreviewKind::Message));
        assert_eq!(kind("a", "text/calendar", b"BEGIN"), Some(PreviewKind::Calendar));
        assert_eq!(kind("a.csv", "application/octet-stream", b"1;2"), Some(PreviewKind::Text));
        assert_eq!(kind("a.txt", "text/plain", b"\0"), None);
        assert_eq!(kind("a.html", "text/html", b"<p>"), None);
        assert_eq!(kind("a.pdf", "application/pdf", b"<html>"), None);
        assert_eq!(kind("a.svg", "image/svg+xml", b"<svg/>"), None);
    }
}
