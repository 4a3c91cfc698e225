//! Drafts, held messages and messages that are being sent.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::model::draft_form::Queue;

fn sending(draft: &str) -> ComposeAction {
    ComposeAction::Sending(Outgoing { draft: draft.to_owned(), octets_sent: 1, octets: 2 })
}

fn failed(draft: &str) -> ComposeAction {
    ComposeAction::SendFailed { draft: draft.to_owned(), error: "550".to_owned() }
}

#[test]
fn outcome_of_sending_affects_only_its_own_draft() {
    let [a, b] = [1, 2].map(|number| {
        Rc::new(DraftForm { subject: number.to_string(), maybe_delivered: number == 1, ..draft(number) })
    });
    let state = signed_in()
        .reduce(ComposeAction::Save(a.clone()))
        .reduce(ComposeAction::Save(b.clone()))
        .reduce(sending(&a.id))
        .reduce(ComposeAction::Open(b.clone()));
    assert!(state.compose.is_outgoing(&a.id) && !state.compose.is_outgoing(&b.id));
    // Opened during sending, the draft shows no failure.
    let reopened = state.clone().reduce(ComposeAction::Open(a.clone()));
    assert_eq!(reopened.compose.open.as_ref().unwrap().problem, None);

    let refused = state.clone().reduce(failed(&a.id));
    assert_eq!(refused.compose.open.as_ref().unwrap().problem, None);
    let sent = state.reduce(ComposeAction::Sent(a.id.clone()));
    assert_eq!((&sent.compose.open.as_ref().unwrap().form, &sent.compose.outgoing), (&b, &None));
    assert_eq!(*sent.compose.drafts, [b]);
}

#[test]
fn new_form_is_untouched_until_its_content_changes() {
    let form = Rc::new(DraftForm { body: "> quoted".to_owned(), ..draft(1) });
    let is_untouched = |state: &State| state.compose.open.as_ref().unwrap().is_untouched();
    let state = signed_in().reduce(ComposeAction::New(form.clone()));
    assert!(is_untouched(&state));
    let changed = DraftForm { body: "Yes.".to_owned(), ..DraftForm::clone(&form) };
    let state = state.reduce(ComposeAction::Edit(Rc::new(changed)));
    assert!(!is_untouched(&state));
    let later = DateTime::from_timestamp_millis(1).unwrap();
    let restored = DraftForm { changed: later, ..DraftForm::clone(&form) };
    let state = state.reduce(ComposeAction::Edit(Rc::new(restored)));
    assert!(is_untouched(&state));
    let state = state.reduce(sending(&form.id)).reduce(failed(&form.id));
    assert!(!is_untouched(&state), "a reply that could not be sent unchanged is kept");
    assert!(!is_untouched(&signed_in().reduce(ComposeAction::Open(form))), "a stored draft is not new");
}

#[test]
fn discarded_draft_can_be_restored_until_undo_ends() {
    let form = Rc::new(DraftForm { body: "Long story".to_owned(), ..draft(1) });
    let state = signed_in()
        .reduce(ComposeAction::Open(form.clone()))
        .reduce(ComposeAction::Save(form.clone()))
        .reduce(ComposeAction::Discard(form.clone()));
    let compose = &state.compose;
    assert_eq!((&compose.open, &compose.discarded, compose.drafts.len()), (&None, &Some(form.clone()), 0));
    let restored = state.clone().reduce(ComposeAction::Save(form.clone()));
    assert_eq!((&restored.compose.discarded, restored.compose.drafts.len()), (&None, 1));
    let state = state.reduce(ComposeAction::DiscardEnded("another".to_owned()));
    assert!(state.compose.discarded.is_some());
    assert_eq!(state.reduce(ComposeAction::DiscardEnded(form.id.clone())).compose.discarded, None);
}

#[test]
fn held_message_is_a_closed_draft_until_it_is_released() {
    let form = Rc::new(DraftForm { queue: Queue::Held, ..draft(1) });
    let state =
        signed_in().reduce(ComposeAction::New(form.clone())).reduce(ComposeAction::Hold(form.clone()));
    let compose = &state.compose;
    assert_eq!((&compose.open, &compose.held, compose.drafts.len()), (&None, &Some(form.clone()), 1));
    assert!(Action::from(ComposeAction::Hold(form)).ends_undo());
    assert_eq!(state.reduce(ComposeAction::Released).compose.held, None);
}

#[test]
fn hold_ends_when_its_draft_is_opened_or_deleted() {
    let held = Rc::new(DraftForm { queue: Queue::Held, ..draft(1) });
    let other = Rc::new(draft(2));
    let state = signed_in().reduce(ComposeAction::Hold(held.clone()));
    for (action, is_held) in [
        (ComposeAction::Open(held.clone()), false),
        (ComposeAction::Discard(held.clone()), false),
        (ComposeAction::Delete(held.id.clone()), false),
        (ComposeAction::Open(other.clone()), true),
        (ComposeAction::Discard(other.clone()), true),
        (ComposeAction::Delete(other.id.clone()), true),
    ] {
        let state = state.clone().reduce(action.clone());
        assert_eq!(state.compose.held(&held.id).is_some(), is_held, "{action:?}");
    }
}

#[test]
fn attaching_is_counted_per_draft() {
    let attaching = |state: State, draft: &str| state.reduce(ComposeAction::Attaching(draft.to_owned()));
    let state = ["a", "a", "b"].into_iter().fold(signed_in(), attaching);
    let state = state.reduce(ComposeAction::AttachingEnded("a".to_owned()));
    assert!(state.compose.is_attaching("a") && state.compose.is_attaching("b"));
    let state = state.reduce(ComposeAction::AttachingEnded("a".to_owned()));
    assert!(!state.compose.is_attaching("a") && state.compose.is_attaching("b"));
}

#[test]
fn refused_draft_stays_and_sent_draft_is_deleted() {
    let form = Rc::new(DraftForm { subject: "hello".to_owned(), ..draft(1) });
    let state = signed_in()
        .reduce(ComposeAction::New(form.clone()))
        .reduce(ComposeAction::Save(form.clone()))
        .reduce(ComposeAction::Save(form.clone()));
    assert_eq!(count(&state, Folder::Drafts), 1);
    let state = state.reduce(sending(&form.id));
    let refused = state.clone().reduce(failed(&form.id));
    assert_eq!(refused.compose.outgoing, None);
    let open = refused.compose.open.as_ref().unwrap();
    assert_eq!((&open.form, &open.problem), (&form, &Some(SendProblem::Failed("550".to_owned()))));
    let edited = refused.reduce(ComposeAction::Edit(form.clone()));
    assert_eq!(edited.compose.open.as_ref().unwrap().problem, None);
    let sent = state.reduce(ComposeAction::Sent(form.id.clone()));
    let compose = &sent.compose;
    assert_eq!((&compose.open, &compose.outgoing, compose.drafts.len()), (&None, &None, 0));
}

#[test]
fn invalid_fields_problem_ends_with_the_next_edit() {
    let form = Rc::new(draft(1));
    let state = signed_in().reduce(ComposeAction::New(form.clone())).reduce(ComposeAction::Invalid);
    assert_eq!(state.compose.open.as_ref().unwrap().problem, Some(SendProblem::InvalidFields));
    let state = state.reduce(ComposeAction::Edit(form));
    assert_eq!(state.compose.open.as_ref().unwrap().problem, None);
}

#[test]
fn reopened_draft_of_unknown_delivery_warns() {
    let form = DraftForm { maybe_delivered: true, ..draft(1) };
    let state = signed_in().reduce(ComposeAction::Open(Rc::new(form)));
    let problem = state.compose.open.as_ref().unwrap().problem.clone();
    let Some(SendProblem::Failed(error)) = problem else { panic!("no warning") };
    assert!(error.contains("it may have been delivered"), "{error}");
}
