//! Mail as it occurs in practice: directions of text, colours, answers to HTML, subjects and lists of recipients.

use browser_tests::Fixture;
use serde_json::json;

use crate::sample_mails::html;
use crate::{assert_no_console_errors, open_inbox};

#[tokio::test]
async fn hebrew_text_is_set_from_right_to_left() {
    let mail = "From: =?utf-8?B?16jXldeq?= <ruth@example.org>\nTo: gb@iit.edu\nSubject: =?utf-8?B?16nXnNeV150=?=\n\
                MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nשלום עולם.\nHello world.\n";
    let fixture = open_inbox(&[mail]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("שלום").await;
    page.wait_for_text("שלום עולם.").await;
    let directions = "return ['.row b', '.row .subject', '.title', '.meta .from bdi'] \
        .map((element) => getComputedStyle(document.querySelector(element)).direction)";
    assert_eq!(page.run(directions, vec![]).await, json!(["rtl", "rtl", "rtl", "rtl"]));
    // The side at which each line of the text begins.
    let lines = "const text = document.querySelector('.text div'); const [node] = text.childNodes; \
        const { left, right } = text.getBoundingClientRect(); const lines = node.data.split('\\n'); \
        return lines.map((line, at) => { \
            const start = lines.slice(0, at).join('\\n').length + (at > 0); const range = document.createRange(); \
            range.setStart(node, start); range.setEnd(node, start + line.length); \
            const box = range.getBoundingClientRect(); \
            return Math.abs(box.left - left) < 2 ? 'left' : Math.abs(box.right - right) < 2 ? 'right' : [box.left, box.right, left, right] })";
    assert_eq!(page.run(lines, vec![]).await, json!(["right", "left"]));
    page.screenshot("hebrew-message").await;
    page.press("Reply").await;
    page.type_at_start("Text", "שלום").await;
    let direction = "return getComputedStyle(document.querySelector('textarea')).direction";
    assert_eq!(page.run(direction, vec![]).await, "rtl");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn text_is_readable_on_dark_backgrounds() {
    let dark = html(
        "Dark body",
        "<html><body style='background-color:#000'><p style='color:#fff'>light</p></body></html>",
    );
    let legacy =
        html("Legacy body", "<html><body bgcolor='#000000' text='#ffffff'><p>light</p></body></html>");
    let lost = html("Style sheet", "<style>body{background:#000}</style><p style='color:#fff'>light</p>");
    let image = html("Lost image", "<div style='background:url(x)'><p style='color:white'>light</p></div>");
    let fixture = open_inbox(&[&dark, &legacy, &lost, &image]).await;
    let Fixture { page, .. } = &fixture;
    let colours = "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('p')).color]";
    let (black, white, none, ink) =
        ("rgb(0, 0, 0)", "rgb(255, 255, 255)", "rgba(0, 0, 0, 0)", "rgb(28, 36, 48)");
    for (subject, background, text) in [
        ("Dark body", black, white),
        ("Legacy body", black, white),
        ("Style sheet", black, white),
        ("Lost image", none, ink),
    ] {
        page.open_row(subject).await;
        page.wait_for("heading", subject).await;
        page.wait_for_message_text("light").await;
        assert_eq!(page.run_in_message(colours).await, Some(json!([background, text])), "{subject}");
        page.screenshot(&format!("colours-{}", subject.replace(' ', "-"))).await;
    }
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn delivery_report_is_shown_as_sentences() {
    let status = "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; x@y.example\nAction: failed\nStatus: 5.2.2\n\
                  Diagnostic-Code: smtp; 552 5.2.2 <b>no room</b>\n\n\
                  Final-Recipient: rfc822; z@y.example\nAction: delayed\nStatus: 4.4.1\n";
    let mail = format!(
        "From: MAILER-DAEMON@mx.example\nTo: gb@iit.edu\nSubject: Mail not delivered\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
    );
    let fixture = open_inbox(&[&mail]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Mail not delivered").await;
    page.wait_for_text("Sorry.").await;
    for sentence in [
        "Not delivered to x@y.example: the mailbox is full. The server said: \"552 5.2.2 <b>no room</b>\"",
        "Not delivered to z@y.example yet: the mail server does not answer.",
    ] {
        page.wait_for_text(sentence).await;
    }
    page.screenshot("delivery-report").await;
    assert_no_console_errors(page).await;
}

/// A narrow cell beside a wide one. Its words must not be broken into letters.
#[tokio::test]
async fn table_cells_keep_whole_words() {
    let table = "<table width=100%><tr><td>Total</td><td width=100%>Everything else in this wide cell</td></tr></table>";
    let long = format!("<p>{}</p>", "x".repeat(2_000));
    let fixture = open_inbox(&[&html("Table", &format!("{table}{long}"))]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Table").await;
    page.wait_for_message_text("Total").await;
    let sizes = "const cell = document.querySelector('td'); \
        return [cell.clientHeight < 40, document.documentElement.scrollWidth <= innerWidth]";
    page.wait_until("one line, and no horizontal scroll bar", async || {
        page.run_in_message(sizes).await == Some(json!([true, true]))
    })
    .await;
    assert_no_console_errors(page).await;
}

/// The text part is a stub; the page shows the HTML.
const STUB: &str = "From: shop@example.org\nTo: gb@iit.edu\nSubject: AW: Re[2]: Your order\nMIME-Version: 1.0\n\
    Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nPlease view this mail in HTML.\n\
    --b\nContent-Type: text/html\n\n<p>Your order:</p><ol start=2><li>two apples<li>three pears</ol>\
    <blockquote>Are they ripe?</blockquote>\n--b--\n";

#[tokio::test]
async fn answers_contain_the_displayed_text() {
    let empty =
        STUB.replace("Please view this mail in HTML.", "").replace("AW: Re[2]: Your order", "Fw: WG: Empty");
    let fixture = open_inbox(&[STUB, &empty]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Your order").await;
    page.wait_for_message_text("three pears").await;
    page.press("Reply").await;
    page.wait_until("the subject", async || page.value("Subject").await == "Re: Your order").await;
    let quoted = "> Your order:\n>\n> 2. two apples\n> 3. three pears\n>\n>> Are they ripe?\n";
    page.press("Plain text").await;
    page.wait_for("button", "Formatting").await;
    let body = page.value("Text").await;
    assert!(body.replace("> \n", ">\n").ends_with(quoted), "{body}");
    page.press("Discard").await;
    page.press("Discard draft").await;

    page.press("Forward").await;
    page.wait_until("the subject", async || page.value("Subject").await == "Fwd: AW: Re[2]: Your order")
        .await;
    page.press("Plain text").await;
    page.wait_for("button", "Formatting").await;
    let body = page.value("Text").await;
    assert!(body.ends_with("\n\nYour order:\n\n2. two apples\n3. three pears\n\n> Are they ripe?"), "{body}");
    page.press("Discard").await;
    page.press("Discard draft").await;

    // The user has chosen the text part.
    page.press("Show plain text").await;
    page.wait_for_text("Please view this mail in HTML.").await;
    page.press("Forward").await;
    page.wait_until("a form", async || page.value("Subject").await.starts_with("Fwd:")).await;
    assert!(page.value("Text").await.trim_end().ends_with("Please view this mail in HTML."));
    page.press("Discard").await;

    page.open_row("Empty").await;
    page.wait_for_message_text("three pears").await;
    page.press("Forward").await;
    page.wait_until("the subject", async || page.value("Subject").await == "Fwd: Empty").await;
    page.press("Plain text").await;
    page.wait_for("button", "Formatting").await;
    assert!(page.value("Text").await.contains("3. three pears"));
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn pasted_lists_become_recipients() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    let chips = "return [...document.querySelectorAll('.chips')].flatMap((field) => \
        [...field.querySelectorAll('.chip')].map((chip) => (chip.matches('.invalid') ? '!' : '') + chip.innerText.trim()))";
    let three = json!(["ann@iit.edu", "john@iit.edu", "bob@iit.edu"]);
    for list in [
        "Ann <ann@iit.edu>, \"Doe, John\" <john@iit.edu>, bob@iit.edu",
        "ann@iit.edu; john@iit.edu ;bob@iit.edu;",
        "ann@iit.edu\njohn@iit.edu\r\nbob@iit.edu\n",
        "ann@iit.edu john@iit.edu bob@iit.edu",
        "ann@iit.edu\tjohn@iit.edu\tbob@iit.edu",
        "'Ann' <ann@iit.edu>; Doe, John <john@iit.edu>\n\u{200b}mailto:bob@iit.edu\u{a0}",
    ] {
        page.paste("To", list).await;
        page.wait_until(&format!("the addresses of {list:?}"), async || {
            page.run(chips, vec![]).await == three
        })
        .await;
        for name in ["ann", "john", "bob"] {
            page.press(&format!("Remove {name}@iit.edu")).await;
        }
    }
    // A single address can be corrected before it becomes a chip.
    page.paste("To", "\u{200b}ann@iit.edu").await;
    assert_eq!(page.value("To").await.trim_start_matches('\u{200b}'), "ann@iit.edu");
    page.fill("Subject", "x").await;
    page.wait_until("a chip", async || page.run(chips, vec![]).await == json!(["ann@iit.edu"])).await;
    page.paste("To", "nobody; john doe@iit.edu").await;
    let all = json!(["ann@iit.edu", "!nobody", "!john doe@iit.edu"]);
    page.wait_until("invalid chips", async || page.run(chips, vec![]).await == all).await;
    page.screenshot("pasted-recipients").await;
    assert_no_console_errors(page).await;
}
