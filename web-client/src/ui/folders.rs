//! The folders. Only Inbox is the server's maildrop; the others exist in this browser.

use std::rc::Rc;

use yew::prelude::*;

use crate::control::Control;
use crate::model::format;
use crate::model::state::{
    ComposeState, Folder, MailboxState, SessionState, UiAction, UiState, folder_count,
};
use crate::platform::clock;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct FoldersProps {
    pub(super) session: Rc<SessionState>,
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) compose: Rc<ComposeState>,
    pub(super) ui: Rc<UiState>,
}

#[component]
pub(super) fn Folders(FoldersProps { session, mailbox, compose, ui }: &FoldersProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let new_message = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.compose())
    };
    let folder = |folder: Folder| {
        let control = control.clone();
        let enter = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::Folder(folder)));
        let count = folder_count(mailbox, &compose.drafts, folder);
        let current = (ui.folder == folder).then_some("page");
        let title = folder.is_local().then_some(strings::THIS_BROWSER_ONLY);
        html! {
            <button type="button" aria-current={current} {title} onclick={enter}>
                <span>{ folder.name() }</span>
                if count > 0 { <span>{ count }</span> }
            </button>
        }
    };
    let toggle_log = {
        let (control, open) = (control.clone(), !ui.protocol_log);
        Callback::from(move |_: MouseEvent| control.dispatch(UiAction::ProtocolLog(open)))
    };
    html! {
        <>
            <nav class="nav" aria-label="Folders">
                <button class="button primary" type="button" onclick={new_message.clone()}>{ "Compose" }</button>
                { for Folder::ALL.into_iter().map(folder) }
                <small>
                    if let Some(checked) = session.checked {
                        { format!("Synced {}", format::time(clock::local(checked))) }<br />
                    }
                    { strings::available_offline(mailbox.stored(), mailbox.messages.len()) }<br />
                    <button class="link" type="button" aria-expanded={ui.protocol_log.to_string()} onclick={toggle_log}>
                        { strings::protocol_log(ui.protocol_log) }
                    </button>
                </small>
            </nav>
            <button class="button primary fab" type="button" onclick={new_message}>{ "Compose" }</button>
        </>
    }
}
