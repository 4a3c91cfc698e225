//! The attachments of a message: download links and images.

use std::collections::BTreeSet;
use std::rc::Rc;

use mail_core::message::draft::Attachment;
use mail_core::message::printable::printable_line;
use web_sys::HtmlElement;
use yew::prelude::*;

use super::icons;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::platform::blob_url::BlobUrl;

#[derive(Properties, PartialEq)]
pub(super) struct AttachmentsProps {
    pub(super) message: Rc<FetchedMessage>,
    /// Indices of the attachments that the HTML shows as images. They are not listed.
    pub(super) inline: BTreeSet<usize>,
}

struct AttachmentLinks {
    name: String,
    size: String,
    download: Option<BlobUrl>,
    image: Option<BlobUrl>,
}

#[component]
pub(super) fn Attachments(AttachmentsProps { message, inline }: &AttachmentsProps) -> Html {
    // The URLs live as long as the message is shown.
    let links = use_memo((message.clone(), inline.clone()), |(message, inline)| {
        let links = |(_, file): (usize, &Attachment)| AttachmentLinks {
            name: printable_line(&file.name).into_owned(),
            size: format::size(file.bytes.len() as u64),
            download: BlobUrl::for_download(&file.bytes),
            image: BlobUrl::for_image(file),
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
        html! {
            <li class="attachment">
                if let Some(image) = &links.image {
                    <img src={image.as_str().to_owned()} alt={links.name.clone()} onerror={hide.clone()} />
                }
                <span class="name">
                    <span class="attachment-icon">{ icons::clip() }</span>
                    <bdi>{ &links.name }</bdi>
                    <span class="secondary">{ &links.size }</span>
                    if let Some(download) = &links.download {
                        <a href={download.as_str().to_owned()} download={links.name.clone()} aria-label={format!("Save {}", links.name)}>
                            { "Save" }
                        </a>
                    }
                </span>
            </li>
        }
    };
    html! { <ul class="attachments" aria-label="Attachments">{ for links.iter().map(attachment) }</ul> }
}
