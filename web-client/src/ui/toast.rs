//! Toasts: Undo, the message that is being sent, and notices. One at a time.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::prelude::*;

use super::icons;
use crate::control::{Control, toast_timeout};
use crate::model::format;
use crate::model::state::{ComposeState, Notice, Outgoing, Severity, UiAction};

/// Time for which an [`Severity::Info`] notice is shown.
const INFO_TIME: Duration = Duration::from_secs(6);

#[derive(Properties, PartialEq)]
pub(super) struct ToastsProps {
    /// Number of removed messages that can be restored.
    pub(super) undoable: usize,
    /// Number of messages that were archived or moved back, and whether they were archived.
    pub(super) refiled: (usize, bool),
    pub(super) compose: Rc<ComposeState>,
    pub(super) notice: Option<Notice>,
}

/// Undo comes first, because it ends soon; an error stays until it is closed.
#[component]
pub(super) fn Toasts(ToastsProps { undoable, refiled, compose, notice }: &ToastsProps) -> Html {
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
    let error = notice.as_ref().filter(|notice| notice.severity == Severity::Error);
    let undo = undo_text(*undoable, *refiled, compose);
    let outgoing = compose.outgoing.as_ref().filter(|outgoing| !compose.is_open(&outgoing.draft));
    let outgoing = outgoing.filter(|_| error.is_none() && undo.is_none());
    let notice = notice.as_ref().filter(|_| undo.is_none() && outgoing.is_none());
    html! {
        <div class="toasts">
            <div role="status">
                if let Some(text) = undo {
                    { undo_toast(&control, text, compose.held.is_some()) }
                } else if let Some(outgoing) = outgoing {
                    { outgoing_toast(&control, outgoing) }
                }
            </div>
            <div role="alert">
                if let Some(notice) = notice { { notice_toast(&control, notice) } }
            </div>
        </div>
    }
}

/// The last action that can be undone.
fn undo_text(undoable: usize, refiled: (usize, bool), compose: &ComposeState) -> Option<String> {
    if let Some(held) = &compose.held {
        return Some(format!("Sending to {}.", held.recipients()));
    }
    if compose.discarded.is_some() {
        return Some("Draft discarded.".to_owned());
    }
    let counted = |count: usize, done: &str| match count {
        0 => None,
        1 => Some(format!("Message {done}.")),
        count => Some(format!("{} {done}.", format::count(count, "message"))),
    };
    let (count, archived) = refiled;
    let refiled = counted(count, if archived { "archived" } else { "moved to the inbox" });
    refiled.or_else(|| counted(undoable, "deleted"))
}

fn undo_toast(control: &Control, text: String, is_held: bool) -> Html {
    let act = |act: fn(&Control)| {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| act(&control))
    };
    html! {
        <div class="toast">
            <span>{ text }</span>
            <button type="button" title="Undo (z)" onclick={act(Control::undo)}>{ "Undo" }</button>
            if is_held { <button type="button" onclick={act(Control::release)}>{ "Send now" }</button> }
        </div>
    }
}

fn outgoing_toast(control: &Control, Outgoing { octets_sent, octets, .. }: &Outgoing) -> Html {
    let control = control.clone();
    let cancel = Callback::from(move |_: MouseEvent| control.cancel_sending());
    html! {
        <div class="toast">
            <span>{ format!("Sending… {} of {}", format::size(*octets_sent), format::size(*octets)) }</span>
            <button type="button" onclick={cancel}>{ "Cancel" }</button>
        </div>
    }
}

fn notice_toast(control: &Control, notice: &Notice) -> Html {
    let control = control.clone();
    let close = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::CloseNotice));
    html! {
        <div class={classes!("toast", (notice.severity == Severity::Error).then_some("error"))}>
            <span>{ &notice.text }</span>
            <button class="icon" type="button" aria-label="Close" onclick={close}>{ icons::cross() }</button>
        </div>
    }
}
