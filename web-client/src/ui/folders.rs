//! The folders. The server has one maildrop; what is archived, labelled, drafted or sent is known to this browser only.

use std::rc::Rc;

use yew::prelude::*;

use crate::control::Control;
use crate::model::format;
use crate::model::state::{
    ComposeState, Folder, MailboxState, SessionState, UiAction, UiState, counted_folders,
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
        Callback::from(move |_: MouseEvent| control.dispatch(UiAction::ProtocolLog(open)))
    };
    html! {
        <>
            <nav class="nav" aria-label="Folders">
                <button class="button primary" type="button" onclick={new_message.clone()}>{ "Compose" }</button>
                { for folders.iter().map(folder) }
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
