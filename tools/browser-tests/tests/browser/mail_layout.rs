//! The width and the colours of HTML messages, and their style sheets.

use browser_tests::{Fixture, Page, Screen};
use serde_json::{Value, json};

use crate::sample_mails::html;
use crate::{assert_no_console_errors, open_inbox, open_inbox_on};

/// A newsletter whose layout is in a style sheet, with another one for narrow screens.
const NEWSLETTER: &str = "<html><head><style>@import url(http://x.localhost/); .box { width: 700px; background: #fed; color: #222 } \
    .hidden { display: none } ul { list-style: square } \
    @media only screen and (max-width: 600px) { .fluid { width: 100% !important } }</style></head>\
    <body><span class=hidden>Preheader</span><div class='box fluid'>News<ul><li>Item</ul></div></body></html>";
const WIDE: &str = "<table width=900 bgcolor='#ffeedd'><tr><td>left<td align=right>right</table>";
const PLAIN: &str = "<p>Hello <b>Gb</b>, <a href='https://iit.edu/'>a link</a>.</p>";

/// Left, width and scale of the visible frame, and whether its content is cut off.
async fn frame(page: &Page) -> (f64, f64, f64) {
    let rect = "const frame = document.querySelector('.frame iframe'); const { left, width } = frame.getBoundingClientRect(); \
                return [left, width, width / frame.offsetWidth]";
    let found = page.run(rect, vec![]).await;
    let number = |at: usize| found[at].as_f64().unwrap_or_default();
    (number(0), number(1), number(2))
}

async fn is_complete(page: &Page) -> bool {
    let overflow = "const { scrollWidth } = document.documentElement; return scrollWidth <= innerWidth";
    page.run_in_message(overflow).await == Some(true.into())
}

async fn style(page: &Page, element: &str, property: &str) -> Value {
    let script = format!("return getComputedStyle(document.querySelector('{element}'))['{property}']");
    page.run_in_message(&script).await.unwrap_or_default()
}

#[tokio::test]
async fn mail_is_centred_and_not_wider_than_it_needs() {
    let fixture = open_inbox_on(Screen::Wide, &[&html("Plain", PLAIN), &html("Wide", WIDE)]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Plain").await;
    page.wait_for_message_text("Hello").await;
    page.wait_until("a width of 760", async || {
        let (left, width, scale) = frame(page).await;
        let reader = page.run("const { left, width } = document.querySelector('article').getBoundingClientRect(); return left + width / 2", vec![]).await;
        let centre = reader.as_f64().unwrap_or_default();
        width == 760.0 && scale == 1.0 && (left + width / 2.0 - centre).abs() < 1.0
    })
    .await;
    page.screenshot("mail-centred").await;
    page.open_row("Wide").await;
    page.wait_for_message_text("right").await;
    page.wait_until("a wide frame", async || {
        let (_, width, scale) = frame(page).await;
        (900.0..940.0).contains(&width) && scale == 1.0 && is_complete(page).await
    })
    .await;
    page.screenshot("mail-wide").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn wide_mail_is_scaled_on_a_phone_and_can_be_zoomed() {
    for screen in [Screen::Phone, Screen::SmallPhone] {
        let fixture = open_inbox_on(screen, &[&html("Wide", WIDE), &html("News", NEWSLETTER)]).await;
        let Fixture { page, .. } = &fixture;
        page.open_row("Wide").await;
        page.wait_for_message_text("right").await;
        let screen_width = page.run("return innerWidth", vec![]).await.as_f64().expect("a width");
        page.wait_until("a scaled frame", async || {
            let (left, width, scale) = frame(page).await;
            left >= 0.0 && left + width <= screen_width && scale < 0.5 && is_complete(page).await
        })
        .await;
        page.screenshot(&format!("mail-scaled-{screen_width}")).await;
        let viewport = "return document.querySelector('meta[name=viewport]').content";
        assert_eq!(page.run(viewport, vec![]).await, "width=device-width, initial-scale=1");
        assert_eq!(page.run("return document.documentElement.scrollWidth", vec![]).await, screen_width);
        page.press("Back to the list").await;

        // The sheet of this mail has a layout for phones.
        page.open_row("News").await;
        page.wait_for_message_text("Item").await;
        page.wait_until("a fluid layout", async || frame(page).await.2 == 1.0 && is_complete(page).await)
            .await;
        page.screenshot(&format!("mail-fluid-{screen_width}")).await;
        assert_no_console_errors(page).await;
    }
}

#[tokio::test]
async fn style_sheet_of_a_mail_is_kept() {
    let fixture = open_inbox(&[&html("News", NEWSLETTER)]).await;
    let Fixture { page, driver, .. } = &fixture;
    page.open_row("News").await;
    page.wait_for_message_text("Item").await;
    assert_eq!(style(page, ".box", "backgroundColor").await, "rgb(255, 238, 221)");
    assert_eq!(style(page, "ul", "listStyleType").await, "square");
    assert_eq!(style(page, ".hidden", "display").await, "none");
    page.screenshot("mail-style-sheet").await;
    assert_no_console_errors(page).await;
    page.close().await;
    assert!(!driver.network_log().contains("x.localhost"));
}

#[tokio::test]
async fn mail_without_colours_follows_the_theme() {
    for screen in [Screen::Dark, Screen::Desktop] {
        let fixture = open_inbox_on(
            screen,
            &[&html("Plain", PLAIN), &html("Coloured", WIDE), &html("News", NEWSLETTER)],
        )
        .await;
        let Fixture { page, .. } = &fixture;
        let is_dark = screen == Screen::Dark;
        page.open_row("Plain").await;
        page.wait_for_message_text("Hello").await;
        let (text, background) = if is_dark {
            ("rgb(230, 234, 240)", "rgb(20, 24, 30)")
        } else {
            ("rgb(28, 36, 48)", "rgb(255, 255, 255)")
        };
        assert_eq!(style(page, "p", "color").await, text);
        assert_eq!(style(page, "html", "backgroundColor").await, background);
        page.screenshot(if is_dark { "mail-themed-dark" } else { "mail-themed" }).await;
        for (subject, shown) in [("Coloured", "right"), ("News", "Item")] {
            page.open_row(subject).await;
            page.wait_for_message_text(shown).await;
            assert_eq!(style(page, "body", "color").await, "rgb(28, 36, 48)", "{subject}");
            let frame = "return getComputedStyle(document.querySelector('.frame')).backgroundColor";
            assert_eq!(page.run(frame, vec![]).await, json!("rgb(255, 255, 255)"), "{subject}");
        }
        page.screenshot(if is_dark { "mail-coloured-dark" } else { "mail-coloured" }).await;
        assert_no_console_errors(page).await;
    }
}
