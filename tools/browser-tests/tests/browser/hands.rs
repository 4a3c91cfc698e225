//! Other hands: a keyboard alone, and a thumb.

use std::time::Duration;

use browser_tests::{Screen, Stage};
use fantoccini::key::Key;

use crate::mails::{HTML, PLAIN, short};
use crate::{inbox, inbox_on, is_well};

#[tokio::test]
async fn everything_can_be_done_with_the_keyboard() {
    let servers = browser_tests::Servers::start("");
    for subject in ["first", "second", "third"] {
        servers.deliver("gb", &short(subject));
    }
    let stage = Stage::open_on(Screen::Desktop, servers).await;
    let Stage { page, servers, .. } = &stage;
    let (enter, tab, escape) = (Key::Enter.to_string(), Key::Tab.to_string(), Key::Escape.to_string());
    page.finds("field", "Username").await;
    if page.focus().await != "Username" {
        page.keys(&tab).await;
    }
    page.keys("gb").await;
    page.keys(&tab).await;
    page.keys("gondola").await;
    page.keys(&enter).await;
    page.finds("button", "Check mail").await;

    // The newest is the first; j goes on, k goes back, Enter opens, u returns.
    page.finds("row", "third").await;
    page.keys("jj").await;
    page.keys("k").await;
    page.keys(&enter).await;
    page.sees("This is third.").await;
    page.picture("keyboard-opened").await;
    page.keys("u").await;
    page.misses("This is third.").await;
    page.until("the focus on its row", async || page.focus().await.contains("third")).await;
    page.keys("?").await;
    page.finds("dialog", "").await;
    page.picture("keyboard-help").await;
    // Other keys have no meaning meanwhile, and the focus stays inside.
    page.keys(&format!("c{tab}{tab}{tab}")).await;
    let outside = "const element = document.activeElement; \
                   return element !== document.body && !element.closest('dialog')";
    assert_eq!(page.run(outside, vec![]).await, false, "the focus is on {}", page.focus().await);
    page.keys(&escape).await;
    page.lacks("dialog", "").await;
    page.until("the focus where it was", async || page.focus().await.contains("third")).await;

    page.keys("/").await;
    page.until("the focus in the search", async || page.focus().await.contains("Search")).await;
    page.keys("first").await;
    page.lacks("row", "third").await;
    page.keys(&escape).await;

    page.keys("c").await;
    page.until("the focus in the first field", async || page.focus().await.starts_with("To")).await;
    // What is wrong is said while it is typed, and not only at Send.
    page.keys("nobody,").await;
    page.sees("An address is written X@Y, and this one has no \"@\".").await;
    page.keys(&Key::Backspace.to_string().repeat(7)).await;
    page.misses("An address is written").await;
    page.keys(&format!("ag@iit.edu{tab}")).await;
    page.until_focused(&tab, "Subject").await;
    page.keys(&format!("By hand{}", "!".repeat(94))).await;
    page.sees("It has 101 characters, and may have 100.").await;
    page.keys(&Key::Backspace.to_string()).await;
    page.misses("It has 101 characters").await;
    assert!(!page.text().await.contains("Incorrect format"));
    page.until_focused(&tab, "Text").await;
    page.keys("No mouse.").await;
    page.until_focused(&tab, "Send").await;
    page.picture("keyboard-send").await;
    page.keys(&enter).await;
    page.lacks("field", "Subject").await;
    let mut pop3 = servers.pop3("ag");
    assert!(String::from_utf8_lossy(&pop3.retrieve(1)).contains("No mouse."));
    pop3.quit();
    is_well(page).await;
}

#[tokio::test]
async fn every_key_is_about_the_message_that_is_open() {
    let stage = inbox(&[&short("first"), &short("second"), &short("third")]).await;
    let Stage { page, servers, .. } = &stage;
    let (enter, escape) = (Key::Enter.to_string(), Key::Escape.to_string());
    page.hold_the_clock().await;
    page.finds("row", "third").await;
    page.keys("j").await;
    page.keys(&enter).await;
    page.sees("This is third.").await;
    // What is read goes along with the cursor, to the end and no further.
    page.keys("j").await;
    page.sees("This is second.").await;
    page.keys("jj").await;
    page.sees("This is first.").await;
    page.keys("k").await;
    page.sees("This is second.").await;

    page.keys("s").await;
    page.finds("button", "Starred 1").await;
    page.press("Starred").await;
    page.finds("row", "second").await;
    page.lacks("row", "first").await;
    page.press("Inbox").await;
    page.open("second").await;
    page.sees("This is second.").await;

    for (key, subject) in [("r", "Re: second"), ("a", "Re: second"), ("f", "Fwd: second")] {
        page.keys(key).await;
        page.until(subject, async || page.value("Subject").await == subject).await;
        page.keys(&escape).await;
        page.lacks("field", "Subject").await;
        page.until("the focus on the message", async || page.focus().await == "second").await;
    }

    let before = servers.mailbox("gb");
    page.keys("#").await;
    page.lacks("row", "second").await;
    page.finds("button", "Undo").await;
    page.keys("z").await;
    page.finds("row", "second").await;
    page.passes(Duration::from_secs(10)).await;
    page.press("Check mail").await;
    page.finds("button", "Check mail").await;
    assert_eq!(servers.mailbox("gb"), before);

    page.open("second").await;
    page.sees("This is second.").await;
    page.keys("#").await;
    page.finds("button", "Undo").await;
    page.passes(Duration::from_secs(10)).await;
    page.until("a shorter mailbox", async || servers.mailbox("gb").len() < before.len()).await;
    let mailbox = String::from_utf8(servers.mailbox("gb")).expect("the mails are ASCII");
    assert!(!mailbox.contains("Subject: second") && mailbox.contains("Subject: third"), "{mailbox}");
    is_well(page).await;
}

/// Whoever cannot see where the focus is must not lose it.
#[tokio::test]
async fn the_focus_is_never_lost() {
    let stage = inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Stage { page, .. } = &stage;
    page.open("second").await;
    page.sees("This is second.").await;
    page.until("the focus on the title", async || page.focus().await == "second").await;
    page.press("Reply").await;
    page.until("the focus in the text", async || page.focus().await == "Text").await;
    page.press("Keep the draft and close").await;
    page.until("the focus on the title again", async || page.focus().await == "second").await;
    page.press("Back to the list").await;
    page.until("the focus on the row", async || page.focus().await.contains("second")).await;

    page.choose("Keyboard").await;
    page.finds("dialog", "Keyboard").await;
    page.picture("phone-help").await;
    // A press inside it changes nothing.
    page.finds("heading", "Keyboard").await.click().await.expect("it can be pressed");
    page.finds("dialog", "Keyboard").await;
    page.press("Close").await;
    page.lacks("dialog", "Keyboard").await;
    page.until("the focus on the menu", async || page.focus().await == "Menu").await;

    page.hold_the_clock().await;
    page.open("second").await;
    page.press("Delete").await;
    page.press("Undo").await;
    page.lacks("button", "Undo").await;
    page.until("the focus on a row", async || page.focus().await.contains("Ag Mitra")).await;
    is_well(page).await;
}

#[tokio::test]
async fn it_fills_a_wide_screen() {
    let stage = inbox_on(Screen::Wide, &[PLAIN, HTML]).await;
    let Stage { page, .. } = &stage;
    page.open("Ten things").await;
    page.sees_in_message("you did not ask for").await;
    let [width, read] =
        ["return document.documentElement.scrollWidth", "return document.querySelector('.read').clientWidth"];
    assert_eq!(page.run(width, vec![]).await, 1920);
    assert!(
        page.run(read, vec![]).await.as_u64() > Some(900),
        "the message has no more room than on a small screen"
    );
    page.picture("wide-message").await;
    page.press("Reply").await;
    page.finds("field", "Subject").await;
    assert_eq!(page.run(width, vec![]).await, 1920);
    page.picture("wide-compose").await;
    is_well(page).await;
}

/// Nothing may stick out to the side.
const WIDTH: &str = "return document.documentElement.scrollWidth";

#[tokio::test]
async fn it_fits_a_phone() {
    let stage = inbox_on(Screen::Phone, &[PLAIN, HTML]).await;
    let Stage { page, servers, .. } = &stage;
    page.finds("row", "Meeting").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.picture("phone-list").await;

    page.open("Ten things").await;
    page.sees_in_message("you did not ask for").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.picture("phone-message").await;
    let row = "return document.querySelector('[role=toolbar]').clientHeight";
    assert!(page.run(row, vec![]).await.as_u64() < Some(60), "the actions take more than one row");
    page.press("More").await;
    page.finds("button", "Mark as unread").await;
    page.picture("phone-more").await;
    page.press("Show original").await;
    page.sees("Content-Type: multipart/related").await;
    page.lacks("button", "Mark as unread").await;

    page.press("Back to the list").await;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Reply").await;
    page.finds("field", "Subject").await;
    assert_eq!(page.run(WIDTH, vec![]).await, 390);
    page.picture("phone-compose").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    let mut pop3 = servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    pop3.quit();
    is_well(page).await;
}

#[tokio::test]
async fn the_browsers_back_closes_what_is_open_and_leaves_the_page_only_then() {
    let stage = inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Stage { page, servers, .. } = &stage;
    page.open("first").await;
    page.sees("This is first.").await;
    page.press("Reply").await;
    page.write("Text", "Half an answer.").await;
    page.back().await;
    page.sees("This is first.").await;
    page.lacks("field", "Subject").await;
    page.choose("Transcript").await;
    page.finds("button", "Copy").await;
    page.back().await;
    page.finds("row", "second").await;
    page.back().await;
    page.lacks("button", "Copy").await;
    is_well(page).await;

    // What the page closes itself takes its entry along.
    page.open("second").await;
    page.sees("This is second.").await;
    page.press("Back to the list").await;
    page.open("first").await;
    page.sees("This is first.").await;
    page.press("Delete").await;
    page.finds("row", "second").await;
    page.until("its own entry", async || page.run("return history.state", vec![]).await.is_null()).await;
    page.back().await;
    page.until("the end of the page", async || {
        !page.client.current_url().await.expect("it shows something").as_str().starts_with(&servers.url())
    })
    .await;
}

#[tokio::test]
async fn a_row_far_down_is_found_by_scrolling() {
    let subjects: Vec<String> = (0..200).map(|number| short(&format!("number-{number:03}"))).collect();
    let mails: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let stage = inbox(&mails).await;
    let Stage { page, .. } = &stage;
    page.finds("row", "number-199").await;
    assert!(page.find("row", "number-000").await.is_none(), "only visible rows are drawn");
    let down = "const row = arguments[0]; let list = row.parentElement; \
                while (list.scrollHeight <= list.clientHeight) list = list.parentElement; \
                list.scrollTop = list.scrollHeight; return true";
    let row = page.finds("row", "number-199").await;
    page.run(down, vec![serde_json::to_value(&row).expect("an element is a name")]).await;
    page.open("number-000").await;
    page.sees("This is number-000.").await;
    page.picture("long-list").await;
    is_well(page).await;
}
