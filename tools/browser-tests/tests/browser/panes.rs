//! The width of the message list and the height of its rows.

use browser_tests::{Fixture, Page, Screen};
use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::key::Key;

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox, open_inbox_on, reload};

async fn list_width(page: &Page) -> i64 {
    page.run("return document.querySelector('.list').offsetWidth", vec![]).await.as_i64().expect("a width")
}

async fn wait_for_width(page: &Page, width: i64) {
    page.wait_until(&format!("a list of {width} pixels"), async || list_width(page).await == width).await;
}

async fn divider(page: &Page) -> Element {
    page.client.find(fantoccini::Locator::Css("[role=separator]")).await.expect("the divider")
}

#[tokio::test]
async fn list_is_resized_with_the_mouse_and_the_keyboard() {
    let fixture = open_inbox(&[&short("one")]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "one").await;
    wait_for_width(page, 380).await;
    let drag = MouseActions::new("mouse".into())
        .then(PointerAction::MoveToElement { element: divider(page).await, duration: None, x: 0.0, y: 0.0 })
        .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
        .then(PointerAction::MoveBy { duration: None, x: 100.0, y: 5.0 })
        .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    page.client.perform_actions(drag).await.expect("the browser has a mouse");
    wait_for_width(page, 480).await;
    page.screenshot("wide-list").await;
    divider(page).await.send_keys(&Key::Left.to_string()).await.expect("it accepts keys");
    wait_for_width(page, 464).await;
    page.wait_until("the stored width", async || page.stored_data().await.contains("\"listWidth\":464"))
        .await;
    reload(page).await;
    wait_for_width(page, 464).await;
    // The reader keeps a part of the window.
    divider(page).await.send_keys(&Key::End.to_string()).await.expect("it accepts keys");
    wait_for_width(page, 552).await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    divider(page).await.send_keys(&Key::Home.to_string()).await.expect("it accepts keys");
    wait_for_width(page, 260).await;
    page.screenshot("narrow-list").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn compact_list_has_lower_rows() {
    let fixture = open_inbox(&[&short("one"), &short("two")]).await;
    let Fixture { page, .. } = &fixture;
    let height = "const [one, two] = [...document.querySelectorAll('.row')].map((row) => row.getBoundingClientRect()); \
                  return [one.height, Math.abs(one.top - two.top)]";
    page.wait_for("row", "two").await;
    assert_eq!(page.run(height, vec![]).await, serde_json::json!([80, 80]));
    page.choose_menu_item("Settings").await;
    page.select_option("Message list", "Compact").await;
    page.press("Save").await;
    let is_compact = async || page.run(height, vec![]).await == serde_json::json!([56, 56]);
    page.wait_until("compact rows", is_compact).await;
    page.screenshot("compact").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.wait_until("the stored setting", async || page.stored_data().await.contains("\"compact\":true"))
        .await;
    reload(page).await;
    page.wait_until("compact rows", is_compact).await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn phone_has_no_divider() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("one")]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "one").await;
    assert!(!divider(page).await.is_displayed().await.expect("the divider exists"));
    assert_eq!(list_width(page).await, 390);
}
