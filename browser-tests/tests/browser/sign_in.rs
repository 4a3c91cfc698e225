//! The front door.

use browser_tests::Stage;

use crate::mails::PLAIN;
use crate::{enter, inbox, is_well};

#[tokio::test]
async fn wrong_credentials_are_refused_in_the_servers_words_and_right_ones_open_the_list() {
    let stage = Stage::open().await;
    let Stage { page, servers, .. } = &stage;
    servers.deliver("gb", PLAIN);

    page.sign_in("", "").await;
    page.sees("Enter your username.").await;
    page.sees("Enter your password.").await;
    page.picture("sign-in-empty").await;

    page.sign_in("gb", "wrong").await;
    page.finds("alert", "wrong username or password").await;
    page.picture("sign-in-refused").await;

    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    page.lacks("field", "Password").await;
    page.picture("sign-in-accepted").await;
    is_well(page).await;
}

#[tokio::test]
async fn signing_out_leaves_nothing_that_the_next_person_could_read() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, servers, .. } = &stage;
    page.open("Meeting").await;
    page.sees("See you at five.").await;

    page.press("Menu").await;
    page.finds("button", "Sign out and forget").await;
    page.picture("sign-out").await;
    page.press("Sign out and forget").await;
    page.finds("field", "Password").await;
    assert!(!page.text().await.contains("Meeting"));

    servers.deliver("ag", "From: gb@iit.edu\nTo: ag@iit.edu\nSubject: For ag\n\nHello.\n");
    enter(page, "ag", "aviator").await;
    page.finds("row", "For ag").await;
    assert!(!page.text().await.contains("Meeting"));
    is_well(page).await;
}

#[tokio::test]
async fn what_was_read_survives_a_reload_and_the_password_does_not() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.sees("Inbox").await;
    page.until("an unread message in the title", async || page.title().await.contains("(1)")).await;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.until("no unread message in the title", async || !page.title().await.contains("(1)")).await;

    page.reload().await;
    page.finds("field", "Password").await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    assert!(!page.title().await.contains("(1)"), "{}", page.title().await);
    is_well(page).await;
}
