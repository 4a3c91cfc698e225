//! Keyboard operation, touch screens, screen sizes, focus and browser history.

use std::time::Duration;

use browser_tests::{Fixture, Page, Screen};
use fantoccini::key::Key;

use crate::sample_mails::{HTML, PLAIN, short};
use crate::{assert_no_console_errors, open_inbox, open_inbox_on, send, wait_until_sent};

#[tokio::test]
async fn mail_can_be_read_and_sent_with_the_keyboard_alone() {
    let servers = browser_tests::Servers::start("");
    for subject in ["first", "second", "third"] {
        servers.deliver("gb", &short(subject));
    }
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, servers, .. } = &fixture;
    let (enter, tab) = (Key::Enter.to_string(), Key::Tab.to_string());
    page.wait_for("field", "Username").await;
    if page.focused_name().await != "Username" {
        page.type_keys(&tab).await;
    }
    page.type_keys("gb").await;
    page.type_keys(&tab).await;
    page.type_keys("gondola").await;
    page.type_keys(&enter).await;
    page.wait_for("button", "Check mail").await;
    read_with_the_keyboard(page).await;
    send_with_the_keyboard(page).await;
    assert!(servers.first_message("ag").contains("No mouse."));
    assert_no_console_errors(page).await;
}

async fn read_with_the_keyboard(page: &Page) {
    let (enter, tab, escape) = (Key::Enter.to_string(), Key::Tab.to_string(), Key::Escape.to_string());
    // j and k move the cursor, Enter opens, u returns to the list.
    page.wait_for("row", "third").await;
    page.type_keys("jj").await;
    page.type_keys("k").await;
    page.type_keys(&enter).await;
    page.wait_for_reader_text("This is third.").await;
    page.screenshot("keyboard-opened").await;
    page.type_keys("u").await;
    page.wait_for_reader_text_gone("This is third.").await;
    page.wait_until("the focus on the row", async || page.focused_name().await.contains("third")).await;
    page.type_keys("?").await;
    page.wait_for("dialog", "").await;
    page.screenshot("keyboard-help").await;
    // Shortcuts are disabled in the dialog, and the focus stays inside.
    page.type_keys(&format!("c{tab}{tab}{tab}")).await;
    let outside = "const element = document.activeElement; \
                   return element !== document.body && !element.closest('dialog')";
    assert_eq!(page.run(outside, vec![]).await, false, "the focus is on {}", page.focused_name().await);
    page.type_keys(&escape).await;
    page.wait_for_gone("dialog", "").await;
    page.wait_until("the focus on the row", async || page.focused_name().await.contains("third")).await;

    page.type_keys("/").await;
    page.wait_until("the focus in the search", async || page.focused_name().await.contains("Search")).await;
    page.type_keys("first").await;
    page.wait_for_gone("row", "third").await;
    page.type_keys(&escape).await;
}

async fn send_with_the_keyboard(page: &Page) {
    let (enter, tab) = (Key::Enter.to_string(), Key::Tab.to_string());
    page.type_keys("c").await;
    page.wait_until("the focus in the first field", async || page.focused_name().await.starts_with("To"))
        .await;
    // Errors appear while typing.
    page.type_keys("nobody,").await;
    page.wait_for_text("Add a full address, such as name@example.org.").await;
    page.type_keys(&Key::Backspace.to_string().repeat(7)).await;
    page.wait_for_text_gone("Add a full address").await;
    page.type_keys(&format!("ag@iit.edu{tab}")).await;
    page.press_until_focused(&tab, "Subject").await;
    page.type_keys(&format!("By hand{}", "!".repeat(94))).await;
    page.wait_for_text("Subject is 1 character too long.").await;
    page.type_keys(&Key::Backspace.to_string()).await;
    page.wait_for_text_gone("Subject is 1 character too long").await;
    assert!(!page.text().await.contains("Fix the highlighted fields"));
    page.press_until_focused(&tab, "Text").await;
    page.type_keys("No mouse.").await;
    page.press_until_focused(&tab, "Send").await;
    page.screenshot("keyboard-send").await;
    page.type_keys(&enter).await;
    page.wait_for_gone("field", "Subject").await;
    page.press_until_focused(&tab, "Send now").await;
    page.type_keys(&enter).await;
    wait_until_sent(page).await;
}

#[tokio::test]
async fn shortcuts_act_on_the_open_message() {
    let fixture = open_inbox(&[&short("first"), &short("second"), &short("third")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let (enter, escape) = (Key::Enter.to_string(), Key::Escape.to_string());
    page.freeze_clock().await;
    page.wait_for("row", "third").await;
    page.type_keys("j").await;
    page.type_keys(&enter).await;
    page.wait_for_reader_text("This is third.").await;
    // The open message follows the cursor and stops at the last row.
    page.type_keys("j").await;
    page.wait_for_reader_text("This is second.").await;
    page.type_keys("jj").await;
    page.wait_for_reader_text("This is first.").await;
    page.type_keys("k").await;
    page.wait_for_reader_text("This is second.").await;

    page.type_keys("s").await;
    page.wait_for("button", "Starred 1").await;
    page.press("Starred").await;
    page.wait_for("row", "second").await;
    page.wait_for_gone("row", "first").await;
    page.press("Inbox").await;
    page.open_row("second").await;
    page.wait_for_reader_text("This is second.").await;

    for (key, subject) in [("r", "Re: second"), ("a", "Re: second"), ("f", "Fwd: second")] {
        page.type_keys(key).await;
        page.wait_until(subject, async || page.value("Subject").await == subject).await;
        page.type_keys(&escape).await;
        page.wait_for_gone("field", "Subject").await;
        page.wait_until("the focus on the message", async || page.focused_name().await == "second").await;
    }

    let before = servers.mailbox("gb");
    page.type_keys("#").await;
    page.wait_for_gone("row", "second").await;
    page.wait_for("button", "Undo").await;
    page.type_keys("z").await;
    page.wait_for("row", "second").await;
    page.advance_clock(Duration::from_secs(10)).await;
    page.press("Check mail").await;
    page.wait_for("button", "Check mail").await;
    assert_eq!(servers.mailbox("gb"), before);

    page.open_row("second").await;
    page.wait_for_reader_text("This is second.").await;
    page.type_keys("#").await;
    page.wait_for("button", "Undo").await;
    page.advance_clock(Duration::from_secs(10)).await;
    page.wait_until("a shorter mailbox", async || servers.mailbox("gb").len() < before.len()).await;
    let mailbox = String::from_utf8(servers.mailbox("gb")).expect("the mails are ASCII");
    assert!(!mailbox.contains("Subject: second") && mailbox.contains("Subject: third"), "{mailbox}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn focus_returns_after_each_action() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("second").await;
    page.wait_for_reader_text("This is second.").await;
    page.wait_until("the focus on the title", async || page.focused_name().await == "second").await;
    page.press("Reply").await;
    page.wait_until("the focus in the text", async || page.focused_name().await == "Text").await;
    page.press("Save draft and close").await;
    page.wait_until("the focus on the title again", async || page.focused_name().await == "second").await;
    page.press("Back to the list").await;
    page.wait_until("the focus on the row", async || page.focused_name().await.contains("second")).await;

    page.choose_menu_item("Keyboard").await;
    page.wait_for("dialog", "Keyboard").await;
    page.screenshot("phone-help").await;
    // A click inside the dialog does not close it.
    page.wait_for("heading", "Keyboard").await.click().await.expect("the heading can be clicked");
    page.wait_for("dialog", "Keyboard").await;
    page.press("Close").await;
    page.wait_for_gone("dialog", "Keyboard").await;
    page.wait_until("the focus on the menu", async || page.focused_name().await == "Menu").await;

    page.freeze_clock().await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.press("Undo").await;
    page.wait_for_gone("button", "Undo").await;
    page.wait_until("the focus on a row", async || page.focused_name().await.contains("Ag Mitra")).await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn layout_fills_a_wide_screen() {
    let fixture = open_inbox_on(Screen::Wide, &[PLAIN, HTML]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    let [width, read] = [
        "return document.documentElement.scrollWidth",
        "return document.querySelector('.reader').clientWidth",
    ];
    assert_eq!(page.run(width, vec![]).await, 1920);
    assert!(
        page.run(read, vec![]).await.as_u64() > Some(900),
        "the message is not wider than on a small screen"
    );
    page.screenshot("wide-message").await;
    page.press("Reply").await;
    page.wait_for("field", "Subject").await;
    assert_eq!(page.run(width, vec![]).await, 1920);
    page.screenshot("wide-compose").await;
    assert_no_console_errors(page).await;
}

/// Width of the page including overflow.
const WIDTH: &str = "return document.documentElement.scrollWidth";

#[tokio::test]
async fn layout_fits_a_phone() {
    let fixture = open_inbox_on(Screen::Phone, &[PLAIN, HTML]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for("row", "Meeting").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.screenshot("phone-list").await;

    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.screenshot("phone-message").await;
    let row = "return document.querySelector('[role=toolbar]').clientHeight";
    assert!(page.run(row, vec![]).await.as_u64() < Some(60), "the actions take more than one row");
    let is_cut =
        "const bar = document.querySelector('[role=toolbar]'); return bar.scrollWidth > bar.clientWidth";
    assert_eq!(page.run(is_cut, vec![]).await, false, "the actions are wider than the screen");
    page.press("More").await;
    page.wait_for("button", "Mark as unread").await;
    page.screenshot("phone-more").await;
    page.press("Show source").await;
    page.wait_for_text("Content-Type: multipart/related").await;
    page.wait_for_gone("button", "Mark as unread").await;

    page.press("Back to the list").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.wait_for("field", "Subject").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.screenshot("phone-compose").await;
    send(page).await;
    let mut pop3 = servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    pop3.quit();
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn folders_of_a_phone_are_in_a_drawer() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "second").await;
    page.press("Folders").await;
    page.wait_for("dialog", "Folders").await;
    page.wait_for("button", "Inbox 2").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.screenshot("phone-folders").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Starred").await;
    page.wait_for_gone("dialog", "Folders").await;
    page.wait_for("heading", "Starred").await;
    page.wait_for_text("No starred messages.").await;
    page.back().await;
    page.wait_for("row", "second").await;

    for close in ["Back", "Escape", "Close"] {
        page.press("Folders").await;
        page.wait_for("dialog", "Folders").await;
        match close {
            "Back" => page.back().await,
            "Escape" => page.type_keys(&Key::Escape.to_string()).await,
            button => page.press(button).await,
        }
        page.wait_for_gone("dialog", "Folders").await;
        page.wait_until("the focus on the button", async || page.focused_name().await == "Folders").await;
        page.wait_for("heading", "Inbox").await;
    }
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn browser_back_closes_open_views_before_it_leaves_the_page() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("first").await;
    page.wait_for_reader_text("This is first.").await;
    page.press("Reply").await;
    page.type_at_start("Text", "Half an answer.").await;
    page.back().await;
    page.wait_for_reader_text("This is first.").await;
    page.wait_for_gone("field", "Subject").await;
    page.choose_menu_item("Show protocol log").await;
    page.wait_for("button", "Copy").await;
    page.back().await;
    page.wait_for("row", "second").await;
    page.back().await;
    page.wait_for_gone("button", "Copy").await;
    assert_no_console_errors(page).await;

    // A view that the page closes also leaves the history.
    page.open_row("second").await;
    page.wait_for_reader_text("This is second.").await;
    page.press("Back to the list").await;
    page.open_row("first").await;
    page.wait_for_reader_text("This is first.").await;
    page.press("Delete").await;
    page.wait_for("row", "second").await;
    page.wait_until("the initial history entry", async || {
        page.run("return history.state", vec![]).await.is_null()
    })
    .await;
    page.back().await;
    page.wait_until("the page to be left", async || {
        !page.client.current_url().await.expect("the browser has a URL").as_str().starts_with(&servers.url())
    })
    .await;
}

#[tokio::test]
async fn row_outside_the_viewport_appears_after_scrolling() {
    let subjects: Vec<String> = (0..200).map(|number| short(&format!("number-{number:03}"))).collect();
    let mails: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let fixture = open_inbox(&mails).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "number-199").await;
    assert!(page.find("row", "number-000").await.is_none(), "only visible rows are drawn");
    let down = "const row = arguments[0]; let list = row.parentElement; \
                while (list.scrollHeight <= list.clientHeight) list = list.parentElement; \
                list.scrollTop = list.scrollHeight; return true";
    let row = page.wait_for("row", "number-199").await;
    page.run(down, vec![serde_json::to_value(&row).expect("an element reference")]).await;
    page.open_row("number-000").await;
    page.wait_for_reader_text("This is number-000.").await;
    page.screenshot("long-list").await;
    assert_no_console_errors(page).await;
}
