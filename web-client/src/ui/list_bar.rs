//! The bar above the rows: folder, number of messages, order.

use std::rc::Rc;

use yew::prelude::*;

use super::select::selected;
use crate::control::Control;
use crate::model::draft_form::DraftForm;
use crate::model::format;
use crate::model::state::{Folder, MailboxState, Sort, UiAction, counted_folders};
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct ListBarProps {
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) drafts: Rc<Vec<Rc<DraftForm>>>,
    pub(super) folder: Folder,
    pub(super) sort: Sort,
    /// During a search, the number of messages whose text is searched, and of all messages.
    pub(super) coverage: Option<(usize, usize)>,
    pub(super) count: usize,
}

/// It is a separate component, because it counts all messages and must not be redrawn by scrolling.
#[component]
pub(super) fn ListBar(props: &ListBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ListBarProps { mailbox, drafts, folder, sort, coverage, count } = props;
    let octets: u64 = mailbox.inbox().map(|message| message.octets).sum();
    let sent_octets: u64 = mailbox.sent.iter().map(|copy| copy.octets).sum();
    let summary = match folder {
        _ if coverage.is_some() => format!("{} found", format::number(*count)),
        Folder::Inbox if mailbox.listed => {
            format!("{}, {}", format::count(*count, "message"), format::size(octets))
        }
        Folder::Drafts => format::count(*count, "draft"),
        Folder::Sent => format!("{}, {}", format::count(*count, "message"), format::size(sent_octets)),
        _ => format::count(*count, "message"),
    };
    let choose_sort = {
        let control = control.clone();
        Callback::from(move |event: Event| {
            if let Some(sort) = selected(&event.target_unchecked_into(), &Sort::ALL) {
                control.dispatch(UiAction::Sort(sort));
            }
        })
    };
    let folders = counted_folders(mailbox, drafts);
    let folder_option = |(option, count): &(Folder, usize)| {
        let label = match count {
            0 => option.name().to_owned(),
            count => format!("{} ({count})", option.name()),
        };
        html! { <option selected={option == folder}>{ label }</option> }
    };
    let folder_options: Html = folders.iter().map(folder_option).collect();
    let choose_folder = Callback::from(move |event: Event| {
        let chosen = selected(&event.target_unchecked_into(), &(0..folders.len()).collect::<Vec<_>>());
        if let Some((folder, _)) = chosen.and_then(|at| folders.get(at)) {
            control.dispatch(UiAction::Folder(folder.clone()));
        }
    });
    let sort_option = |option: Sort| html! { <option selected={option == *sort}>{ option.name() }</option> };
    let title = if coverage.is_some() { "Search" } else { folder.name() }.to_owned();
    html! {
        <>
            <div class="list-bar">
                <h2>
                    <span class="wide-only">{ title }</span>
                    <select class="narrow-only" aria-label="Folder" onchange={choose_folder}>
                        { folder_options }
                    </select>
                </h2>
                <span role="status">{ summary }</span>
                <select aria-label="Sort" onchange={choose_sort}>{ for Sort::ALL.map(sort_option) }</select>
            </div>
            if let Some((searched, all)) = *coverage {
                <p class="coverage" role="status">{ strings::search_coverage(searched, all) }</p>
            }
        </>
    }
}
