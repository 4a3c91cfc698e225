use mail_core::message::view::Summary;

use super::item::Head;
use super::*;
use crate::session::pop3::Listing;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn listing(id: &str, number: u64) -> Listing {
    Listing { unique_id: id.to_owned(), number, octets: number * 100 }
}

fn head(from: &str, subject: &str, minute: u32) -> Rc<Head> {
    let header = format!(
        "From: {from}\r\nSubject: {subject}\r\nDate: Sun, 22 Nov 2026 19:{minute:02}:00 +0000\r\n\r\n"
    );
    Rc::new(Head::new(&Summary::parse(header.as_bytes())))
}

fn signed_in() -> State {
    let account = Account { key: "gb".to_owned(), address: Address::parse("gb@iit.edu").unwrap() };
    let action = Action::SignedIn { account, messages: Vec::new(), sent: Vec::new(), drafts: Vec::new() };
    State::default().reduce(action)
}

/// Three messages: a, b and c, in that order.
fn three() -> State {
    let heads = vec![
        ("a".to_owned(), head("Zoe <z@iit.edu>", "Apples", 1)),
        ("b".to_owned(), head("ag@iit.edu", "Bread and apples", 3)),
        ("c".to_owned(), head("Ag <ag@iit.edu>", "cheese", 2)),
    ];
    let listed = vec![listing("a", 1), listing("b", 2), listing("c", 3)];
    signed_in().reduce(Action::Listed(listed)).reduce(Action::Headers(heads))
}

fn ids(state: &State) -> String {
    state.items().iter().map(|item| item.id().to_owned()).collect()
}

fn opened(state: State, id: &str) -> State {
    let content = Rc::new(Opened::new(&b"Subject: x\r\n\r\nunusual words\r\n"[..]));
    state.reduce(Action::Opening(id.to_owned())).reduce(Action::Opened { id: id.to_owned(), content })
}

#[test]
fn headers_fill_the_list_and_the_bar() {
    let state = signed_in().reduce(Action::Listed(vec![listing("a", 1), listing("b", 2)]));
    assert_eq!(state.loading, Some(Loading { done: 0, total: 2 }));
    let state = state.reduce(Action::Headers(vec![("b".to_owned(), head("x@y", "s", 1))]));
    assert_eq!(state.loading, Some(Loading { done: 1, total: 2 }));
    assert_eq!(ids(&state), "ba");
    let state = state.reduce(Action::Checked(DateTime::UNIX_EPOCH));
    assert_eq!((state.loading, state.connection), (None, Connection::Idle));
}

#[test]
fn the_list_is_sorted_in_every_way() {
    let order = |sort| ids(&three().reduce(Action::Sort(sort)));
    assert_eq!(Sort::ALL.map(order), ["bca", "acb", "cba", "abc", "cba"]);
}

#[test]
fn the_search_wants_every_word_and_looks_at_names_addresses_subjects_and_what_was_read() {
    let found = |words: &str| ids(&opened(three(), "a").reduce(Action::Search(words.to_owned())));
    assert_eq!(found("APPLES"), "ba");
    assert_eq!(found("apples bread"), "b");
    assert_eq!(found("ag@iit"), "bc");
    assert_eq!(found("zoe"), "a");
    assert_eq!(found("unusual"), "a");
    assert_eq!(found("nothing"), "");
}

#[test]
fn what_was_read_another_time_is_found_by_its_text_and_a_header_takes_none_of_it() {
    let message = |id: &str, text: Option<&str>| {
        Rc::new(Message { id: id.to_owned(), text: text.map(Into::into), ..Message::default() })
    };
    let account = Account { key: "gb".to_owned(), address: Address::parse("gb@iit.edu").unwrap() };
    let messages = vec![message("a", Some("long-kept words")), message("b", None)];
    let action = Action::SignedIn { account, messages, sent: Vec::new(), drafts: Vec::new() };
    let state = State::default().reduce(action).reduce(Action::Search("Kept apples".to_owned()));
    assert_eq!(ids(&state), "");
    let state = state.reduce(Action::Headers(vec![("a".to_owned(), head("z@iit.edu", "Apples", 1))]));
    assert_eq!(ids(&state), "a");
    let state = state.reduce(Action::Listed(vec![listing("b", 1), listing("a", 2)]));
    assert_eq!(ids(&state), "a");
}

#[test]
fn another_look_keeps_what_is_known_and_drops_what_is_gone() {
    let state = opened(three(), "b").reduce(Action::Starred { id: "c".to_owned(), starred: true });
    let state = state.reduce(Action::Kept("b".to_owned()));
    let state = state.reduce(Action::Listed(vec![listing("b", 1), listing("c", 2), listing("d", 3)]));
    assert_eq!(state.loading, Some(Loading { done: 0, total: 1 }));
    let [b, c, d] = &state.messages[..] else { panic!("{:?}", state.messages) };
    assert!(b.read && b.kept && b.head.is_some() && c.starred && !d.read && d.head.is_none());
    assert_eq!((b.number, state.unread(), state.kept()), (Some(1), 2, (1, 3)));
    assert_eq!(Folder::ALL.map(|folder| state.count(folder)), [2, 1, 0, 0]);
}

#[test]
fn the_cursor_stays_in_the_list() {
    let state = three().reduce(Action::Move(1));
    assert_eq!(state.cursor.as_deref(), Some("b"));
    let state = state.reduce(Action::Move(1)).reduce(Action::Move(9));
    assert_eq!(state.cursor.as_deref(), Some("a"));
    assert_eq!(state.reduce(Action::Move(-9)).cursor.as_deref(), Some("b"));
    assert_eq!(signed_in().reduce(Action::Move(1)).cursor, None);
}

#[test]
fn a_removed_message_can_be_had_back_until_the_server_is_told() {
    let state = opened(three(), "b").reduce(Action::Remove("b".to_owned()));
    assert_eq!((ids(&state).as_str(), state.cursor.as_deref()), ("ca", Some("c")));
    assert_eq!(state.open, None);
    assert_eq!(ids(&state.clone().reduce(Action::Undo)), "bca");
    let state = state.reduce(Action::Removing).reduce(Action::Undo);
    assert_eq!(ids(&state), "ca");
    let gone = state.clone().reduce(Action::Removed(vec!["b".to_owned()]));
    assert_eq!((ids(&gone).as_str(), gone.removal.clone()), ("ca", Removal::default()));
    assert_eq!(ids(&state.reduce(Action::Restored(vec!["b".to_owned()]))), "bca");
}

#[test]
fn removal_of_what_somebody_else_has_removed_is_over() {
    let state = three().reduce(Action::Remove("a".to_owned())).reduce(Action::Listed(vec![listing("b", 1)]));
    assert_eq!(state.removal, Removal::default());
    assert_eq!(ids(&state), "b");
}

#[test]
fn a_message_that_comes_too_late_does_not_take_the_place_of_another() {
    let state = three().reduce(Action::Opening("a".to_owned())).reduce(Action::Opening("b".to_owned()));
    let content = Rc::new(Opened::new(&b"x"[..]));
    let state = state.reduce(Action::Opened { id: "a".to_owned(), content });
    let open = state.open.as_ref().unwrap();
    assert_eq!((open.id.as_str(), &open.content), ("b", &Content::Loading));
    let state = state.reduce(Action::OpenFailed { id: "b".to_owned(), why: "gone".to_owned() });
    assert_eq!(state.open.unwrap().content, Content::Failed("gone".to_owned()));
}

fn outgoing(draft: &str) -> Action {
    Action::Sending(Outgoing { draft: draft.to_owned(), sent: 1, total: 2 })
}

fn failed(draft: &str) -> Action {
    Action::SendFailed { draft: draft.to_owned(), why: "550".to_owned() }
}

#[test]
fn what_becomes_of_a_draft_that_is_sent_is_not_said_of_another() {
    let [a, b] = [1, 2].map(|number| {
        let form = Form::new(number, DateTime::UNIX_EPOCH);
        Rc::new(Form { subject: number.to_string(), unsure: number == 1, ..form })
    });
    let state = signed_in().reduce(Action::DraftKept(a.clone())).reduce(Action::DraftKept(b.clone()));
    let state = state.reduce(outgoing(&a.id)).reduce(Action::OpenDraft(b.clone()));
    assert!(state.is_outgoing(&a.id) && !state.is_outgoing(&b.id));
    // Opened meanwhile, it does not claim to have failed.
    assert_eq!(state.clone().reduce(Action::OpenDraft(a.clone())).composing.unwrap().refusal, None);

    let refused = state.clone().reduce(failed(&a.id));
    assert_eq!(refused.composing.unwrap().refusal, None);
    assert!(refused.notice.unwrap().text.contains("550"));
    let sent = Action::Sent { draft: a.id.clone(), copy: None, notice: (Tone::Good, "Sent.".to_owned()) };
    let sent = state.reduce(sent);
    assert_eq!((sent.composing.unwrap().form, sent.outgoing), (b.clone(), None));
    assert_eq!(*sent.drafts, [b]);
}

#[test]
fn a_new_form_is_untouched_until_something_else_stands_in_it() {
    let form = Rc::new(Form { body: "> quoted".to_owned(), ..Form::new(1, DateTime::UNIX_EPOCH) });
    let is_untouched = |state: &State| state.composing.as_ref().unwrap().is_untouched();
    let state = signed_in().reduce(Action::Compose(form.clone()));
    assert!(is_untouched(&state));
    let state = state.reduce(Action::Write(Rc::new(Form { body: "Yes.".to_owned(), ..Form::clone(&form) })));
    assert!(!is_untouched(&state));
    let later = DateTime::from_timestamp_millis(1).unwrap();
    let state = state.reduce(Action::Write(Rc::new(Form { changed: later, ..Form::clone(&form) })));
    assert!(is_untouched(&state));
    assert!(!is_untouched(&signed_in().reduce(Action::OpenDraft(form))), "a draft that was kept is one");
}

#[test]
fn a_draft_that_was_thrown_away_can_be_had_back_for_a_while() {
    let form = Rc::new(Form { body: "Long story".to_owned(), ..Form::new(1, DateTime::UNIX_EPOCH) });
    let state = signed_in().reduce(Action::OpenDraft(form.clone())).reduce(Action::DraftKept(form.clone()));
    let state = state.reduce(Action::Discard(form.clone()));
    assert_eq!((&state.composing, &state.discarded, state.drafts.len()), (&None, &Some(form.clone()), 0));
    let back = state.clone().reduce(Action::DraftKept(form.clone()));
    assert_eq!((back.discarded, back.drafts.len()), (None, 1));
    let of_another = state.reduce(Action::Discarded("another".to_owned()));
    assert!(of_another.discarded.is_some());
    assert_eq!(of_another.reduce(Action::Discarded(form.id.clone())).discarded, None);
}

#[test]
fn files_are_counted_for_their_own_draft() {
    let state = ["a", "a", "b"]
        .iter()
        .fold(signed_in(), |state, draft| state.reduce(Action::Attaching((*draft).to_owned())));
    let state = state.reduce(Action::Attached("a".to_owned()));
    assert!(state.is_attaching("a") && state.is_attaching("b"));
    let state = state.reduce(Action::Attached("a".to_owned()));
    assert!(!state.is_attaching("a") && state.is_attaching("b"));
}

#[test]
fn a_refused_draft_stays_and_a_sent_one_goes() {
    let form = Rc::new(Form { subject: "hello".to_owned(), ..Form::new(1, DateTime::UNIX_EPOCH) });
    let state = signed_in().reduce(Action::Compose(form.clone())).reduce(Action::DraftKept(form.clone()));
    let state = state.reduce(Action::DraftKept(form.clone()));
    assert_eq!(state.count(Folder::Drafts), 1);
    let state = state.reduce(outgoing(&form.id));
    let refused = state.clone().reduce(failed(&form.id));
    assert_eq!(refused.outgoing, None);
    let composing = refused.composing.as_ref().unwrap();
    assert_eq!((&composing.form, &composing.refusal), (&form, &Some(Refusal::Failed("550".to_owned()))));
    let mended = refused.reduce(Action::Write(form.clone()));
    assert_eq!(mended.composing.unwrap().refusal, None);
    let notice = (Tone::Good, "Sent.".to_owned());
    let sent = state.reduce(Action::Sent { draft: form.id.clone(), copy: None, notice });
    assert_eq!((sent.composing, sent.outgoing, sent.drafts.len()), (None, None, 0));
    assert!(sent.notice.is_some());
}

#[test]
fn what_breaks_the_rules_is_no_failure_and_is_over_when_it_is_mended() {
    let form = Rc::new(Form::new(1, DateTime::UNIX_EPOCH));
    let state = signed_in().reduce(Action::Compose(form.clone())).reduce(Action::Incorrect);
    assert_eq!(state.composing.as_ref().unwrap().refusal, Some(Refusal::Incorrect));
    assert_eq!(state.reduce(Action::Write(form)).composing.unwrap().refusal, None);
}

#[test]
fn a_draft_that_may_have_been_delivered_says_so_when_it_is_opened_again() {
    let form = Form { unsure: true, ..Form::new(1, DateTime::UNIX_EPOCH) };
    let state = signed_in().reduce(Action::OpenDraft(Rc::new(form)));
    let Some(Refusal::Failed(why)) = state.composing.unwrap().refusal else { panic!("it says nothing") };
    assert!(why.contains("it may have been delivered"), "{why}");
}

#[test]
fn drafts_are_listed_and_searched() {
    let form = Rc::new(Form { body: "Long story".to_owned(), ..Form::new(1, DateTime::UNIX_EPOCH) });
    let state = signed_in().reduce(Action::DraftKept(form.clone())).reduce(Action::Folder(Folder::Drafts));
    assert_eq!(state.items(), [Item::Draft(form)]);
    assert_eq!(state.clone().reduce(Action::Search("story".to_owned())).items().len(), 1);
    assert_eq!(state.reduce(Action::Search("tale".to_owned())).items().len(), 0);
}

#[test]
fn a_refused_sign_in_leaves_nothing_behind() {
    let state = three().reduce(Action::Drawer(true)).reduce(Action::SignInRefused("no".to_owned()));
    assert_eq!(state, State { refusal: Some("no".to_owned()), drawer: true, ..State::default() });
    assert_eq!(three().reduce(Action::SignedOut), State::default());
}
