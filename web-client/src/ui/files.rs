//! What came with a message: files to save, pictures to look at.

use std::rc::Rc;

use mail_core::message::text::printable_line;
use web_sys::HtmlElement;
use yew::prelude::*;

use super::icons;
use crate::blob::BlobUrl;
use crate::labels;
use crate::opened::Opened;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) opened: Rc<Opened>,
}

struct Link {
    name: String,
    size: String,
    save: Option<BlobUrl>,
    show: Option<BlobUrl>,
}

#[component]
pub(super) fn Files(Props { opened }: &Props) -> Html {
    // The addresses live as long as the message is shown.
    let links = use_memo(opened.clone(), |opened| {
        let link = |(_, file): (usize, &mail_core::message::draft::Attachment)| Link {
            name: printable_line(&file.name).into_owned(),
            size: labels::size(file.bytes.len() as u64),
            save: BlobUrl::to_save(&file.bytes),
            show: BlobUrl::to_show(file),
        };
        opened.files().map(link).collect::<Vec<_>>()
    });
    if links.is_empty() {
        return html! {};
    }
    // A file that is called a picture and is none is only saved.
    let broken = Callback::from(|event: Event| event.target_unchecked_into::<HtmlElement>().set_hidden(true));
    let file = |link: &Link| {
        html! {
            <li class="file">
                if let Some(show) = &link.show {
                    <img src={show.as_str().to_owned()} alt={link.name.clone()} onerror={broken.clone()} />
                }
                <span class="name">
                    <span class="clip">{ icons::clip() }</span>
                    <span>{ &link.name }</span>
                    <span class="t">{ &link.size }</span>
                    if let Some(save) = &link.save {
                        <a href={save.as_str().to_owned()} download={link.name.clone()} aria-label={format!("Save {}", link.name)}>
                            { "Save" }
                        </a>
                    }
                </span>
            </li>
        }
    };
    html! { <ul class="files" aria-label="Attachments">{ for links.iter().map(file) }</ul> }
}
