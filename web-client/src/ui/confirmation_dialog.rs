//! The question before data is deleted that exists only in this browser.

use yew::prelude::*;

use super::modal::Modal;
use crate::control::Control;
use crate::model::format;
use crate::model::state::{LocalDeletion, UiAction};

const TITLE_ID: &str = "confirmation-title";

#[derive(Properties, PartialEq)]
pub(super) struct ConfirmationDialogProps {
    pub(super) deletion: LocalDeletion,
}

/// The first button, which gets the focus, changes nothing.
#[component]
pub(super) fn ConfirmationDialog(ConfirmationDialogProps { deletion }: &ConfirmationDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.dispatch(UiAction::CloseConfirmation))
    };
    let confirm = Callback::from(move |_: MouseEvent| control.confirm_deletion());
    let Question { title, text, button } = question(deletion);
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ title }</h2>
            <p>{ text }</p>
            <div class="answers">
                <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ "Keep" }</button>
                <button class="button primary" type="button" onclick={confirm}>{ button }</button>
            </div>
        </Modal>
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Question {
    title: String,
    text: String,
    button: &'static str,
}

fn question(deletion: &LocalDeletion) -> Question {
    match deletion {
        LocalDeletion::Draft { subject, .. } => Question {
            title: format!("Discard the draft {}?", quoted(subject)),
            text: "It exists only in this browser.".to_owned(),
            button: "Discard draft",
        },
        LocalDeletion::SentCopy { subject, .. } => Question {
            title: format!("Delete the sent copy {}?", quoted(subject)),
            text: "It exists only in this browser and cannot be restored.".to_owned(),
            button: "Delete copy",
        },
        LocalDeletion::Account { name, drafts, sent } => Question {
            title: format!("Delete the local data of {name}?"),
            text: format!("{} in this browser only and cannot be restored.", existing(*drafts, *sent)),
            button: "Delete and sign out",
        },
    }
}

fn quoted(subject: &str) -> String {
    if subject.trim().is_empty() { "without a subject".to_owned() } else { format!("“{subject}”") }
}

/// `2 drafts and 1 sent copy exist`.
fn existing(drafts: usize, sent: usize) -> String {
    let copies = match sent {
        1 => "1 sent copy".to_owned(),
        _ => format!("{sent} sent copies"),
    };
    let verb = if drafts + sent == 1 { "exists" } else { "exist" };
    match (drafts, sent) {
        (0, _) => format!("{copies} {verb}"),
        (_, 0) => format!("{} {verb}", format::count(drafts, "draft")),
        _ => format!("{} and {copies} {verb}", format::count(drafts, "draft")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn question_names_the_data_that_is_lost() {
        let copy =
            |subject: &str| LocalDeletion::SentCopy { id: "1".to_owned(), subject: subject.to_owned() };
        assert_eq!(question(&copy("Lunch")).title, "Delete the sent copy “Lunch”?");
        assert_eq!(question(&copy(" ")).title, "Delete the sent copy without a subject?");
        for (drafts, sent, expected) in [
            (1, 0, "1 draft exists in this browser only"),
            (2, 1, "2 drafts and 1 sent copy exist in this browser only"),
            (0, 3, "3 sent copies exist in this browser only"),
        ] {
            let question = question(&LocalDeletion::Account { name: "gb".to_owned(), drafts, sent });
            assert!(question.text.starts_with(expected), "{question:?}");
        }
    }
}
