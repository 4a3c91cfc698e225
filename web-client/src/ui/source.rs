//! The open message as it was received: its header fields, or all of it.

use std::rc::Rc;

use mail_core::message::header::{self, Field};
use mail_core::message::printable::printable_line;
use yew::prelude::*;

use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::platform::blob_url::BlobUrl;
use crate::strings;

/// Characters of the source that are shown. The download is complete.
const SOURCE_CHARS_MAX: usize = 300_000;
/// Header fields that are shown. Mails have fewer than a hundred.
const FIELDS_MAX: usize = 1_000;

#[derive(Properties, PartialEq)]
pub(super) struct SourceProps {
    pub(super) message: Rc<FetchedMessage>,
}

#[component]
pub(super) fn Source(SourceProps { message }: &SourceProps) -> Html {
    let headers_only = use_state_eq(|| false);
    let download = use_memo(message.clone(), |message| BlobUrl::for_download(&message.raw));
    let name = format::eml_name(&message.parsed.subject);
    let tab = |label: &'static str, headers: bool| {
        let pressed = (*headers_only == headers).to_string();
        let headers_only = headers_only.clone();
        let choose = Callback::from(move |_: MouseEvent| headers_only.set(headers));
        html! { <button class="tab" type="button" aria-pressed={pressed} onclick={choose}>{ label }</button> }
    };
    html! {
        <article class="source">
            <p>
                { tab(strings::WHOLE_MESSAGE, false) }{ tab(strings::HEADERS, true) }
                { strings::as_received(&format::size(message.raw.len() as u64)) }
                if let Some(download) = download.as_ref() {
                    <a href={download.as_str().to_owned()} download={name}>{ strings::SAVE }</a>
                }
            </p>
            if *headers_only { { headers(&message.raw) } } else { { whole(&message.raw) } }
        </article>
    }
}

pub(super) fn whole(raw: &[u8]) -> Html {
    let text = String::from_utf8_lossy(raw);
    let cut = text.char_indices().nth(SOURCE_CHARS_MAX).map(|(at, _)| at);
    html! {
        <>
            if cut.is_some() { <p>{ strings::BEGINNING_SHOWN }</p> }
            <pre tabindex="0">{ &text[..cut.unwrap_or(text.len())] }</pre>
        </>
    }
}

pub(super) fn headers(raw: &[u8]) -> Html {
    let (header, _) = header::split(raw);
    let text = |octets: &[u8]| {
        let text = String::from_utf8_lossy(octets);
        printable_line(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
    };
    let row = |field: Field<'_>| {
        html! {
            <tr><th scope="row">{ text(field.name.unwrap_or_default()) }</th><td>{ text(field.value) }</td></tr>
        }
    };
    let shown = &header[..header.len().min(SOURCE_CHARS_MAX)];
    let mut fields = header::fields(shown);
    let rows: Vec<_> = fields.by_ref().take(FIELDS_MAX).map(row).collect();
    let is_cut = shown.len() < header.len() || fields.next().is_some();
    html! {
        <>
            if is_cut { <p>{ strings::first_fields_shown(&format::number(rows.len())) }</p> }
            <table class="headers"><tbody>{ rows }</tbody></table>
        </>
    }
}
