mod compose;

use chrono::DateTime;
use mail_core::message::address::Address;
use mail_core::message::parsed::Summary;

use super::mailbox::{Loading, Removal};
use super::*;
use crate::model::fetched_message::FetchedMessage;
use crate::model::filing::Filing;
use crate::model::message::{BodyIndex, HeaderSummary, Listing};
use crate::model::search::Search;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn listing(id: &str, number: u64) -> Listing {
    Listing { unique_id: id.to_owned(), number, octets: number * 100 }
}

fn listed(ids: &[&str]) -> MailboxAction {
    MailboxAction::Listed((1..).zip(ids).map(|(number, id)| listing(id, number)).collect())
}

fn header(from: &str, subject: &str, minute: u32) -> Rc<HeaderSummary> {
    let header = format!(
        "From: {from}\r\nSubject: {subject}\r\nDate: Sun, 22 Nov 2026 19:{minute:02}:00 +0000\r\n\r\n"
    );
    Rc::new(HeaderSummary::new(&Summary::parse(header.as_bytes()), fold))
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn search(text: &str) -> UiAction {
    UiAction::Search(Search::parse(text, fold, |day| day.and_hms_opt(0, 0, 0).unwrap().and_utc()))
}

fn opening(id: &str) -> UiAction {
    UiAction::Opening { folder: Folder::Inbox, id: id.to_owned() }
}

fn strings<const COUNT: usize>(ids: [&str; COUNT]) -> Vec<String> {
    ids.map(str::to_owned).into()
}

fn sign_in(snapshot: Snapshot) -> Action {
    let address = Some(Address::parse("gb@iit.edu").unwrap());
    let account = Account { id: "gb".to_owned(), name: "gb".to_owned(), address, addresses: Vec::new() };
    Action::SignedIn { account, snapshot: Box::new(snapshot) }
}

fn signed_in() -> State {
    State::default().reduce(sign_in(Snapshot::default()))
}

/// Three messages: a, b and c, in that order.
fn three() -> State {
    let headers = vec![
        ("a".to_owned(), header("Zoe <z@iit.edu>", "Apples", 1)),
        ("b".to_owned(), header("ag@iit.edu", "Bread and apples", 3)),
        ("c".to_owned(), header("Ag <ag@iit.edu>", "cheese", 2)),
    ];
    signed_in().reduce(listed(&["a", "b", "c"])).reduce(MailboxAction::Headers(headers))
}

fn ids(state: &State) -> String {
    state.items().iter().map(|item| item.id().to_owned()).collect()
}

fn parsed(raw: &'static [u8]) -> Rc<FetchedMessage> {
    Rc::new(FetchedMessage::parse(raw, mail_core::message::platform::Platform::NONE))
}

fn opened(state: State, id: &str) -> State {
    let content = parsed(b"Subject: x\r\n\r\nunusual words\r\n");
    let body = content.body_index(fold);
    state
        .reduce(opening(id))
        .reduce(UiAction::Opened { id: id.to_owned(), content })
        .reduce(MailboxAction::Opened { id: id.to_owned(), body })
}

fn moved(state: State, rows: isize) -> State {
    let cursor = state.cursor_after(rows);
    state.reduce(UiAction::Cursor(cursor))
}

fn count(state: &State, folder: Folder) -> usize {
    folder_count(&state.mailbox, &state.compose.drafts, &folder)
}

fn draft(number: u128) -> DraftForm {
    DraftForm::new(number, DateTime::UNIX_EPOCH)
}

#[test]
fn headers_fill_the_list_and_the_progress_bar() {
    let state = signed_in().reduce(listed(&["a", "b"]));
    assert_eq!(state.mailbox.loading, Some(Loading { done: 0, total: 2 }));
    let state = state.reduce(MailboxAction::Headers(vec![("b".to_owned(), header("x@y", "s", 1))]));
    assert_eq!(state.mailbox.loading, Some(Loading { done: 1, total: 2 }));
    assert_eq!(ids(&state), "ba");
    let state =
        state.reduce(MailboxAction::LoadingEnded).reduce(SessionAction::Checked(DateTime::UNIX_EPOCH));
    assert_eq!((state.mailbox.loading, &state.session.connection), (None, &ConnectionStatus::Idle));
}

#[test]
fn list_sorts_by_every_key() {
    let order = |sort| ids(&three().reduce(UiAction::Sort(sort)));
    assert_eq!(Sort::ALL.map(order), ["bca", "acb", "cba", "abc", "cba"]);
}

#[test]
fn search_matches_all_words_in_header_and_opened_text() {
    let found = |words: &str| ids(&opened(three(), "a").reduce(search(words)));
    assert_eq!(found("APPLES"), "ba");
    assert_eq!(found("apples bread"), "b");
    assert_eq!(found("ag@iit"), "bc");
    assert_eq!(found("zoe"), "a");
    assert_eq!(found("unusual"), "a");
    assert_eq!(found("nothing"), "");
}

#[test]
fn stored_search_text_survives_headers_and_listings() {
    let message = |id: &str, text: Option<&str>| {
        Rc::new(Message {
            id: id.to_owned(),
            body: text.map(|text| BodyIndex::new(text, fold)),
            ..Message::default()
        })
    };
    let messages = vec![message("a", Some("long-kept words")), message("b", None)];
    let state = State::default()
        .reduce(sign_in(Snapshot { messages, ..Snapshot::default() }))
        .reduce(search("Kept apples"));
    assert_eq!(ids(&state), "");
    let headers = vec![("a".to_owned(), header("z@iit.edu", "Apples", 1))];
    let state = state.reduce(MailboxAction::Headers(headers));
    assert_eq!(ids(&state), "a");
    assert_eq!(ids(&state.reduce(listed(&["b", "a"]))), "a");
}

#[test]
fn listing_keeps_local_data_and_drops_deleted_messages() {
    let state = opened(three(), "b")
        .reduce(MailboxAction::SetStarred { ids: strings(["c"]), starred: true })
        .reduce(MailboxAction::Stored(strings(["b"])))
        .reduce(listed(&["b", "c", "d"]));
    assert_eq!(state.mailbox.loading, Some(Loading { done: 0, total: 1 }));
    let [b, c, d] = &state.mailbox.messages[..] else { panic!("{:?}", state.mailbox.messages) };
    assert!(b.read && b.stored && b.header.is_some() && c.starred && !d.read && d.header.is_none());
    assert_eq!((b.number, state.mailbox.unread(), state.mailbox.stored()), (Some(1), 2, 1));
    assert_eq!(Folder::FIXED.map(|folder| count(&state, folder)), [2, 1, 0, 0, 0, 0]);
}

#[test]
fn cursor_stays_in_the_list() {
    let state = moved(three(), 1);
    assert_eq!(state.ui.cursor.as_deref(), Some("b"));
    let state = moved(moved(state, 1), 9);
    assert_eq!(state.ui.cursor.as_deref(), Some("a"));
    assert_eq!(moved(state, -9).ui.cursor.as_deref(), Some("b"));
    assert_eq!(moved(signed_in(), 1).ui.cursor, None);
}

#[test]
fn neighbour_is_the_next_row_or_the_previous_at_the_end() {
    let state = three();
    let neighbour = |ids: &[&str]| {
        let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        state.neighbour(&ids).unwrap_or_default()
    };
    // The order is b, c, a.
    assert_eq!([&["b"][..], &["c"], &["a"], &["x"]].map(neighbour), ["c", "a", "c", ""]);
    assert_eq!(
        [&["b", "c"][..], &["c", "a"], &["b", "a"], &["a", "b", "c"]].map(neighbour),
        ["a", "b", "c", ""]
    );
    assert_eq!([false, true].map(|last| state.outermost_row(last).unwrap()), ["b", "a"]);
}

#[test]
fn selection_extends_from_the_last_selected_row_and_ends_with_the_folder() {
    let selected = |state: &State| state.selected_ids().concat();
    // The order is b, c, a.
    let state = three().reduce(UiAction::ToggleSelected("c".to_owned()));
    assert_eq!((selected(&state).as_str(), state.rows_to("a").concat()), ("c", "ca".to_owned()));
    assert_eq!(state.rows_to("b").concat(), "bc");
    let state = state.clone().reduce(UiAction::Select(state.rows_to("a")));
    assert_eq!(selected(&state), "ca");
    let state = state.reduce(UiAction::ToggleSelected("a".to_owned()));
    assert_eq!(selected(&state), "c");
    // A message that another client has deleted is not selected.
    assert_eq!(selected(&state.clone().reduce(listed(&["a", "b"]))), "");
    assert_eq!(selected(&state.clone().reduce(search("cheese"))), "");
    assert_eq!(selected(&state.clone().reduce(UiAction::Folder(Folder::Starred))), "");
    assert_eq!(selected(&state.reduce(UiAction::ClearSelection)), "");
    // Without a selected row, the cursor is the start.
    let state = three().reduce(UiAction::Cursor(Some("b".to_owned())));
    assert_eq!(state.rows_to("c").concat(), "bc");
    assert_eq!(state.rows_to("x"), [""; 0]);
}

#[test]
fn several_messages_are_marked_and_removed_together() {
    let state = three()
        .reduce(MailboxAction::SetRead { ids: strings(["a", "c"]), read: true })
        .reduce(MailboxAction::SetStarred { ids: strings(["a", "b"]), starred: true });
    let [a, b, c] = &state.mailbox.messages[..] else { panic!("{:?}", state.mailbox.messages) };
    assert_eq!(
        [a, b, c].map(|message| (message.read, message.starred)),
        [(true, true), (false, true), (true, false)]
    );
    let state = state.reduce(MailboxAction::Remove(strings(["a", "c"])));
    assert_eq!((ids(&state).as_str(), state.mailbox.removal.undoable.len()), ("b", 2));
    assert_eq!(ids(&state.reduce(MailboxAction::UndoRemoval)), "bca");
}

#[test]
fn newest_messages_without_a_text_are_missing_within_the_budget() {
    // They have 100, 200 and 300 octets.
    let missing = |state: &State, octets| state.mailbox.missing(octets, 250).concat();
    let state = three();
    assert_eq!(missing(&state, 1_000), "ba", "c is too large");
    assert_eq!(
        (missing(&state, 300), missing(&state, 299), missing(&state, 199)),
        ("ba".into(), "b".into(), "".into())
    );
    let body = BodyIndex::new("x", fold);
    let state = state.reduce(MailboxAction::Indexed(vec![("b".to_owned(), body)]));
    assert_eq!(missing(&state, 299), "", "the fetched message counts while it is being stored");
    let state = state.reduce(MailboxAction::Stored(strings(["b"])));
    assert_eq!((missing(&state, 300), missing(&state, 299)), ("a".into(), "".into()));
    assert_eq!(missing(&state.reduce(MailboxAction::Remove(strings(["a"]))), 1_000), "");
}

#[test]
fn search_covers_all_folders_and_reports_the_searched_texts() {
    let copy = Rc::new(Message {
        id: "s".to_owned(),
        header: Some(header("gb@iit.edu", "Apple pie", 9)),
        read: true,
        body: Some(BodyIndex::new("Flour", fold)),
        ..Message::default()
    });
    let form = Rc::new(DraftForm { subject: "An apple".to_owned(), ..draft(1) });
    let state = opened(three(), "a")
        .reduce(MailboxAction::SentCopyStored(copy))
        .reduce(ComposeAction::Save(form.clone()))
        .reduce(UiAction::Folder(Folder::Sent));
    let found = |text: &str| ids(&state.clone().reduce(search(text)));
    let all = found("apple");
    assert!(["s", "b", "a", &form.id].iter().all(|id| all.contains(id)) && !all.contains('c'), "{all}");
    assert_eq!(found("from:ag"), "bc");
    assert_eq!(found("from:zoe subject:apples"), "a");
    assert_eq!(found("is:unread apples"), "b");
    assert_eq!(found("flour"), "s");
    assert_eq!(found("has:attachment"), "");
    assert_eq!(found("before:2026-11-22 from:gb"), "");
    assert_eq!(found("after:2026-11-22 before:2026-11-23 from:gb"), "s");
    assert_eq!(search_coverage(&state.mailbox), (2, 4));
    let folder = |id: &str| folder_of(&state.mailbox, &state.compose.drafts, id);
    assert_eq!([folder("a"), folder("s"), folder(&form.id)], [Folder::Inbox, Folder::Sent, Folder::Drafts]);
}

#[test]
fn archived_messages_leave_the_inbox_and_labels_are_folders() {
    let filing = |archived, labels: &[&str]| Filing {
        archived,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    let filed = |id: &str, filing, undoable| MailboxAction::Filed {
        filings: vec![(id.to_owned(), filing), ("x".to_owned(), Filing::default())],
        undoable,
    };
    let state = three().reduce(filed("a", filing(false, &["tax", "Bills"]), false)).reduce(filed(
        "b",
        filing(true, &["Bills"]),
        true,
    ));
    let in_folder = |folder| ids(&state.clone().reduce(UiAction::Folder(folder)));
    let label = |label: &str| Folder::Label(label.into());
    assert_eq!(
        [Folder::Inbox, Folder::Archive, label("Bills"), label("tax"), label("none")].map(in_folder),
        ["ca", "b", "ba", "a", ""]
    );
    assert_eq!((state.mailbox.unread(), state.mailbox.filed()), (2, 2));
    let folders = counted_folders(&state.mailbox, &[]);
    assert_eq!(folders[Folder::FIXED.len()..], [(label("Bills"), 2), (label("tax"), 1)]);
    let found = |text: &str| ids(&state.clone().reduce(search(text)));
    assert_eq!(
        (found("apples"), found("label:bill"), found("label:bills label:tax")),
        ("ba".into(), "ba".into(), "a".into())
    );
    assert_eq!(folder_of(&state.mailbox, &[], "b"), Folder::Archive);
    assert_eq!(state.mailbox.refiled, [("b".to_owned(), Filing::default())]);
    assert!(state.clone().reduce(MailboxAction::FilingSettled).mailbox.refiled.is_empty());
    // Listings keep it.
    let state = state.reduce(listed(&["b", "c"]));
    assert_eq!(state.mailbox.messages[0].filing, filing(true, &["Bills"]));
}

#[test]
fn trash_has_deleted_messages_until_they_are_restored_or_gone() {
    let state =
        three().reduce(MailboxAction::Remove(strings(["a", "b"]))).reduce(MailboxAction::StartRemoval);
    let trash = |state: &State| ids(&state.clone().reduce(UiAction::Folder(Folder::Trash)));
    assert_eq!((trash(&state), count(&state, Folder::Trash)), ("ba".to_owned(), 2));
    assert_eq!(folder_of(&state.mailbox, &[], "a"), Folder::Trash);
    let state = state.reduce(MailboxAction::Removed(strings(["b"])));
    let state = state.reduce(MailboxAction::RemovalFailed(strings(["a"])));
    assert_eq!((trash(&state), ids(&state)), (String::new(), "ca".to_owned()));
    assert!(!Action::from(UiAction::Folder(Folder::Trash)).ends_undo());
}

#[test]
fn removal_can_be_undone_until_it_starts() {
    let state = three().reduce(MailboxAction::Remove(strings(["b"])));
    assert_eq!(ids(&state), "ca");
    assert_eq!(ids(&state.clone().reduce(MailboxAction::UndoRemoval)), "bca");
    let state = state.reduce(MailboxAction::StartRemoval).reduce(MailboxAction::UndoRemoval);
    assert_eq!(ids(&state), "ca");
    let removed = state.clone().reduce(MailboxAction::Removed(vec!["b".to_owned()]));
    assert_eq!((ids(&removed).as_str(), &removed.mailbox.removal), ("ca", &Removal::default()));
    assert_eq!(ids(&state.reduce(MailboxAction::RemovalFailed(vec!["b".to_owned()]))), "bca");
}

#[test]
fn deleted_sent_copy_leaves_the_sent_folder_only() {
    let copy = Rc::new(Message { id: "a".to_owned(), ..Message::default() });
    let state = three().reduce(MailboxAction::SentCopyStored(copy)).reduce(UiAction::Folder(Folder::Sent));
    assert_eq!(ids(&state), "a");
    let state = state.reduce(MailboxAction::SentCopiesDeleted(strings(["a"])));
    assert_eq!((state.mailbox.sent.len(), state.mailbox.messages.len()), (0, 3));
}

/// With a search for each message, this takes a minute.
#[test]
fn all_of_many_messages_are_selected_and_removed_at_once() {
    let all: Vec<_> = (0..30_000).map(|number| number.to_string()).collect();
    let ids: Vec<_> = all.iter().map(String::as_str).collect();
    let state = signed_in().reduce(listed(&ids)).reduce(UiAction::Select(all.clone()));
    assert_eq!(state.selected_ids().len(), all.len());
    assert_eq!(state.neighbour(&all), None);
    assert_eq!(state.mailbox.messages_of(&all).len(), all.len());
    let state = state.reduce(MailboxAction::Remove(all.clone())).reduce(MailboxAction::StartRemoval);
    let state = state.reduce(listed(&ids));
    assert_eq!(state.mailbox.removal.in_progress.len(), all.len());
    let failed = state.clone().reduce(MailboxAction::RemovalFailed(all.clone()));
    assert_eq!(failed.mailbox.removal, Removal::default());
    let state = state.reduce(MailboxAction::Removed(all.clone()));
    assert!(state.mailbox.messages.is_empty() && state.mailbox.removal == Removal::default());
}

#[test]
fn resumed_removal_cannot_be_undone() {
    let state = three().reduce(MailboxAction::ResumeRemoval(vec!["b".to_owned()]));
    assert_eq!(ids(&state.reduce(MailboxAction::UndoRemoval)), "ca");
}

#[test]
fn next_action_of_the_user_ends_the_time_for_undo() {
    let draft = Rc::new(DraftForm::new(1, DateTime::UNIX_EPOCH));
    for action in [
        Action::from(UiAction::Folder(Folder::Sent)),
        opening("a").into(),
        MailboxAction::Remove(strings(["a"])).into(),
        MailboxAction::SetStarred { ids: strings(["a"]), starred: true }.into(),
        ComposeAction::New(draft.clone()).into(),
        ComposeAction::Discard(draft).into(),
    ] {
        assert!(action.ends_undo(), "{action:?}");
    }
    for action in [
        Action::from(UiAction::Cursor(None)),
        UiAction::CloseMessage.into(),
        MailboxAction::UndoRemoval.into(),
        MailboxAction::LoadingEnded.into(),
        SessionAction::Connection(ConnectionStatus::Idle).into(),
    ] {
        assert!(!action.ends_undo(), "{action:?}");
    }
}

#[test]
fn removal_of_a_message_deleted_elsewhere_ends() {
    let state = three().reduce(MailboxAction::Remove(strings(["a"]))).reduce(listed(&["b"]));
    assert_eq!(state.mailbox.removal, Removal::default());
    assert_eq!(ids(&state), "b");
}

#[test]
fn late_content_does_not_replace_another_message() {
    let state = three().reduce(opening("a")).reduce(opening("b"));
    let state = state.reduce(UiAction::Opened { id: "a".to_owned(), content: parsed(b"x") });
    let open = state.ui.open.as_ref().unwrap();
    assert_eq!((open.id.as_str(), &open.content), ("b", &Content::Loading));
    let state = state.reduce(UiAction::OpenFailed { id: "b".to_owned(), error: "gone".to_owned() });
    assert_eq!(state.ui.open.as_ref().unwrap().content, Content::Failed("gone".to_owned()));
}

#[test]
fn drafts_are_listed_and_searched() {
    let form = Rc::new(DraftForm { body: "Long story".to_owned(), ..draft(1) });
    let state =
        signed_in().reduce(ComposeAction::Save(form.clone())).reduce(UiAction::Folder(Folder::Drafts));
    assert_eq!(state.items(), [ListItem::Draft(form)]);
    assert_eq!(state.clone().reduce(search("story")).items().len(), 1);
    assert_eq!(state.reduce(search("tale")).items().len(), 0);
}

fn signed_out(error: Option<String>) -> Action {
    Action::SignedOut { error, username: "gb@iit.edu".to_owned() }
}

#[test]
fn sign_out_clears_everything_but_the_protocol_log_panel() {
    let error = Some("no".to_owned());
    let state = three().reduce(UiAction::ProtocolLog(true)).reduce(signed_out(error.clone()));
    let username = "gb@iit.edu".to_owned();
    assert_eq!(*state.session, SessionState { sign_in_error: error, username, ..SessionState::default() });
    assert_eq!(*state.ui, UiState { protocol_log: true, ..UiState::default() });
    assert_eq!((&*state.mailbox, &*state.compose), (&MailboxState::default(), &ComposeState::default()));
    let session = Rc::new(SessionState { username: "gb@iit.edu".to_owned(), ..SessionState::default() });
    assert_eq!(three().reduce(signed_out(None)), State { session, ..State::default() });
}

#[test]
fn found_address_completes_the_account() {
    let account =
        Account { id: "gb".to_owned(), name: "gb".to_owned(), address: None, addresses: Vec::new() };
    assert_eq!(account.label(), "gb");
    let state = State::default()
        .reduce(Action::SignedIn { account, snapshot: Box::default() })
        .reduce(SessionAction::AddressFound(Address::parse("gb@iit.edu").unwrap()));
    assert_eq!(state.session.account.as_ref().unwrap().label(), "gb@iit.edu");
}
