//! The list of a folder. Only the rows that can be seen are drawn, so that ten thousand scroll like ten.

use std::rc::Rc;

use web_sys::{HtmlElement, HtmlSelectElement};
use yew::prelude::*;

use super::icons;
use super::keyboard::focus;
use crate::control::Control;
use crate::state::{Action, Connection, Folder, Item, Sort, State};
use crate::{clock, labels};

/// As the style has it, in pixels.
const ROW_HEIGHT: i32 = 66;
/// Rows that are drawn beyond both ends of what is seen.
const SPARE_ROWS: i32 = 8;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn List(Props { state }: &Props) -> Html {
    let node = use_node_ref();
    let top = use_state_eq(|| 0);
    let shown = (
        (state.messages.clone(), state.sent.clone(), state.drafts.clone()),
        (state.folder, state.search.clone(), state.sort, state.removal.clone()),
    );
    let items = use_memo(shown, |_| state.items());
    let scroll = {
        let (node, top) = (node.clone(), top.clone());
        Callback::from(move |_: Event| {
            if let Some(list) = node.cast::<HtmlElement>() {
                // A new state for every row that comes or goes, not for every pixel.
                top.set(list.scroll_top() / ROW_HEIGHT);
            }
        })
    };
    {
        let (node, items) = (node.clone(), items.clone());
        use_effect_with(state.cursor.clone(), move |cursor| {
            if let Some(cursor) = cursor
                && let Some(list) = node.cast::<HtmlElement>()
            {
                reveal(&list, &items, cursor);
            }
        });
    }
    {
        let node = node.clone();
        use_effect_with((state.folder, state.search.clone(), state.sort), move |_| {
            if let Some(list) = node.cast::<HtmlElement>() {
                list.set_scroll_top(0);
            }
        });
    }
    let count = i32::try_from(items.len()).unwrap_or(i32::MAX / ROW_HEIGHT);
    let window_rows = web_sys::window()
        .and_then(|window| window.inner_height().ok()?.as_f64())
        .map_or(30, |height| (height as i32) / ROW_HEIGHT + 1);
    let first = (*top - SPARE_ROWS).clamp(0, count);
    let last = (*top + window_rows + SPARE_ROWS).min(count);
    let now = clock::local(clock::now());
    let rows = (first..last).map(|at| {
        let item = &items[at as usize];
        let selected = state.cursor.as_deref() == Some(item.id());
        html! {
            <Row key={item.id().to_owned()} item={item.clone()} {at} {count} {selected} folder={state.folder}
                today={now.date_naive()} />
        }
    });
    html! {
        <section class="list" aria-label="Messages">
            <Bar state={state.clone()} count={items.len()} />
            if let Some(loading) = state.loading {
                <progress class="load" max={loading.total.to_string()} value={loading.done.to_string()}
                    aria-label="Headers fetched"></progress>
            }
            if items.is_empty() {
                { empty(state) }
            }
            <div class="rows" ref={node} onscroll={scroll}>
                <ul style={format!("height:{}px", count * ROW_HEIGHT)}>{ for rows }</ul>
            </div>
        </section>
    }
}

#[derive(Properties, PartialEq)]
struct BarProps {
    state: Rc<State>,
    count: usize,
}

/// What stands above the rows. A component of its own: it counts all messages, and scrolling changes nothing of it.
#[component]
fn Bar(BarProps { state, count }: &BarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let count = *count;
    let octets: u64 = state.messages.iter().map(|message| message.octets).sum();
    let words = match state.folder {
        _ if !state.search.trim().is_empty() => format!("{count} found"),
        Folder::Inbox => format!("{}, {}", labels::count(count, "message"), labels::size(octets)),
        Folder::Drafts => labels::count(count, "draft"),
        Folder::Starred | Folder::Sent => labels::count(count, "message"),
    };
    let sort = {
        let control = control.clone();
        Callback::from(move |event: Event| {
            let index = event.target_unchecked_into::<HtmlSelectElement>().selected_index();
            if let Some(sort) = usize::try_from(index).ok().and_then(|index| Sort::ALL.get(index)) {
                control.dispatch(Action::Sort(*sort));
            }
        })
    };
    let enter = {
        let control = control.clone();
        Callback::from(move |event: Event| {
            let index = event.target_unchecked_into::<HtmlSelectElement>().selected_index();
            if let Some(folder) = usize::try_from(index).ok().and_then(|index| Folder::ALL.get(index)) {
                control.dispatch(Action::Folder(*folder));
            }
        })
    };
    html! {
        <div class="bar">
            <h2>
                <span class="wide">{ state.folder.name() }</span>
                <select class="narrow" aria-label="Folder" onchange={enter}>
                    { for Folder::ALL.map(|folder| {
                        let count = state.count(folder);
                        let name = folder.name();
                        let words = if count > 0 { format!("{name} ({count})") } else { name.to_owned() };
                        html! { <option selected={state.folder == folder}>{ words }</option> }
                    }) }
                </select>
            </h2>
            <span role="status">{ words }</span>
            <select aria-label="Sort" onchange={sort}>
                { for Sort::ALL.map(|sort| html! { <option selected={state.sort == sort}>{ sort.name() }</option> }) }
            </select>
        </div>
    }
}

fn empty(state: &State) -> Html {
    let words = match state.folder {
        _ if !state.search.trim().is_empty() => "Nothing here holds these words.",
        Folder::Inbox if !state.listed && state.connection == Connection::Busy => "Looking into the mailbox…",
        Folder::Inbox => "No mail. What arrives shows up here by itself.",
        Folder::Starred => {
            "Nothing starred. The star marks what you want to find again; it is kept on this device."
        }
        Folder::Drafts => "No drafts. What you begin to write is kept here, on this device.",
        Folder::Sent => "Nothing sent from here yet. Copies are kept on this device.",
    };
    html! { <p class="empty">{ words }</p> }
}

/// Scrolls a row into view and gives it the focus.
fn reveal(list: &HtmlElement, items: &[Item], id: &str) {
    let Some(at) = items.iter().position(|item| item.id() == id) else { return };
    let top = i32::try_from(at).unwrap_or(0) * ROW_HEIGHT;
    if top < list.scroll_top() {
        list.set_scroll_top(top);
    } else if top + ROW_HEIGHT > list.scroll_top() + list.client_height() {
        list.set_scroll_top(top + ROW_HEIGHT - list.client_height());
    }
    focus(&row_id(id));
}

pub(super) fn row_id(id: &str) -> String {
    format!("row-{id}")
}

#[derive(Properties, PartialEq)]
struct RowProps {
    item: Item,
    at: i32,
    count: i32,
    selected: bool,
    folder: Folder,
    /// Of its own, so that `19:15` becomes `Yesterday` when it does.
    today: chrono::NaiveDate,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let item = &props.item;
    let message = match item {
        Item::Message(message) => Some(message),
        Item::Draft(_) => None,
    };
    let open = {
        let (control, id) = (control.clone(), item.id().to_owned());
        Callback::from(move |_: MouseEvent| control.open(&id))
    };
    let star = {
        let id = item.id().to_owned();
        Callback::from(move |_: MouseEvent| control.star(&id))
    };
    let waits = message.is_some_and(|message| message.head.is_none());
    let unread = message.is_some_and(|message| !message.read);
    let starred = message.is_some_and(|message| message.starred);
    let attachments = match item {
        Item::Message(message) => message.head.as_ref().is_some_and(|head| head.has_attachments),
        Item::Draft(form) => !form.attachments.is_empty(),
    };
    let who = match item.who() {
        _ if waits => "…".to_owned(),
        who if who.is_empty() && message.is_some() => "(no sender)".to_owned(),
        who if who.is_empty() => "(nobody yet)".to_owned(),
        who => who,
    };
    let subject = match item.subject() {
        "" if waits => "…",
        "" => "(no subject)",
        subject => subject,
    };
    let local = item.at().map(clock::local);
    let now = clock::local(clock::now());
    let markable = matches!(props.folder, Folder::Inbox | Folder::Starred);
    html! {
        <li class={classes!("row", unread.then_some("new"))} style={format!("top:{}px", props.at * ROW_HEIGHT)}
            aria-setsize={props.count.to_string()} aria-posinset={(props.at + 1).to_string()}>
            <button class="line" type="button" id={row_id(item.id())} onclick={open}
                aria-current={props.selected.then_some("true")}>
                if unread { <span class="aside">{ "Unread. " }</span> }
                <b>{ who }</b>
                <span class="when" title={item.at().map(labels::short)}>
                    { local.map(|at| labels::when(at, now)).unwrap_or_default() }
                </span>
                <span class="sub">{ subject }</span>
                <span class="size">
                    if attachments { <span class="clip" title="Has attachments">{ icons::clip() }</span> }
                    { labels::size(item.octets()) }
                </span>
            </button>
            if markable {
                <button class="star" type="button" onclick={star} aria-pressed={starred.to_string()}
                    aria-label={format!("Star {subject}")}>{ icons::star() }</button>
            }
        </li>
    }
}
