use super::*;
use crate::model::rich_text::{Content, Image, Run, Style};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn form() -> DraftForm {
    DraftForm::new(7, DateTime::UNIX_EPOCH)
}

fn typed(text: &str) -> Recipients {
    Recipients { chips: Vec::new(), typed: text.to_owned() }
}

#[test]
fn commit_typed_makes_unique_chips() {
    let mut to = typed("gb@iit.edu, <ag@iit.edu>, gb@iit.edu");
    to.commit_typed();
    assert_eq!(
        to,
        Recipients { chips: vec!["gb@iit.edu".into(), "ag@iit.edu".into()], typed: String::new() }
    );
    to.typed = "nobody; at all".to_owned();
    to.commit_typed();
    assert_eq!(to.chips[2..], ["nobody", "at all"]);
    to.edit_last_chip();
    assert_eq!((to.chips.len(), to.typed.as_str()), (3, "at all"));
    assert!(is_address("gb@iit.edu") && !is_address("nobody"));
}

#[test]
fn pasted_lists_become_one_chip_for_each_address() {
    for (list, chips) in [
        (
            "\"Doe, John\" <john@iit.edu>\nann@iit.edu\tbob@iit.edu",
            vec!["john@iit.edu", "ann@iit.edu", "bob@iit.edu"],
        ),
        ("\u{200b}ann@iit.edu bob@iit.edu, ", vec!["ann@iit.edu", "bob@iit.edu"]),
        // The space may be a mistake.
        ("john doe@iit.edu", vec!["john doe@iit.edu"]),
    ] {
        let mut to = typed(list);
        to.commit_typed();
        assert_eq!((to.chips, to.typed.as_str()), (chips.into_iter().map(str::to_owned).collect(), ""));
    }
    let finished = |text: &str| typed(text).is_entry_finished();
    assert!(finished("ann@iit.edu,") && finished("\"Doe, John\" <john@iit.edu>;"));
    assert!(!finished("\"Doe,") && !finished(", ,") && !finished("ann@iit.edu"));
}

#[test]
fn missing_fields_are_reported_only_on_send() {
    let form = form();
    assert_eq!(form.problems(false), Problems::default());
    assert_eq!(form.problems(true).to.as_deref(), Some("Add a recipient."));
    let half_typed = DraftForm { to: typed("gb@"), ..form };
    assert_eq!(half_typed.problems(false), Problems::default());
    assert!(half_typed.problems(true).to.is_some_and(|error| error.contains("domain")));
}

#[test]
fn invalid_fields_are_reported_while_typing() {
    let mut form = DraftForm { subject: "x".repeat(120), cc: typed("x y"), ..form() };
    form.cc.commit_typed();
    let problems = form.problems(false);
    assert_eq!(problems.cc.as_deref(), Some("Add a full address, such as name@example.org."));
    assert_eq!(problems.subject.as_deref(), Some("Subject is 20 characters too long."));
    assert_eq!(form.subject_chars_left(), -20);
    form.subject = "x".repeat(101);
    assert_eq!(form.problems(false).subject.as_deref(), Some("Subject is 1 character too long."));
}

#[test]
fn valid_form_becomes_a_draft() {
    let me = Address::parse("ag@iit.edu").unwrap();
    let form =
        DraftForm { to: typed("gb@iit.edu"), bcc: typed("cd@iit.edu"), subject: " x ".into(), ..form() };
    let draft = form.draft(&me).unwrap();
    assert_eq!((draft.subject.as_str(), draft.recipients().len()), ("x", 2));
    let again = DraftForm::from_draft(draft, 7, DateTime::UNIX_EPOCH);
    assert_eq!(again.recipients(), "gb@iit.edu, cd@iit.edu");
    assert!(DraftForm { to: typed("gb"), ..form.clone() }.draft(&me).is_err());
    assert_eq!(DraftForm { to: typed(" "), ..form }.draft(&me), Err(DraftError::NoRecipient));
}

#[test]
fn author_is_reminded_of_a_subject_and_an_attachment() {
    let reminder = |subject: &str, body: &str| {
        DraftForm { subject: subject.to_owned(), body: body.to_owned(), ..form() }.reminder()
    };
    assert_eq!(reminder(" ", "x"), Some(Reminder::Subject));
    assert_eq!(reminder("x", "The plan is Attached."), Some(Reminder::Attachment));
    assert_eq!(reminder("x", "See the attachment"), Some(Reminder::Attachment));
    for body in ["Done.", "Yes.\n> It is attached.", "Yes.\n\n-- \nNo attachments, please", "unattached"] {
        assert_eq!(reminder("x", body), None, "{body}");
    }
    let file = Attachment {
        name: "x".into(),
        mime: "x/y".into(),
        content_id: None,
        content_location: None,
        bytes: vec![],
    };
    let form = DraftForm {
        subject: "x".into(),
        body: "It is attached.".into(),
        attachments: vec![Rc::new(file)],
        ..form()
    };
    assert_eq!(form.reminder(), None);
    let mut formatted = formatted(false);
    formatted.body = "It is attached.".into();
    assert_eq!(formatted.reminder(), None);
    formatted.attachments.retain(|file| file.content_id.is_some());
    assert_eq!(formatted.reminder(), Some(Reminder::Attachment), "images in the text");
}

fn image(id: &str) -> Rc<Attachment> {
    Rc::new(Attachment {
        name: format!("{id}.png"),
        mime: "image/png".into(),
        content_id: Some(id.to_owned()),
        content_location: None,
        bytes: vec![1],
    })
}

/// A draft with an image in its text, one in a quotation, one that was removed from the text, and an attachment.
fn formatted(is_forwarded: bool) -> DraftForm {
    let original =
        Original { html: "<img src=\"cid:quoted\">".into(), text: "> quoted\n".into(), is_forwarded };
    let mut rich = RichText { original: Some(Rc::new(original)), ..RichText::from_plain("Hello") };
    let shown = Image { content_id: "own".into(), alt: "cat".into() };
    let run = Run { content: Content::Image(Rc::new(shown)), style: Style::default() };
    rich.insert(rich.end(), run);
    let attached = Attachment { content_id: None, ..Attachment::clone(&image("file")) };
    let attachments = vec![image("own"), image("quoted"), image("removed"), Rc::new(attached)];
    let mut form = DraftForm { to: typed("gb@iit.edu"), subject: "x".into(), attachments, ..form() };
    form.set_rich(Rc::new(rich));
    form
}

fn file_names<'a>(files: impl IntoIterator<Item = &'a Rc<Attachment>>) -> Vec<&'a str> {
    files.into_iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn formatted_draft_is_sent_with_the_images_that_it_shows() {
    let form = formatted(false);
    assert_eq!(form.body, "Hello[cat]\n> quoted\n");
    assert_eq!(file_names(form.listed_attachments()), ["file.png"]);
    let draft = form.draft(&Address::parse("ag@iit.edu").unwrap()).unwrap();
    let sent: Vec<_> = draft.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(sent, ["own.png", "quoted.png", "file.png"]);
    let html = draft.html.unwrap();
    assert!(html.contains("Hello<img src=\"cid:own\"") && html.contains("cid:quoted"), "{html}");
    let mut plain = DraftForm::from_draft(Draft { html: None, ..draft }, 7, DateTime::UNIX_EPOCH);
    plain.set_formatted();
    assert_eq!(file_names(plain.listed_attachments()).len(), 3);
    assert!(plain.rich.unwrap().blocks.iter().any(|block| block.quote == 1));
}

#[test]
fn plain_draft_keeps_the_words_and_its_own_images() {
    let mut form = formatted(false);
    form.set_plain();
    assert_eq!((form.body.as_str(), form.rich.is_none()), ("Hello[cat]\n> quoted\n", true));
    assert_eq!(file_names(form.listed_attachments()), ["own.png", "file.png"]);
    let draft = form.draft(&Address::parse("ag@iit.edu").unwrap()).unwrap();
    assert_eq!((draft.html, draft.attachments.len()), (None, 2));
    let mut forwarded = formatted(true);
    forwarded.set_plain();
    assert_eq!(file_names(forwarded.listed_attachments()), ["own.png", "quoted.png", "file.png"]);
}

#[test]
fn backup_gets_its_large_original_back() {
    let stored = formatted(false);
    let mut backup = stored.clone();
    Rc::make_mut(backup.rich.as_mut().unwrap()).original = None;
    assert!(backup.lost_original(&stored).is_some());
    backup.body = "Hello[cat]".to_owned();
    assert!(backup.lost_original(&stored).is_none());
    assert!(stored.lost_original(&stored).is_none());
}

#[test]
fn id_encodes_the_number() {
    assert_eq!(DraftForm::new(u128::MAX, DateTime::UNIX_EPOCH).number(), u128::MAX);
    assert!(form().is_empty() && !DraftForm { body: "x".into(), ..form() }.is_empty());
}
