//! The folders. The server has one maildrop; what is archived, labelled, drafted or sent is known to this browser only.

use std::rc::Rc;

use yew::prelude::*;

use super::icons;
use super::modal::Modal;
use crate::control::Control;
use crate::model::state::{
    Account, ComposeState, Folder, MailboxState, SessionState, UiAction, UiState, counted_folders,
};
use crate::platform::dates;
use crate::strings;

const DRAWER_ID: &str = "folders-title";

#[derive(Properties, PartialEq)]
pub(super) struct FoldersProps {
    pub(super) session: Rc<SessionState>,
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) compose: Rc<ComposeState>,
    pub(super) ui: Rc<UiState>,
}

/// Beside the list. On a narrow screen, only the button Compose is drawn.
#[component]
pub(super) fn Folders(props: &FoldersProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let list = use_folder_list(&control, props);
    let new_message = Callback::from(move |_: MouseEvent| control.compose());
    html! {
        <>
            <nav class="nav" aria-label={strings::FOLDERS}>
                <button class="button primary" type="button" onclick={new_message.clone()}>{ strings::COMPOSE }</button>
                { list }
            </nav>
            <button class="button primary fab" type="button" onclick={new_message}>{ strings::COMPOSE }</button>
        </>
    }
}

/// Above the list, on a narrow screen.
#[component]
pub(super) fn FolderDrawer(props: &FoldersProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let list = use_folder_list(&control, props);
    let close = Callback::from(move |()| control.dispatch(UiAction::Folders(false)));
    let account = props.session.account.as_ref().map(Account::label).unwrap_or_default();
    html! {
        <Modal class="drawer" labelled_by={DRAWER_ID} onclose={close.clone()}>
            <div class="drawer-bar">
                <h2 id={DRAWER_ID}><span class="visually-hidden">{ strings::FOLDERS }</span>{ " " }{ account }</h2>
                <button class="button icon" type="button" aria-label={strings::CLOSE} onclick={close.reform(|_: MouseEvent| ())}>{ icons::cross() }</button>
            </div>
            <nav class="nav" aria-label={strings::FOLDERS}>{ list }</nav>
        </Modal>
    }
}

/// The folders and the state of the synchronization.
#[hook]
fn use_folder_list(control: &Control, props: &FoldersProps) -> Html {
    let FoldersProps { session, mailbox, compose, ui } = props;
    let folders = use_memo((mailbox.clone(), compose.drafts.clone()), |(mailbox, drafts)| {
        counted_folders(mailbox, drafts)
    });
    let folder = |(folder, count): &(Folder, usize)| {
        let (control, count) = (control.clone(), *count);
        let entered = folder.clone();
        let enter = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::Folder(entered.clone())));
        let current = (ui.folder == *folder).then_some("page");
        let class = matches!(folder, Folder::Label(_)).then_some("label-folder");
        let title = match folder {
            folder if folder.is_local() => Some(strings::THIS_BROWSER_ONLY),
            folder if folder.is_filed_here() => Some(strings::FILED_IN_THIS_BROWSER),
            _ => None,
        };
        html! {
            <button type="button" {class} aria-current={current} {title} onclick={enter}>
                <span dir="auto">{ folder.name() }</span>
                if count > 0 { <span>{ count }</span> }
            </button>
        }
    };
    let toggle_log = {
        let (control, open) = (control.clone(), !ui.protocol_log);
        Callback::from(move |_: MouseEvent| {
            control.dispatch(UiAction::Folders(false));
            control.dispatch(UiAction::ProtocolLog(open));
        })
    };
    html! {
        <>
            { for folders.iter().map(folder) }
            <small>
                if let Some(checked) = session.checked {
                    { strings::synced(&dates::time(checked)) }<br />
                }
                { strings::available_offline(mailbox.stored(), mailbox.messages.len()) }<br />
                <button class="link" type="button" aria-expanded={ui.protocol_log.to_string()} onclick={toggle_log}>
                    { strings::protocol_log(ui.protocol_log) }
                </button>
            </small>
        </>
    }
}
