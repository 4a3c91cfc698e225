//! The list of a folder. Only visible rows are drawn.

use std::rc::Rc;

use web_sys::{HtmlElement, HtmlSelectElement};
use yew::prelude::*;

use super::element_ids::row_id;
use super::message_row::{MessageRow, ROW_HEIGHT};
use crate::control::Control;
use crate::model::draft_form::DraftForm;
use crate::model::format;
use crate::model::message::ListItem;
use crate::model::state::{
    ConnectionStatus, Folder, MailboxState, Sort, UiAction, UiState, folder_count, list_items,
};
use crate::platform::{clock, dom};

/// Rows that are drawn beyond both ends of the visible part.
const SPARE_ROWS: i32 = 8;
/// Default if the browser does not report its height.
const WINDOW_HEIGHT: f64 = 2_000.0;

#[derive(Properties, PartialEq)]
pub(super) struct MessageListProps {
    pub(super) connection: ConnectionStatus,
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) drafts: Rc<Vec<Rc<DraftForm>>>,
    pub(super) ui: Rc<UiState>,
}

#[component]
pub(super) fn MessageList(props: &MessageListProps) -> Html {
    let MessageListProps { connection, mailbox, drafts, ui } = props;
    let node = use_node_ref();
    let first_visible = use_state_eq(|| 0);
    let content = (mailbox.clone(), drafts.clone(), ui.folder, ui.search.clone(), ui.sort);
    let items = use_memo(content, |_| list_items(mailbox, drafts, ui));
    let scroll = {
        let (node, first_visible) = (node.clone(), first_visible.clone());
        Callback::from(move |_: Event| {
            if let Some(list) = node.cast::<HtmlElement>() {
                // Redraws once for each row rather than for each pixel.
                first_visible.set(list.scroll_top() / ROW_HEIGHT);
            }
        })
    };
    {
        let (node, items) = (node.clone(), items.clone());
        use_effect_with(ui.cursor.clone(), move |cursor| {
            if let Some(cursor) = cursor
                && let Some(list) = node.cast::<HtmlElement>()
            {
                reveal(&list, &items, cursor);
            }
        });
    }
    {
        let node = node.clone();
        use_effect_with((ui.folder, ui.search.clone(), ui.sort), move |_| {
            if let Some(list) = node.cast::<HtmlElement>() {
                list.set_scroll_top(0);
            }
        });
    }
    let count = i32::try_from(items.len()).unwrap_or(i32::MAX / ROW_HEIGHT);
    let window_rows = dom::window_height().unwrap_or(WINDOW_HEIGHT) as i32 / ROW_HEIGHT + 1;
    let first = (*first_visible - SPARE_ROWS).clamp(0, count);
    let last = (*first_visible + window_rows + SPARE_ROWS).min(count);
    let today = clock::local(clock::now()).date_naive();
    let rows = (first..last).map(|index| {
        let item = &items[index as usize];
        let selected = ui.cursor.as_deref() == Some(item.id());
        html! {
            <MessageRow key={item.id().to_owned()} item={item.clone()} {index} {count} {selected} folder={ui.folder}
                {today} />
        }
    });
    html! {
        <section class="list" aria-label="Messages">
            <ListBar mailbox={mailbox.clone()} drafts={drafts.clone()} folder={ui.folder} sort={ui.sort}
                searching={!ui.search.trim().is_empty()} count={items.len()} />
            if let Some(loading) = mailbox.loading {
                <progress class="loading" max={loading.total.to_string()} value={loading.done.to_string()}
                    aria-label="Headers fetched"></progress>
            }
            if items.is_empty() {
                <p class="empty">{ empty_text(connection, mailbox, ui) }</p>
            }
            <div class="rows" ref={node} onscroll={scroll}>
                <ul style={format!("height:{}px", count * ROW_HEIGHT)}>{ for rows }</ul>
            </div>
        </section>
    }
}

#[derive(Properties, PartialEq)]
struct ListBarProps {
    mailbox: Rc<MailboxState>,
    drafts: Rc<Vec<Rc<DraftForm>>>,
    folder: Folder,
    sort: Sort,
    searching: bool,
    count: usize,
}

/// The bar above the rows. It is a separate component, because it counts all messages and must not be redrawn by
/// scrolling.
#[component]
fn ListBar(props: &ListBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ListBarProps { mailbox, drafts, folder, sort, searching, count } = props;
    let octets: u64 = mailbox.messages.iter().map(|message| message.octets).sum();
    let sent_octets: u64 = mailbox.sent.iter().map(|copy| copy.octets).sum();
    let summary = match folder {
        _ if *searching => format!("{count} found"),
        Folder::Inbox => format!("{}, {}", format::count(*count, "message"), format::size(octets)),
        Folder::Drafts => format::count(*count, "draft"),
        Folder::Starred => format::count(*count, "message"),
        Folder::Sent => format!("{}, {}", format::count(*count, "message"), format::size(sent_octets)),
    };
    let choose_sort = {
        let control = control.clone();
        Callback::from(move |event: Event| {
            if let Some(sort) = selected(&event, &Sort::ALL) {
                control.dispatch(UiAction::Sort(sort));
            }
        })
    };
    let choose_folder = Callback::from(move |event: Event| {
        if let Some(folder) = selected(&event, &Folder::ALL) {
            control.dispatch(UiAction::Folder(folder));
        }
    });
    let folder_option = |option: Folder| {
        let label = match folder_count(mailbox, drafts, option) {
            0 => option.name().to_owned(),
            count => format!("{} ({count})", option.name()),
        };
        html! { <option selected={option == *folder}>{ label }</option> }
    };
    let sort_option = |option: Sort| html! { <option selected={option == *sort}>{ option.name() }</option> };
    html! {
        <div class="list-bar">
            <h2>
                <span class="wide-only">{ folder.name() }</span>
                <select class="narrow-only" aria-label="Folder" onchange={choose_folder}>
                    { for Folder::ALL.map(folder_option) }
                </select>
            </h2>
            <span role="status">{ summary }</span>
            <select aria-label="Sort" onchange={choose_sort}>{ for Sort::ALL.map(sort_option) }</select>
        </div>
    }
}

/// The value of the selected option.
fn selected<T: Copy>(event: &Event, values: &[T]) -> Option<T> {
    let index = event.target_unchecked_into::<HtmlSelectElement>().selected_index();
    values.get(usize::try_from(index).ok()?).copied()
}

fn empty_text(connection: &ConnectionStatus, mailbox: &MailboxState, ui: &UiState) -> &'static str {
    match ui.folder {
        _ if !ui.search.trim().is_empty() => "No messages match.",
        Folder::Inbox if !mailbox.listed && *connection == ConnectionStatus::Busy => "Loading mailbox…",
        Folder::Inbox => "Your inbox is empty.",
        Folder::Starred => "No starred messages. Stars are stored in this browser only.",
        Folder::Drafts => "No drafts. Drafts are stored in this browser only.",
        Folder::Sent => {
            "No sent messages. Copies of messages sent from here are stored in this browser only."
        }
    }
}

/// Scrolls a row into view and focuses it.
fn reveal(list: &HtmlElement, items: &[ListItem], id: &str) {
    let Some(index) = items.iter().position(|item| item.id() == id) else { return };
    let top = i32::try_from(index).unwrap_or(0) * ROW_HEIGHT;
    if top < list.scroll_top() {
        list.set_scroll_top(top);
    } else if top + ROW_HEIGHT > list.scroll_top() + list.client_height() {
        list.set_scroll_top(top + ROW_HEIGHT - list.client_height());
    }
    dom::focus(&row_id(id));
}
