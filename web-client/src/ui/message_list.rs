//! The list of a folder. Only visible rows are drawn.

use std::rc::Rc;

use web_sys::HtmlElement;
use yew::prelude::*;

use super::element_ids::row_id;
use super::list_bar::ListBar;
use super::list_layout::{Days, ListLayout, row_height};
use super::message_row::MessageRow;
use super::selection_bar::SelectionBar;
use super::swipe::use_gestures;
use crate::model::draft_form::DraftForm;
use crate::model::message::ListItem;
use crate::model::state::{
    ConnectionStatus, Folder, MailboxState, Sort, UiState, folder_of, list_items, search_coverage,
};
use crate::platform::{clock, dom};
use crate::strings;

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
    pub(super) compact: bool,
}

/// The rows and their positions.
#[derive(PartialEq, Eq)]
struct Rows {
    items: Vec<ListItem>,
    layout: ListLayout,
}

impl Rows {
    fn position(&self, id: &str) -> Option<i32> {
        let index = self.items.iter().position(|item| item.id() == id)?;
        i32::try_from(index).ok()
    }
}

#[component]
pub(super) fn MessageList(props: &MessageListProps) -> Html {
    let MessageListProps { connection, mailbox, drafts, ui, compact } = props;
    let node = use_node_ref();
    let days = days();
    let list = (ui.folder.clone(), ui.search.clone(), ui.sort);
    let content = (mailbox.clone(), drafts.clone(), list, days, *compact);
    let rows = use_memo(content, |_| {
        let items = list_items(mailbox, drafts, ui);
        let layout = ListLayout::new(&items, ui.sort, days, row_height(*compact));
        Rows { items, layout }
    });
    let (first_visible, scroll) = use_scrolling(&node, &rows, ui);
    use_gestures(&node);
    let selected = use_memo((rows.clone(), ui.selected.clone()), |(rows, selected)| {
        let ids = rows.items.iter().map(ListItem::id).filter(|id| selected.contains(*id));
        ids.map(str::to_owned).collect::<Vec<_>>()
    });
    let searching = !ui.search.is_empty();
    html! {
        <section class="list" aria-label="Messages">
            if selected.is_empty() {
                <ListBar mailbox={mailbox.clone()} drafts={drafts.clone()} folder={ui.folder.clone()} sort={ui.sort}
                    coverage={searching.then(|| search_coverage(mailbox))} count={rows.items.len()} />
            } else {
                <SelectionBar mailbox={mailbox.clone()} folder={ui.folder.clone()} selected={selected.clone()} count={rows.items.len()} />
            }
            if let Some(loading) = mailbox.loading {
                <progress class="loading" max={loading.total.to_string()} value={loading.done.to_string()}
                    aria-label="Headers fetched"></progress>
            }
            if rows.items.is_empty() {
                <p class="empty">{ empty_text(connection, mailbox, ui) }</p>
            }
            <div class={classes!("rows", (!selected.is_empty()).then_some("selecting"), compact.then_some("compact"))} ref={node} onscroll={scroll}>
                { drawn_rows(props, &rows, first_visible) }
            </div>
        </section>
    }
}

fn drawn_rows(props: &MessageListProps, rows: &Rows, first_visible: i32) -> Html {
    let MessageListProps { mailbox, drafts, ui, .. } = props;
    let (layout, count) = (&rows.layout, rows.layout.count());
    let window_rows = dom::window_height().unwrap_or(WINDOW_HEIGHT) as i32 / layout.row_height() + 1;
    let first = (first_visible - SPARE_ROWS).clamp(0, count);
    let last = (first_visible + window_rows + SPARE_ROWS).min(count);
    let today = clock::local(clock::now()).date_naive();
    let cursor = ui.cursor.as_deref().and_then(|cursor| rows.position(cursor));
    // Tab always reaches a row that is drawn.
    let tab_stop = cursor.filter(|cursor| (first..last).contains(cursor)).unwrap_or(first_visible);
    let in_results = !ui.search.is_empty();
    let row = |index: i32| {
        let item = &rows.items[index as usize];
        let folder = if in_results { folder_of(mailbox, drafts, item.id()) } else { ui.folder.clone() };
        let is_queued = match item {
            ListItem::Message(message) => {
                message.message_id().is_some_and(|id| mailbox.queued_mail(id).is_some())
            }
            ListItem::Draft(_) => false,
        };
        html! {
            <MessageRow key={item.id().to_owned()} item={item.clone()} {folder} top={layout.top(index)} {index} {count}
                current={cursor == Some(index)} selected={ui.selected.contains(item.id())}
                in_tab_order={index == tab_stop} shows_size={ui.sort == Sort::Largest}
                is_grouped={!layout.groups().is_empty()} {in_results} {today} {is_queued} />
        }
    };
    let headings = layout.groups().iter().map(|group| {
        html! { <li class="group" key={group.name} style={format!("top:{}px", group.top)}><h3>{ group.name }</h3></li> }
    });
    html! {
        <ul style={format!("height:{}px", layout.height())}>{ for headings }{ for (first..last).map(row) }</ul>
    }
}

/// Scrolls the list at the cursor's moves, keeps its position when rows are added above it, and returns the first visible
/// row.
#[hook]
fn use_scrolling(node: &NodeRef, rows: &Rc<Rows>, ui: &UiState) -> (i32, Callback<Event>) {
    let first_visible = use_state_eq(|| 0);
    // The first visible row, and the part of it that is scrolled out of view.
    let anchor = use_mut_ref(|| None::<(String, i32)>);
    let unfocused = use_mut_ref(|| None::<String>);
    let scroll = {
        let (node, rows, first_visible, anchor) =
            (node.clone(), rows.clone(), first_visible.clone(), anchor.clone());
        Callback::from(move |_: Event| {
            let Some(list) = node.cast::<HtmlElement>() else { return };
            let row = rows.layout.row_at(list.scroll_top());
            let item = rows.items.get(usize::try_from(row).unwrap_or_default());
            *anchor.borrow_mut() =
                item.map(|item| (item.id().to_owned(), list.scroll_top() - rows.layout.top(row)));
            // Redraws once for each row rather than for each pixel.
            first_visible.set(row);
        })
    };
    {
        let (node, anchor) = (node.clone(), anchor.clone());
        use_effect_with(rows.clone(), move |rows| {
            let Some(list) = node.cast::<HtmlElement>().filter(|list| list.scroll_top() > 0) else { return };
            if let Some((id, offset)) = &*anchor.borrow()
                && let Some(row) = rows.position(id)
            {
                list.set_scroll_top(rows.layout.top(row) + offset);
            }
        });
    }
    {
        let (node, anchor) = (node.clone(), anchor.clone());
        use_effect_with((ui.folder.clone(), ui.search.clone(), ui.sort), move |_| {
            anchor.borrow_mut().take();
            if let Some(list) = node.cast::<HtmlElement>() {
                list.set_scroll_top(0);
            }
        });
    }
    {
        let (node, rows, unfocused) = (node.clone(), rows.clone(), unfocused.clone());
        use_effect_with(ui.cursor.clone(), move |cursor| {
            if let Some(cursor) = cursor
                && let Some(list) = node.cast::<HtmlElement>()
                && let Some(row) = rows.position(cursor)
            {
                reveal(&list, &rows.layout, row);
                *unfocused.borrow_mut() = Some(cursor.clone());
            }
        });
    }
    // A row that was far away is drawn after the list has scrolled.
    use_effect_with((ui.cursor.clone(), *first_visible), move |_| {
        unfocused.borrow_mut().take_if(|id| dom::focus_if_drawn(&row_id(id)));
    });
    (*first_visible, scroll)
}

/// Scrolls a row into view.
fn reveal(list: &HtmlElement, layout: &ListLayout, row: i32) {
    // With the first row, its heading.
    let top = if row == 0 { 0 } else { layout.top(row) };
    let bottom = layout.top(row) + layout.row_height();
    if top < list.scroll_top() {
        list.set_scroll_top(top);
    } else if bottom > list.scroll_top() + list.client_height() {
        list.set_scroll_top(bottom - list.client_height());
    }
}

fn days() -> Days {
    let today = clock::local(clock::now()).date_naive();
    let yesterday = today.pred_opt().unwrap_or(today);
    Days { today: clock::midnight(today), yesterday: clock::midnight(yesterday) }
}

fn empty_text(connection: &ConnectionStatus, mailbox: &MailboxState, ui: &UiState) -> &'static str {
    match &ui.folder {
        _ if !ui.search.is_empty() => strings::NO_RESULTS,
        Folder::Inbox if !mailbox.listed && *connection == ConnectionStatus::Busy => "Loading mailbox…",
        Folder::Inbox => strings::EMPTY_INBOX,
        Folder::Starred => "No starred messages. Stars are stored in this browser only.",
        Folder::Archive => {
            "No archived messages. Press e to archive a message. The server does not know Archive."
        }
        Folder::Label(_) => "No messages with this label.",
        Folder::Trash => "Trash is empty. Deleted messages are here until the server has deleted them.",
        Folder::Drafts => "No drafts. Drafts are stored in this browser only.",
        Folder::Sent => {
            "No sent messages. Copies of messages sent from here are stored in this browser only."
        }
    }
}
