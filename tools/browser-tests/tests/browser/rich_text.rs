//! Composing with formatting.

use std::time::{Duration, Instant};

use browser_tests::{Fixture, Page, TIMEOUT};
use fantoccini::key::Key;
use serde_json::json;

use crate::sample_mails::{HTML, PLAIN, SQUARE};
use crate::{assert_no_console_errors, open_inbox, send};

/// A key with Control.
fn control(key: char) -> String {
    format!("{}{key}{}", Key::Control, Key::Null)
}

/// The HTML of the editor, with `cid` instead of the URLs of images.
async fn editor_html(page: &Page) -> String {
    let html =
        "return document.querySelector('.rich-text').innerHTML.replace(/src=\"blob:[^\"]*\"/g, 'src=cid')";
    page.run(html, vec![]).await.as_str().unwrap_or_default().to_owned()
}

async fn wait_for_html(page: &Page, expected: &str) {
    let start = Instant::now();
    while editor_html(page).await != expected && start.elapsed() < TIMEOUT {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(editor_html(page).await, expected);
}

async fn type_text(page: &Page, keys: &str) {
    let field = page.wait_for("field", "Text").await;
    field.send_keys(keys).await.expect("the field accepts text");
}

/// A new draft with a recipient.
async fn compose(page: &Page, subject: &str) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", subject).await;
}

/// A message without the soft line breaks and the most frequent escape of quoted-printable.
fn decoded(message: &str) -> String {
    message.replace("=\r\n", "").replace("=3D", "=")
}

/// Dispatches a paste or drop event with data of several types, and optionally an image.
async fn transfer(page: &Page, event: &str, data: &[(&str, &str)], image: Option<&str>) {
    let dispatch = "const [element, kind, entries, image] = arguments; const data = new DataTransfer(); \
        for (const [type, text] of entries) data.setData(type, text); \
        if (image) { \
            const bytes = Uint8Array.from(atob(image), (c) => c.charCodeAt(0)); \
            data.items.add(new File([bytes], 'square.png', { type: 'image/png' })); \
        } \
        const { left, top } = element.getBoundingClientRect(); \
        const options = { bubbles: true, cancelable: true, clientX: left + 20, clientY: top + 20 }; \
        element.focus(); \
        element.dispatchEvent(kind === 'drop' ? new DragEvent('drop', { ...options, dataTransfer: data }) \
            : new ClipboardEvent('paste', { ...options, clipboardData: data }))";
    let field = page.wait_for("field", "Text").await;
    let field = serde_json::to_value(&field).expect("an element reference");
    page.run(dispatch, vec![field, json!(event), json!(data), json!(image)]).await;
}

const FORMATTED: &str = "<p>Hello <b>bold</b> and <i>italic</i></p>\
    <ul><li><p>one</p></li><li><p>two</p></li></ul><p>end</p>";

async fn type_formatted(page: &Page) {
    let (bold, italic) = (control('b'), control('i'));
    type_text(page, &format!("Hello {bold}bold{bold} and {italic}italic{italic}\n")).await;
    page.press("Bulleted list").await;
    type_text(page, "one\ntwo\n\nend").await;
    wait_for_html(page, FORMATTED).await;
}

#[tokio::test]
async fn formatting_is_stored_and_sent_with_a_plain_alternative() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    compose(page, "Formatted").await;
    type_formatted(page).await;
    page.screenshot("rich-text").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Formatted").await;
    wait_for_html(page, FORMATTED).await;
    send(page).await;

    let message = decoded(&servers.first_message("ag"));
    assert!(message.contains("Content-Type: multipart/alternative"), "{message}");
    assert!(message.contains("Hello bold and italic\r\n- one\r\n- two\r\nend\r\n"), "{message}");
    let html =
        "<div>Hello <b>bold</b> and <i>italic</i></div><ul><li>one</li><li>two</li></ul><div>end</div>";
    assert!(message.contains(html), "{message}");
    page.press("Sent").await;
    page.open_row("Formatted").await;
    page.wait_for_message_text("italic").await;
    page.screenshot("rich-text-sent").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn text_without_formatting_is_sent_as_plain_text() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    compose(page, "Plain").await;
    type_text(page, "  two  spaces\n\"quoted\" & <b>").await;
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("Content-Type: text/plain"), "{message}");
    assert!(message.contains("\r\n\r\n  two  spaces\r\n\"quoted\" & <b>\r\n"), "{message}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn every_change_can_be_undone_and_redone() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    compose(page, "Undo").await;
    type_text(page, "one").await;
    type_text(page, &control('a')).await;
    type_text(page, &control('b')).await;
    wait_for_html(page, "<p><b>one</b></p>").await;
    page.press("Numbered list").await;
    page.press("Quote").await;
    let quoted = "<blockquote><ol><li><p><b>one</b></p></li></ol></blockquote>";
    wait_for_html(page, quoted).await;
    transfer(page, "paste", &[("text/plain", "a\nb")], None).await;
    let pasted = "<blockquote><ol><li><p>a</p></li></ol><p>b</p></blockquote>";
    wait_for_html(page, pasted).await;
    let steps =
        [quoted, "<ol><li><p><b>one</b></p></li></ol>", "<p><b>one</b></p>", "<p>one</p>", "<p><br></p>"];
    for step in steps {
        type_text(page, &control('z')).await;
        wait_for_html(page, step).await;
    }
    type_text(page, &control('z')).await;
    for _ in steps {
        type_text(page, &control('y')).await;
    }
    wait_for_html(page, pasted).await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn reply_quotes_html_as_html() {
    let fixture = open_inbox(&[HTML]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    page.press("Reply").await;
    page.wait_until("the subject", async || page.value("Subject").await == "Re: Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    type_text(page, "Thanks.").await;
    page.screenshot("rich-text-reply").await;
    page.press("Remove news@example.org").await;
    page.fill("To", "ag@iit.edu").await;
    send(page).await;
    let raw = servers.first_message("ag");
    let message = decoded(&raw);
    for part in [
        "Thanks.\r\n\r\nNewsletter <news@example.org> wrote:\r\n",
        "> you did not ask for, with a link <http://example.localhost/>.",
        "Content-Type: multipart/related",
        "<div>Thanks.</div>",
        "<blockquote type=\"cite\"",
        "<p>you <em>did not</em> ask for",
        "src=\"http://pictures.localhost/one.png\"",
        "Content-Disposition: inline",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(raw.replace("\r\n", "").contains(SQUARE), "{raw}");
    assert!(!message.contains("cid:square"), "{message}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn quotation_can_be_edited_and_removed() {
    let fixture = open_inbox(&[HTML]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    page.press("Reply").await;
    page.wait_for("button", "Remove the quoted message").await;
    page.press("Edit").await;
    page.wait_for_gone("button", "Remove the quoted message").await;
    let html = editor_html(page).await;
    assert!(html.contains("<blockquote><p><b>Ten things</b></p>"), "{html}");
    assert!(
        html.contains("you <i>did not</i> ask for, with a <a href=\"http://example.localhost/\">link</a>."),
        "{html}"
    );
    assert!(html.contains("<img src=cid alt=\"a square\""), "{html}");
    type_text(page, &control('z')).await;
    page.press("Remove the quoted message").await;
    page.wait_for_gone("button", "Remove the quoted message").await;
    wait_for_html(page, "<p><br></p><p><br></p>").await;
    type_text(page, &control('z')).await;
    page.wait_for("button", "Remove the quoted message").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn pasted_html_is_cleaned_and_images_become_part_of_the_text() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    compose(page, "Pasted").await;
    let hostile = "<p onclick=\"marked=1\" style=\"position:fixed\">a <b>b</b><script>marked=1</script></p>\
        <img src=x onerror=\"marked=1\" alt=\"lost\"><a href=\"javascript:marked=1\">c</a>\
        <a href=\"https://example.org/\">d</a>";
    transfer(page, "paste", &[("text/html", hostile), ("text/plain", "x")], None).await;
    wait_for_html(page, "<p>a <b>b</b></p><p><br></p><p>lostc<a href=\"https://example.org/\">d</a></p>")
        .await;
    assert_eq!(page.run("return window.marked ?? 0", vec![]).await, 0);

    type_text(page, &control('a')).await;
    type_text(page, "Look: ").await;
    transfer(page, "paste", &[], Some(SQUARE)).await;
    page.wait_until("the image", async || {
        editor_html(page).await.contains("<img src=cid alt=\"square.png\"")
    })
    .await;
    transfer(page, "drop", &[], Some(SQUARE)).await;
    let images = "return [...document.querySelectorAll('.rich-text img')].filter((one) => one.naturalWidth === 48).length";
    page.wait_until("two images", async || page.run(images, vec![]).await == 2).await;
    page.screenshot("rich-text-images").await;
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Pasted").await;
    page.wait_until("two stored images", async || page.run(images, vec![]).await == 2).await;
    send(page).await;
    let raw = servers.first_message("ag");
    let message = decoded(&raw);
    assert!(message.contains("multipart/related") && !message.contains("multipart/mixed"), "{message}");
    assert!(message.contains("L[square.png]ook: [square.png]\r\n"), "{message}");
    assert_eq!(message.matches("src=\"cid:").count(), 2, "{message}");
    assert_eq!(message.matches("Content-Disposition: inline").count(), 2, "{message}");
    assert_eq!(raw.replace("\r\n", "").matches(SQUARE).count(), 2, "{raw}");
    // The console has the violations that the policy reports while the sanitizer parses the HTML.
    assert_eq!(page.run("return window.marked ?? 0", vec![]).await, 0);
}

#[tokio::test]
async fn links_are_added_changed_and_removed() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    compose(page, "Link").await;
    type_text(page, "see").await;
    type_text(page, &control('a')).await;
    page.press("Link").await;
    page.fill("Address", "not an address").await;
    page.press("Apply").await;
    page.wait_for_text("Enter a web or mail address.").await;
    page.fill("Address", "example.org").await;
    page.screenshot("rich-text-link").await;
    page.press("Apply").await;
    wait_for_html(page, "<p><a href=\"https://example.org\">see</a></p>").await;
    // Text behind a link does not belong to it.
    type_text(page, &Key::End.to_string()).await;
    type_text(page, " you").await;
    wait_for_html(page, "<p><a href=\"https://example.org\">see</a> you</p>").await;
    type_text(page, &format!("{}{}{}", Key::Control, Key::Home, Key::Null)).await;
    type_text(page, &Key::Right.to_string()).await;
    type_text(page, &control('k')).await;
    page.press("Remove link").await;
    wait_for_html(page, "<p>see you</p>").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn plain_text_keeps_the_words_and_is_remembered() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, .. } = &fixture;
    compose(page, "Modes").await;
    type_formatted(page).await;
    page.press("Plain text").await;
    page.wait_for("button", "Formatting").await;
    assert_eq!(page.value("Text").await, "Hello bold and italic\n- one\n- two\nend");
    page.press("Formatting").await;
    wait_for_html(page, FORMATTED).await;
    page.press("Plain text").await;
    page.press("Save and close").await;
    page.press("Compose").await;
    page.wait_for("button", "Formatting").await;
    page.press("Formatting").await;
    page.wait_for("button", "Bold").await;
    page.press("Discard").await;
    // An answer to plain text is plain.
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.wait_for("button", "Formatting").await;
    page.press("Formatting").await;
    page.wait_until("the quotation", async || {
        editor_html(page)
            .await
            .contains("<blockquote><p>See you at five.</p><p>.this line begins with a dot</p>")
    })
    .await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn deletions_join_blocks_and_leave_lists() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    compose(page, "Keys").await;
    let (backspace, delete, left) =
        (Key::Backspace.to_string(), Key::Delete.to_string(), Key::Left.to_string());
    type_text(page, "ab\ncd").await;
    type_text(page, &left.repeat(2)).await;
    type_text(page, &backspace).await;
    wait_for_html(page, "<p>abcd</p>").await;
    type_text(page, "\n").await;
    type_text(page, &left).await;
    type_text(page, &delete).await;
    wait_for_html(page, "<p>abcd</p>").await;
    page.press("Bulleted list").await;
    type_text(page, &format!("{}{}{}", Key::Control, Key::Home, Key::Null)).await;
    type_text(page, &backspace).await;
    wait_for_html(page, "<p>abcd</p>").await;
    type_text(page, &format!("{}{}{}", Key::Shift, Key::Right.to_string().repeat(2), Key::Null)).await;
    type_text(page, "x").await;
    wait_for_html(page, "<p>xcd</p>").await;
    type_text(page, &format!("{}\n{}", Key::Shift, Key::Null)).await;
    wait_for_html(page, "<p>x<br>cd</p>").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn input_method_composes_text_in_the_chosen_style() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    compose(page, "Kana").await;
    type_text(page, "a ").await;
    type_text(page, &control('b')).await;
    page.compose_with_input_method(&["か", "かな"], "仮名").await;
    wait_for_html(page, "<p>a <b>仮名</b></p>").await;
    type_text(page, "!").await;
    wait_for_html(page, "<p>a <b>仮名!</b></p>").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn pasted_images_are_stored_at_once() {
    let fixture = open_inbox(&[]).await;
    let page = &fixture.page;
    compose(page, "Pasted").await;
    page.wait_for_text("Draft saved").await;
    // From here on, a pause in typing does not end.
    page.run("const wait = setTimeout; window.setTimeout = (act, ms, ...rest) => ms >= 500 ? 0 : wait(act, ms, ...rest)", vec![])
        .await;
    let pasted = format!("<p>Look: <img src=\"data:image/png;base64,{SQUARE}\" alt=square></p>");
    transfer(page, "paste", &[("text/html", &pasted), ("text/plain", "Look:")], None).await;
    page.wait_until("the stored image", async || page.stored_data().await.contains("image.png")).await;
    page.reload().await;
    page.wait_for("button", "Check mail").await;
    page.press("Drafts").await;
    page.open_row("Pasted").await;
    let is_drawn = "return [...document.querySelectorAll('.rich-text img')].map((one) => one.naturalWidth)";
    page.wait_until("the image", async || page.run(is_drawn, vec![]).await == json!([48])).await;
    assert_no_console_errors(page).await;
}
