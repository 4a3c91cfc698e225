//! Questions before data is deleted that exists only in this browser, and before an incomplete message is sent.

use yew::prelude::*;

use super::modal::Modal;
use crate::control::Control;
use crate::model::draft_form::Reminder;
use crate::model::format;
use crate::model::state::{LocalDeletion, UiAction};

const TITLE_ID: &str = "confirmation-title";

#[derive(Properties, PartialEq)]
pub(super) struct ConfirmationDialogProps {
    pub(super) deletion: LocalDeletion,
}

#[component]
pub(super) fn ConfirmationDialog(ConfirmationDialogProps { deletion }: &ConfirmationDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    dialog(&control, question(deletion), "Keep", Control::confirm_deletion)
}

#[derive(Properties, PartialEq)]
pub(super) struct ReminderDialogProps {
    pub(super) reminder: Reminder,
}

#[component]
pub(super) fn ReminderDialog(ReminderDialogProps { reminder }: &ReminderDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (title, text) = match reminder {
        Reminder::Subject => ("Send without a subject?", "The subject is empty."),
        Reminder::Attachment => {
            ("Send without an attachment?", "Your text mentions an attachment, but no file is attached.")
        }
    };
    let question = Question { title: title.to_owned(), text: text.to_owned(), button: "Send anyway" };
    dialog(&control, question, "Keep editing", Control::send_anyway)
}

/// The first button, which gets the focus, changes nothing.
fn dialog(
    control: &Control,
    Question { title, text, button }: Question,
    keep: &'static str,
    confirm: fn(&Control),
) -> Html {
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.dispatch(UiAction::CloseConfirmation))
    };
    let control = control.clone();
    let confirm = Callback::from(move |_: MouseEvent| confirm(&control));
    html! {
        <Modal labelled_by={TITLE_ID} onclose={close.clone()}>
            <h2 id={TITLE_ID}>{ title }</h2>
            <p>{ text }</p>
            <div class="answers">
                <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ keep }</button>
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
        LocalDeletion::Several { drafts, sent } => Question {
            title: format!("Delete {}?", counted(drafts.len(), sent.len())),
            text: "They exist only in this browser and cannot be restored.".to_owned(),
            button: "Delete",
        },
        LocalDeletion::Account { name, drafts, sent, filed } => Question {
            title: format!("Delete the local data of {name}?"),
            text: format!(
                "{} in this browser only and cannot be restored.",
                existing(*drafts, *sent, *filed)
            ),
            button: "Delete and sign out",
        },
    }
}

fn quoted(subject: &str) -> String {
    if subject.trim().is_empty() { "without a subject".to_owned() } else { format!("“{subject}”") }
}

/// `2 drafts, 1 sent copy and the labels of 3 messages exist`.
fn existing(drafts: usize, sent: usize, filed: usize) -> String {
    let labels = format!("the labels of {}", format::count(filed, "message"));
    match (drafts + sent, filed) {
        (0, _) => format!("Archive and {labels} exist"),
        (1, 0) => format!("{} exists", counted(drafts, sent)),
        (_, 0) => format!("{} exist", counted(drafts, sent)),
        _ => format!("{}, Archive and {labels} exist", counted(drafts, sent)),
    }
}

/// `2 drafts and 1 sent copy`.
fn counted(drafts: usize, sent: usize) -> String {
    let copies = match sent {
        1 => "1 sent copy".to_owned(),
        _ => format!("{sent} sent copies"),
    };
    match (drafts, sent) {
        (0, _) => copies,
        (_, 0) => format::count(drafts, "draft"),
        _ => format!("{} and {copies}", format::count(drafts, "draft")),
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
        let several = LocalDeletion::Several { drafts: vec!["1".to_owned()], sent: vec!["2".to_owned()] };
        assert_eq!(question(&several).title, "Delete 1 draft and 1 sent copy?");
        for (drafts, sent, filed, expected) in [
            (1, 0, 0, "1 draft exists in this browser only"),
            (2, 1, 0, "2 drafts and 1 sent copy exist in this browser only"),
            (0, 3, 0, "3 sent copies exist in this browser only"),
            (0, 0, 1, "Archive and the labels of 1 message exist in this browser only"),
            (1, 0, 2, "1 draft, Archive and the labels of 2 messages exist in this browser only"),
        ] {
            let question = question(&LocalDeletion::Account { name: "gb".to_owned(), drafts, sent, filed });
            assert!(question.text.starts_with(expected), "{question:?}");
        }
    }
}
