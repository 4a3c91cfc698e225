//! The bar above the rows while some are selected: their number and the actions for all of them.

use std::rc::Rc;

use yew::prelude::*;

use super::icons;
use crate::control::Control;
use crate::model::format;
use crate::model::state::{Folder, MailboxState, UiAction};

#[derive(Properties, PartialEq)]
pub(super) struct SelectionBarProps {
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) folder: Folder,
    pub(super) selected: Rc<Vec<String>>,
    /// Number of all rows.
    pub(super) count: usize,
}

#[component]
pub(super) fn SelectionBar(
    SelectionBarProps { mailbox, folder, selected, count }: &SelectionBarProps,
) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let act = |act: fn(&Control, &[String])| {
        let (control, selected) = (control.clone(), selected.clone());
        Callback::from(move |_: MouseEvent| act(&control, &selected))
    };
    let button = |icon: Html, label: &'static str, title: &'static str, act: Callback<MouseEvent>| {
        html! { <button class="button icon" type="button" aria-label={label} {title} onclick={act}>{ icon }</button> }
    };
    // Drafts and sent copies have no marks.
    let in_trash = *folder == Folder::Trash;
    let have_marks = !in_trash && selected.iter().any(|id| mailbox.message(id).is_some());
    let archive = if *folder == Folder::Archive { "Move selected to inbox" } else { "Archive selected" };
    html! {
        <div class="list-bar selection-bar" role="toolbar" aria-label="Selected messages">
            { button(icons::cross(), "Clear selection", "Clear selection (Escape)",
                act(|control, _| control.dispatch(UiAction::ClearSelection))) }
            <span class="count" role="status">{ format!("{} selected", format::number(selected.len())) }</span>
            if selected.len() < *count {
                <button class="link" type="button" title="Ctrl+A" onclick={act(|control, _| control.select_all())}>
                    { format!("Select all {}", format::number(*count)) }
                </button>
            }
            <span class="spacer"></span>
            if have_marks {
                { button(icons::archive(), archive, "Archive (e)", act(Control::toggle_archived)) }
                { button(icons::tag(), "Label selected", "Label (l)", act(Control::choose_labels)) }
                { button(icons::opened_envelope(), "Mark selected as read", "Mark as read (Shift+I)",
                    act(|control, ids| control.set_read(ids, true))) }
                { button(icons::envelope(), "Mark selected as unread", "Mark as unread (Shift+U)",
                    act(|control, ids| control.set_read(ids, false))) }
                { button(icons::star(), "Star selected", "Star (s)", act(Control::toggle_stars)) }
            }
            if in_trash {
                { button(icons::inbox(), "Restore selected", "Move to the inbox", act(Control::restore)) }
            } else {
                { button(icons::trash(), "Delete selected", "Delete (#)", act(Control::remove)) }
            }
        </div>
    }
}
