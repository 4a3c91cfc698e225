//! The attachments of a message: thumbnails, previews, and downloads.

use std::collections::BTreeSet;
use std::rc::Rc;

use mail_core::message::draft::Attachment;
use mail_core::message::printable::printable_line;
use web_sys::HtmlElement;
use yew::prelude::*;

use super::attachment_preview::{AttachmentPreview, PreviewKind};
use super::event_card::EventCard;
use super::icons;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::platform::blob_url::{BlobUrl, image_type};
use crate::platform::download;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct AttachmentsProps {
    pub(super) message: Rc<FetchedMessage>,
    /// Indices of the attachments that the HTML shows as images. They are not listed.
    pub(super) inline: BTreeSet<usize>,
}

struct AttachmentLinks {
    index: usize,
    name: String,
    size: String,
    download: Option<BlobUrl>,
    image: Option<BlobUrl>,
    preview: Option<PreviewKind>,
}

#[component]
pub(super) fn Attachments(AttachmentsProps { message, inline }: &AttachmentsProps) -> Html {
    // Index of the attachment that is shown.
    let previewed = use_state_eq(|| None::<usize>);
    // The URLs live as long as the message is shown.
    let links = use_memo((message.clone(), inline.clone()), |(message, inline)| {
        let links = |(index, file): (usize, &Attachment)| AttachmentLinks {
            index,
            name: named(file),
            size: format::size(file.bytes.len() as u64),
            download: BlobUrl::for_download(&file.bytes),
            image: BlobUrl::for_image(file),
            preview: PreviewKind::of(file),
        };
        let files = message.parsed.attachments.iter().enumerate();
        files.filter(|(index, _)| !inline.contains(index)).map(links).collect::<Vec<_>>()
    });
    if links.is_empty() {
        return html! {};
    }
    // A broken image is hidden; the download link remains.
    let hide = Callback::from(|event: Event| event.target_unchecked_into::<HtmlElement>().set_hidden(true));
    let attachment = |links: &AttachmentLinks| {
        let open = {
            let (previewed, index) = (previewed.clone(), links.index);
            Callback::from(move |_: MouseEvent| previewed.set(Some(index)))
        };
        html! {
            <li class="attachment">
                if let Some(image) = &links.image {
                    <button class="thumbnail" type="button" aria-label={strings::show(&links.name)} onclick={open.clone()}>
                        <img src={image.as_str().to_owned()} alt={links.name.clone()} onerror={hide.clone()} />
                    </button>
                }
                <span class="name">
                    <span class="attachment-icon">{ icons::clip() }</span>
                    <bdi>{ &links.name }</bdi>
                    <span class="secondary">{ &links.size }</span>
                    { open_link(message, links, open) }
                    if let Some(download) = &links.download {
                        <a href={download.as_str().to_owned()} download={links.name.clone()} aria-label={strings::save(&links.name)}>
                            { strings::SAVE }
                        </a>
                    }
                </span>
            </li>
        }
    };
    let calendars = links.iter().filter(|links| links.preview == Some(PreviewKind::Calendar));
    let cards = calendars.map(|links| {
        html! { <EventCard key={links.index} message={message.clone()} index={links.index} /> }
    });
    let save_all = {
        let (message, links) = (message.clone(), links.clone());
        Callback::from(move |_: MouseEvent| {
            for links in links.iter() {
                let bytes =
                    js_sys::Uint8Array::from(message.parsed.attachments[links.index].bytes.as_slice());
                // Each file has its own link, which remains if the browser refuses several files at once.
                let _ = download::save(&links.name, &js_sys::Array::of1(&bytes));
            }
        })
    };
    let close = {
        let previewed = previewed.clone();
        Callback::from(move |()| previewed.set(None))
    };
    html! {
        <>
            { for cards }
            <ul class="attachments" aria-label={strings::ATTACHMENTS}>{ for links.iter().map(attachment) }</ul>
            if links.len() > 1 {
                <button class="button save-all" type="button" onclick={save_all}>
                    { strings::save_all(&format::number(links.len())) }
                </button>
            }
            if let Some(index) = *previewed {
                <AttachmentPreview message={message.clone()} {index} onclose={close} />
            }
        </>
    }
}

/// The name that is shown and saved. A message inside a message may have none.
pub(super) fn named(file: &Attachment) -> String {
    printable_line(&file.name).into_owned()
}

/// A PDF opens in a tab of its own: the viewers of browsers do not run in a sandboxed frame.
fn open_link(message: &FetchedMessage, links: &AttachmentLinks, open: Callback<MouseEvent>) -> Html {
    match links.preview {
        Some(PreviewKind::Pdf) => {
            let bytes = js_sys::Uint8Array::from(message.parsed.attachments[links.index].bytes.as_slice());
            let onclick = Callback::from(move |_: MouseEvent| download::open_pdf(&bytes));
            html! { <button class="link" type="button" aria-label={strings::open(&links.name)} {onclick}>{ strings::OPEN }</button> }
        }
        Some(PreviewKind::Image) if links.image.is_none() => html! {},
        Some(_) => html! {
            <button class="link" type="button" aria-label={strings::show(&links.name)} onclick={open}>{ strings::SHOW }</button>
        },
        None => html! {},
    }
}

/// Whether a file is an image that the page can show.
pub(super) fn is_image(file: &Attachment) -> bool {
    image_type(&file.bytes).is_some()
}
