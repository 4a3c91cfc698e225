//! A screen of 320 x 640: nothing is cut off, and fingers reach everything.

use browser_tests::{Fixture, Page, Screen};
use serde_json::json;

use crate::sample_mails::{self, HTML, PLAIN, SQUARE};
use crate::{assert_no_console_errors, open_inbox_on};

/// Returns the controls that are smaller than 44 pixels or that the screen cuts off. Links inside a text are as high as
/// its lines.
const UNREACHABLE: &str = "\
    const modal = document.querySelector('dialog:modal'); \
    const root = modal ?? document; \
    const controls = [...root.querySelectorAll('button, summary, select, input, textarea, [role=textbox], a.button')]; \
    const isShown = (one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && one.tabIndex >= 0 \
        && !one.closest('.visually-hidden') && !one.matches('.visually-hidden'); \
    const target = (one) => (one.closest('label') ?? one).getBoundingClientRect(); \
    return controls.filter(isShown).map((one) => ({ one, box: target(one) })) \
        .filter(({ one, box }) => one.matches('.link') ? box.right > innerWidth + 1 \
            : box.width < 43.5 || box.height < 43.5 || box.left < -1 || box.right > innerWidth + 1) \
        .map(({ one, box }) => `${one.outerHTML.slice(0, 120)} ${Math.round(box.left)},${Math.round(box.width)}x${Math.round(box.height)}`)";

async fn check(page: &Page, name: &str) {
    page.screenshot(&format!("small-{name}")).await;
    assert_eq!(page.run("return document.documentElement.scrollWidth", vec![]).await, 320, "{name}");
    assert_eq!(page.run(UNREACHABLE, vec![]).await, json!([]), "{name}");
}

#[tokio::test]
async fn every_view_fits_a_small_phone() {
    let picture = sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let fixture = open_inbox_on(Screen::SmallPhone, &[PLAIN, HTML, &picture]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "Meeting").await;
    check(page, "list").await;
    page.press("Menu").await;
    page.wait_for("button", "Sign out").await;
    check(page, "menu").await;
    page.press("Settings").await;
    page.wait_for("dialog", "Settings").await;
    check(page, "settings").await;
    page.press("Cancel").await;
    page.wait_for_gone("dialog", "Settings").await;

    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    check(page, "message").await;
    page.press("More").await;
    page.wait_for("button", "Forward as attachment").await;
    check(page, "more").await;
    page.press("Label").await;
    page.wait_for("dialog", "Labels").await;
    check(page, "labels").await;
    page.fill("New label", "A long name of a label that a person chose").await;
    page.press("Save").await;
    page.wait_for_gone("dialog", "Labels").await;
    check(page, "labelled").await;
    page.press("Reply").await;
    page.wait_for("field", "Text").await;
    check(page, "reply").await;
    page.press("Save draft and close").await;
    page.press("Back to the list").await;

    page.open_row("A picture").await;
    page.wait_for_text("square.png").await;
    check(page, "attachment").await;
    page.press("Show square.png").await;
    page.wait_for("dialog", "square.png").await;
    check(page, "preview").await;
    page.press("Close").await;
    page.wait_for_gone("dialog", "square.png").await;
    page.press("Back to the list").await;

    page.press("Compose").await;
    page.wait_for("field", "Text").await;
    page.press("Cc, Bcc").await;
    check(page, "compose").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn sign_in_fits_a_small_phone() {
    let fixture = Fixture::open_on(Screen::SmallPhone, browser_tests::Servers::start("")).await;
    fixture.page.wait_for("field", "Username").await;
    check(&fixture.page, "sign-in").await;
}
