//! Questions before data is deleted that exists only in this browser, and before an incomplete message is sent.

use yew::prelude::*;

use super::modal::Modal;
use crate::control::Control;
use crate::model::draft_form::Reminder;
use crate::model::format;
use crate::model::state::{LocalDeletion, UiAction};
use crate::strings;

const TITLE_ID: &str = "confirmation-title";

#[derive(Properties, PartialEq)]
pub(super) struct ConfirmationDialogProps {
    pub(super) deletion: LocalDeletion,
}

#[component]
pub(super) fn ConfirmationDialog(ConfirmationDialogProps { deletion }: &ConfirmationDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    dialog(&control, question(deletion), strings::KEEP, Control::confirm_deletion)
}

#[derive(Properties, PartialEq)]
pub(super) struct ReminderDialogProps {
    pub(super) reminder: Reminder,
}

#[component]
pub(super) fn ReminderDialog(ReminderDialogProps { reminder }: &ReminderDialogProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let (title, text) = match reminder {
        Reminder::Subject => (strings::SEND_WITHOUT_A_SUBJECT, strings::THE_SUBJECT_IS_EMPTY),
        Reminder::Attachment => (strings::SEND_WITHOUT_ATTACHMENT, strings::ATTACHMENT_REMINDER),
    };
    let question = Question { title: title.to_owned(), text: text.to_owned(), button: strings::SEND_ANYWAY };
    dialog(&control, question, strings::KEEP_EDITING, Control::send_anyway)
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
            title: strings::discard_question(&quoted(subject)),
            text: strings::IT_IS_LOCAL.to_owned(),
            button: strings::DISCARD_DRAFT,
        },
        LocalDeletion::SentCopy { subject, .. } => Question {
            title: strings::delete_copy_question(&quoted(subject)),
            text: strings::IT_CANNOT_BE_RESTORED.to_owned(),
            button: strings::DELETE_COPY,
        },
        LocalDeletion::Several { drafts, sent } => Question {
            title: strings::delete_question(&counted(drafts.len(), sent.len())),
            text: strings::THEY_CANNOT_BE_RESTORED.to_owned(),
            button: strings::DELETE,
        },
        LocalDeletion::Account { name, drafts, sent, filed } => Question {
            title: strings::delete_data_question(&name),
            text: strings::only_in_this_browser(&existing(*drafts, *sent, *filed)),
            button: strings::DELETE_AND_SIGN_OUT,
        },
    }
}

fn quoted(subject: &str) -> String {
    if subject.trim().is_empty() { strings::WITHOUT_A_SUBJECT.to_owned() } else { format!("“{subject}”") }
}

/// `2 drafts, 1 sent copy and the labels of 3 messages exist`.
fn existing(drafts: usize, sent: usize, filed: usize) -> String {
    let labels = strings::labels_of(&format::count(filed, "message"));
    match (drafts + sent, filed) {
        (0, _) => strings::archive_exists(&labels),
        (1, 0) => strings::exists(&counted(drafts, sent)),
        (_, 0) => strings::exist(&counted(drafts, sent)),
        _ => strings::mail_and_archive_exist(&counted(drafts, sent), &labels),
    }
}

/// `2 drafts and 1 sent copy`.
fn counted(drafts: usize, sent: usize) -> String {
    let copies = match sent {
        1 => strings::ONE_SENT_COPY.to_owned(),
        _ => strings::sent_copies(&sent),
    };
    match (drafts, sent) {
        (0, _) => copies,
        (_, 0) => format::count(drafts, "draft"),
        _ => strings::and(&format::count(drafts, "draft"), &copies),
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
