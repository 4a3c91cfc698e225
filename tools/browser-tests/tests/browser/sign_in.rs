//! The front door.

use browser_tests::{Page, Stage};

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
    page.sees("cache: 1 of 1").await;
    page.press("Compose").await;
    page.fill("Subject", "A secret draft").await;
    page.press("Keep and close").await;
    page.until("a kept draft", async || page.kept().await.contains("A secret draft")).await;

    page.press("Menu").await;
    page.finds("button", "Sign out and forget").await;
    page.picture("sign-out").await;
    page.press("Sign out and forget").await;
    page.finds("field", "Password").await;
    assert!(!page.text().await.contains("Meeting"));
    page.until("an end of all that was kept", async || is_empty(page).await).await;

    servers.deliver("ag", "From: gb@iit.edu\nTo: ag@iit.edu\nSubject: For ag\n\nHello.\n");
    enter(page, "ag", "aviator").await;
    page.finds("row", "For ag").await;
    assert!(!page.text().await.contains("Meeting"));
    page.choose("Sign out").await;
    page.finds("field", "Password").await;

    // Not even whose it was finds anything but what the server has.
    enter(page, "gb", "gondola").await;
    page.finds("row", "Unread").await;
    page.sees("cache: 0 of 1").await;
    page.press("Drafts").await;
    page.sees("No drafts.").await;
    is_well(page).await;
}

/// Whether the page has neither a database nor a word in its storage.
async fn is_empty(page: &Page) -> bool {
    let count = "const [done] = arguments; \
                 indexedDB.databases().then((all) => done(all.length + localStorage.length + sessionStorage.length))";
    page.client.execute_async(count, vec![]).await.expect("the browser tells") == 0
}

#[tokio::test]
async fn a_maildrop_in_use_is_waited_for_until_it_is_free_or_the_person_has_enough() {
    let stage = Stage::open().await;
    let Stage { page, servers, .. } = &stage;
    servers.deliver("gb", PLAIN);
    let other = servers.pop3("gb");
    page.sign_in("gb", "gondola").await;
    page.sees("another session has this maildrop open").await;
    page.picture("sign-in-in-use").await;
    page.press("Cancel").await;
    page.finds("button", "Sign in").await;
    page.misses("another session").await;

    page.sign_in("gb", "gondola").await;
    page.sees("Trying again in a moment.").await;
    other.quit();
    page.finds("row", "Meeting").await;
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
    page.press("Reply").await;
    page.write("Text", "A few words.").await;
    page.until("a kept draft", async || page.kept().await.contains("A few words.")).await;
    let kept = page.kept().await;
    assert!(kept.contains("See you at five.") && kept.contains("pennypost/gb"), "{kept}");
    assert!(!kept.contains("gondola"), "{kept}");
    assert!(
        !page.run("return document.documentElement.outerHTML", vec![]).await.to_string().contains("gondola")
    );

    page.reload().await;
    page.finds("field", "Password").await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    assert!(!page.title().await.contains("(1)"), "{}", page.title().await);
    is_well(page).await;
}
