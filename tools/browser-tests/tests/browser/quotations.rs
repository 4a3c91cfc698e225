//! Quotations in messages are folded.

use browser_tests::{Fixture, Page, Screen};

use crate::sample_mails::html;
use crate::{assert_no_console_errors, open_inbox, open_inbox_on};

const REPLY: &str = "\
From: Ag Mitra <ag@iit.edu>
To: gb@iit.edu
Subject: Re: Lunch

I will be there.

On Sunday, Gb wrote:
> Shall we meet?
>> At the old place?
> At noon.
";

const ANSWERS: &str = "\
From: Ag Mitra <ag@iit.edu>
To: gb@iit.edu
Subject: Answers

> Shall we meet?
Yes.
> When?
At noon.
";

async fn open(page: &Page, subject: &str, text: &str) {
    page.open_row(subject).await;
    page.wait_for_reader_text(text).await;
}

#[tokio::test]
async fn quotation_of_a_plain_message_is_folded_until_the_user_shows_it() {
    let fixture = open_inbox(&[REPLY, ANSWERS]).await;
    let Fixture { page, .. } = &fixture;
    open(page, "Re: Lunch", "I will be there.").await;
    page.wait_for("button", "Show quoted text").await;
    assert!(!page.text().await.contains("Shall we meet?"));
    page.screenshot("quotation-folded").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Show quoted text").await;
    page.wait_for_reader_text("Shall we meet?").await;
    // The bar replaces the marks.
    page.wait_for_reader_text("At noon.").await;
    assert!(!page.text().await.contains("> "));
    let bar = "const levels = [...document.querySelectorAll('.text blockquote div')]; \
               return levels.map((level) => getComputedStyle(level).paddingLeft)";
    assert_eq!(page.run(bar, vec![]).await, serde_json::json!(["12px", "24px", "12px"]));
    page.screenshot("quotation-shown").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Hide quoted text").await;
    page.wait_for_reader_text_gone("Shall we meet?").await;

    // Answers between quotations need them.
    open(page, "Answers", "Shall we meet?").await;
    page.wait_for_reader_text("When?").await;
    assert!(page.find("button", "Show quoted text").await.is_none());
    page.screenshot("quotation-answered").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn quotation_of_an_html_message_is_folded_until_the_user_shows_it() {
    let reply = "<div>I will be there.</div><div class=gmail_quote><div>On Sunday, Gb wrote:</div>\
                 <blockquote>Shall we meet?<blockquote>Where?</blockquote></blockquote></div><br>";
    let forwarded = "<p>FYI</p><blockquote type=cite>Begin forwarded message: the text</blockquote>";
    let answered = "<blockquote>Shall we meet?</blockquote><p>Yes.</p>";
    let alone = "<blockquote>Only this</blockquote>";
    let mails =
        [html("Re: Lunch", reply), html("Fwd", forwarded), html("Answered", answered), html("Alone", alone)];
    let fixture = open_inbox(&mails.each_ref().map(String::as_str)).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Re: Lunch").await;
    page.wait_for_message_text("I will be there.").await;
    let text = "return document.body.innerText";
    assert!(!page.run_in_message(text).await.is_some_and(|text| text.to_string().contains("Shall we meet?")));
    page.screenshot("html-quotation-folded").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Show quoted text").await;
    page.wait_for_message_text("Shall we meet?").await;
    page.screenshot("html-quotation-shown").await;
    page.press("Hide quoted text").await;
    page.wait_for("button", "Show quoted text").await;
    for (subject, shown) in [("Fwd", "the text"), ("Answered", "Shall we meet?"), ("Alone", "Only this")] {
        page.open_row(subject).await;
        page.wait_for_message_text(shown).await;
        assert!(page.find("button", "quoted text").await.is_none(), "{subject}");
    }
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn quotation_is_folded_in_the_dark_and_on_a_small_phone() {
    for (screen, name) in [(Screen::Dark, "quotation-dark"), (Screen::SmallPhone, "quotation-small")] {
        let fixture = open_inbox_on(screen, &[REPLY]).await;
        let Fixture { page, .. } = &fixture;
        open(page, "Re: Lunch", "I will be there.").await;
        page.press("Show quoted text").await;
        page.wait_for_reader_text("Shall we meet?").await;
        page.screenshot(name).await;
        assert_eq!(page.accessibility_violations().await, [""; 0], "{name}");
    }
}
