//! The bar above the rows while some are selected: their number and the actions for all of them.

use std::rc::Rc;

use yew::prelude::*;

use super::icons;
use crate::control::Control;
use crate::model::format;
use crate::model::state::{Folder, MailboxState, UiAction};
use crate::strings;

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
    let archive =
        if *folder == Folder::Archive { strings::MOVE_SELECTED_TO_INBOX } else { strings::ARCHIVE_SELECTED };
    html! {
        <div class="list-bar selection-bar" role="toolbar" aria-label={strings::SELECTED_MESSAGES}>
            { button(icons::cross(), strings::CLEAR_SELECTION, strings::CLEAR_SELECTION_TITLE,
                act(|control, _| control.dispatch(UiAction::ClearSelection))) }
            <span class="count" role="status">{ format!("{} selected", format::number(selected.len())) }</span>
            if selected.len() < *count {
                <button class="link" type="button" title="Ctrl+A" onclick={act(|control, _| control.select_all())}>
                    { strings::select_all(&format::number(*count)) }
                </button>
            }
            <span class="spacer"></span>
            if have_marks {
                { button(icons::archive(), archive, strings::ARCHIVE_TITLE, act(Control::toggle_archived)) }
                { button(icons::tag(), strings::LABEL_SELECTED, strings::LABEL_TITLE, act(Control::choose_labels)) }
                { button(icons::opened_envelope(), strings::MARK_SELECTED_AS_READ, strings::MARK_AS_READ_TITLE,
                    act(|control, ids| control.set_read(ids, true))) }
                { button(icons::envelope(), strings::MARK_SELECTED_AS_UNREAD, strings::MARK_AS_UNREAD_TITLE,
                    act(|control, ids| control.set_read(ids, false))) }
                { button(icons::star(), strings::STAR_SELECTED, strings::STAR_TITLE, act(Control::toggle_stars)) }
            }
            if in_trash {
                { button(icons::inbox(), strings::RESTORE_SELECTED, strings::MOVE_TO_THE_INBOX, act(Control::restore)) }
            } else {
                { button(icons::trash(), strings::DELETE_SELECTED, strings::DELETE_TITLE, act(Control::remove)) }
            }
        </div>
    }
}
