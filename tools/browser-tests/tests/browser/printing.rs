//! The printed page.

use browser_tests::{Fixture, Page};
use serde_json::json;

use crate::sample_mails::{SQUARE, html, with_attachment};
use crate::{assert_no_console_errors, open_inbox};

/// The visible text of the page, without the lines that are empty.
async fn lines(page: &Page) -> Vec<String> {
    page.text().await.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The elements outside of the message that are visible.
const OTHER_ELEMENTS: &str = "\
    const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
    return [...document.querySelectorAll('header, nav, section, form, dialog, [role=toolbar], button, .toasts, .connection-bar')]
        .filter(isShown).map((element) => element.outerHTML)";

#[tokio::test]
async fn printed_text_is_whole_and_alone() {
    let body: String = (1..=300).map(|number| format!("Line {number} of the report.\n")).collect();
    let long = format!("From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: The report\n\n{body}");
    let attached = with_attachment("A picture", "square.png", "image/png", SQUARE);
    let fixture = open_inbox(&[&attached, &long]).await;
    let Fixture { page, .. } = &fixture;
    page.choose_menu_item("Show protocol log").await;
    page.open_row("The report").await;
    page.wait_for_text("Line 300 of the report.").await;
    // 300 lines of 22.5 pixels are seven pages of about 1000 pixels.
    let pages = page.print().await;
    assert!((6..=9).contains(&pages), "{pages} pages");

    page.emulate_print(true).await;
    assert_eq!(page.run(OTHER_ELEMENTS, vec![]).await, json!([]));
    let printed = lines(page).await;
    assert_eq!(printed.first().map(String::as_str), Some("The report"));
    assert_eq!(printed.last().map(String::as_str), Some("Line 300 of the report."));
    let head = printed.len() - 300;
    assert!(head < 8, "{:?}", &printed[..head]);
    let hidden = "const reader = document.querySelector('.reader'); return [document.documentElement, document.body, reader] \
        .filter((element) => element.scrollHeight > element.clientHeight + 1 && getComputedStyle(element).overflowY !== 'visible').length";
    assert_eq!(page.run(hidden, vec![]).await, 0, "the page has hidden parts");
    page.screenshot("printed-text").await;

    page.emulate_print(false).await;
    page.open_row("A picture").await;
    page.wait_for_text("square.png").await;
    assert_eq!(page.print().await, 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn printed_html_is_whole() {
    let paragraphs: String = (1..=700).map(|number| format!("<p>Paragraph {number}.</p>")).collect();
    // Higher than the frame on the screen.
    let long = html("Long", &paragraphs);
    let narrow = html("Narrow", &format!("<p>{}</p>", "Words that need more lines on paper. ".repeat(400)));
    let wide = html("Wide", "<table width=1200><tr><td align=right height=50>right</table><p>below</p>");
    let fixture = open_inbox(&[&wide, &narrow, &long]).await;
    let Fixture { page, .. } = &fixture;
    for (subject, text, pages) in
        [("Long", "Paragraph 700.", 24..=32), ("Narrow", "on paper", 3..=6), ("Wide", "below", 1..=1)]
    {
        page.open_row(subject).await;
        page.wait_for_message_text(text).await;
        let printed = page.print().await;
        assert!(pages.contains(&printed), "{subject}: {printed} pages");
        page.emulate_print(true).await;
        assert_eq!(page.run(OTHER_ELEMENTS, vec![]).await, json!([]), "{subject}");
        let sizes = "return [innerWidth, innerHeight, document.documentElement.scrollWidth, document.documentElement.scrollHeight]";
        let sizes = page.run_in_message(sizes).await.unwrap_or_default();
        let [width, height, content_width, content_height] =
            [0, 1, 2, 3].map(|at| sizes[at].as_i64().unwrap_or_default());
        assert!(content_width <= width && content_height <= height, "{subject}: {sizes}");
        page.emulate_print(false).await;
    }
    assert_no_console_errors(page).await;
}
