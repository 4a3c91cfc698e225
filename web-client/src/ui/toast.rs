//! Toasts: Undo, and notices.

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::prelude::*;

use super::icons;
use crate::control::{Control, toast_timeout};
use crate::model::format;
use crate::model::state::{Notice, Severity, UiAction};

/// Time for which an [`Severity::Info`] notice is shown.
const INFO_TIME: Duration = Duration::from_secs(6);

#[derive(Properties, PartialEq)]
pub(super) struct ToastsProps {
    /// Number of removed messages that can be restored.
    pub(super) undoable: usize,
    pub(super) draft_discarded: bool,
    pub(super) notice: Option<Notice>,
}

#[component]
pub(super) fn Toasts(ToastsProps { undoable, draft_discarded, notice }: &ToastsProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    {
        let control = control.clone();
        use_effect_with(notice.clone(), move |notice| {
            if let Some(notice) = notice.clone().filter(|notice| notice.severity == Severity::Info) {
                spawn_local(async move {
                    toast_timeout(INFO_TIME).await;
                    if control.state().ui.notice.as_ref() == Some(&notice) {
                        control.dispatch(UiAction::CloseNotice);
                    }
                });
            }
        });
    }
    let undo = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.undo())
    };
    let close = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::CloseNotice));
    let undo_text = match (draft_discarded, undoable) {
        (true, _) => Some("Draft discarded.".to_owned()),
        (false, 0) => None,
        (false, 1) => Some("Message deleted.".to_owned()),
        (false, count) => Some(format!("{} deleted.", format::count(*count, "message"))),
    };
    html! {
        <div class="toasts">
            <div role="status">
                if let Some(text) = undo_text {
                    <div class="toast">
                        <span>{ text }</span>
                        <button type="button" title="Undo (z)" onclick={undo}>{ "Undo" }</button>
                    </div>
                }
            </div>
            <div role="alert">
                if let Some(notice) = notice {
                    <div class={classes!("toast", (notice.severity == Severity::Error).then_some("error"))}>
                        <span>{ &notice.text }</span>
                        <button class="icon" type="button" aria-label="Close" onclick={close}>{ icons::cross() }</button>
                    </div>
                }
            </div>
        </div>
    }
}
