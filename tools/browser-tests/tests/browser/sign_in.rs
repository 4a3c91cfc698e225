//! Signing in and out.

use browser_tests::{Fixture, Page, Screen};

use crate::sample_mails::PLAIN;
use crate::{assert_no_console_errors, open_inbox, open_without_background, reload, sign_in, stay_signed_in};

#[tokio::test]
async fn wrong_credentials_are_refused_and_valid_ones_open_the_list() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, .. } = &fixture;
    servers.deliver("gb", PLAIN);

    page.sign_in("", "").await;
    page.wait_for_text("Enter your username.").await;
    page.wait_for_text("Enter your password.").await;
    page.screenshot("sign-in-empty").await;

    page.sign_in("gb", "wrong").await;
    page.wait_for("alert", "wrong username or password").await;
    page.screenshot("sign-in-refused").await;
    page.press("Show protocol log").await;
    page.wait_for_text("C: USER gb").await;

    // The log of the refused user ends.
    sign_in(page, "ag", "aviator").await;
    page.wait_for_text("C: USER ag").await;
    assert!(!page.text().await.contains("C: USER gb"));
    page.press("Close").await;
    page.choose_menu_item("Sign out").await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "Meeting").await;
    page.wait_for_gone("field", "Password").await;
    page.screenshot("sign-in-accepted").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn sign_out_and_delete_removes_all_stored_data() {
    let fixture = open_without_background(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_for_text("1 of 1 available offline").await;
    page.press("Compose").await;
    page.fill("Subject", "A secret draft").await;
    page.press("Save and close").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("A secret draft")).await;

    page.press("Menu").await;
    page.wait_for("button", "Sign out and delete local data").await;
    page.screenshot("sign-out").await;
    page.press("Sign out and delete local data").await;
    page.wait_for("dialog", "Delete the local data of gb@iitkgp.edu?").await;
    page.wait_for_text("1 draft exists in this browser only").await;
    page.press("Keep").await;
    page.choose_menu_item("Sign out and delete local data").await;
    page.press("Delete and sign out").await;
    page.wait_for("field", "Password").await;
    assert!(!page.text().await.contains("Meeting"));
    page.wait_until("an empty storage", async || storage_is_empty(page).await).await;

    servers.deliver("ag", "From: gb@iit.edu\nTo: ag@iit.edu\nSubject: For ag\n\nHello.\n");
    sign_in(page, "ag", "aviator").await;
    page.wait_for("row", "For ag").await;
    assert!(!page.text().await.contains("Meeting"));
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;

    // The same user finds only what the server has.
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "Unread").await;
    page.wait_for_text("0 of 1 available offline").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts.").await;
    assert_no_console_errors(page).await;
}

/// Whether the page has stored nothing in the browser.
async fn storage_is_empty(page: &Page) -> bool {
    let count = "const [done] = arguments; \
                 indexedDB.databases().then((all) => done(all.length + localStorage.length + sessionStorage.length))";
    page.client.execute_async(count, vec![]).await.expect("the script succeeds") == 0
}

#[tokio::test]
async fn sign_in_waits_for_a_maildrop_in_use_until_cancelled() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, .. } = &fixture;
    servers.deliver("gb", PLAIN);
    let other = servers.pop3("gb");
    page.sign_in("gb", "gondola").await;
    page.wait_for_text("another session has this maildrop open").await;
    page.screenshot("sign-in-in-use").await;
    page.press("Cancel").await;
    page.wait_for("button", "Sign in").await;
    page.wait_for_text_gone("another session").await;

    page.sign_in("gb", "gondola").await;
    page.wait_for_text("Trying again in a moment.").await;
    other.quit();
    page.wait_for("row", "Meeting").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn session_lasts_as_long_as_the_tab_and_the_password_is_not_readable() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_until("an unread message in the title", async || page.title().await.contains("(1)")).await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_until("no unread message in the title", async || !page.title().await.contains("(1)")).await;
    page.press("Reply").await;
    page.type_at_start("Text", "A few words.").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("A few words.")).await;
    let data = page.stored_data().await;
    assert!(data.contains("See you at five.") && data.contains("pennypost/gb"), "{data}");
    assert!(data.contains("pennypost-sign-in") && !data.contains("gondola"), "{data}");
    assert!(
        !page.run("return document.documentElement.outerHTML", vec![]).await.to_string().contains("gondola")
    );

    reload(page).await;
    page.wait_for("row", "Meeting").await;
    assert!(!page.title().await.contains("(1)"), "{}", page.title().await);
    page.goto("about:blank").await;
    page.back().await;
    page.wait_for("row", "Meeting").await;

    // Another tab asks for the password.
    let second = page.client.new_window(true).await.expect("a new window").handle;
    page.client.switch_to_window(second).await.expect("the window is open");
    page.goto(&servers.url()).await;
    page.wait_for("field", "Password").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn device_stays_signed_in_until_the_user_signs_out() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, driver } = &fixture;
    servers.deliver("gb", PLAIN);
    stay_signed_in(page, "gb", "gondola").await;
    page.wait_for("row", "Meeting").await;
    assert!(!page.stored_data().await.contains("gondola"));
    assert_eq!(page.run("return Object.keys(sessionStorage)", vec![]).await, serde_json::json!(["account"]));
    reload(page).await;
    let second = page.client.new_window(true).await.expect("a new window").handle;
    page.client.switch_to_window(second).await.expect("the window is open");
    page.goto(&servers.url()).await;
    page.wait_for("row", "Meeting").await;
    page.wait_for("button", "Check mail").await;
    assert_no_console_errors(page).await;
    page.close().await;

    let page = &Page::new(driver.open(Screen::Desktop).await);
    page.goto(&servers.url()).await;
    page.wait_for("button", "Check mail").await;
    page.wait_for("row", "Meeting").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    page.wait_until("no stored sign-in", async || database_names(page).await == ["pennypost/gb"]).await;
    page.reload().await;
    page.wait_for("field", "Password").await;
    assert!(!page.text().await.contains("Meeting"));
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn changed_password_is_asked_for_with_the_username_filled_in() {
    let mut fixture = Fixture::open().await;
    fixture.servers.deliver("gb", PLAIN);
    stay_signed_in(&fixture.page, "gb", "gondola").await;
    fixture.servers.change_password("airship");
    let page = &fixture.page;
    page.reload().await;
    page.wait_for("alert", "wrong username or password").await;
    assert_eq!(page.value("Username").await, "gb");
    assert_eq!(page.value("Password").await, "");
    page.wait_until("the focus on the password", async || page.focused_name().await == "Password").await;
    page.screenshot("sign-in-password-changed").await;
    page.fill("Password", "airship").await;
    page.press("Sign in").await;
    page.wait_for("button", "Check mail").await;
    page.wait_for("row", "Meeting").await;
}

/// Moves a database to another name, as pages of earlier versions named it.
const RENAME_DATABASE: &str = "\
    const [from, to, done] = arguments;
    const wait = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    (async () => {
        const old = await wait(indexedDB.open(from));
        const names = [...old.objectStoreNames];
        const request = indexedDB.open(to, old.version);
        request.onupgradeneeded = () => names.forEach((name) => request.result.createObjectStore(name));
        const copy = await wait(request);
        for (const name of names) {
            const source = old.transaction(name).objectStore(name);
            const [keys, values] = [await wait(source.getAllKeys()), await wait(source.getAll())];
            const target = copy.transaction(name, 'readwrite').objectStore(name);
            for (const [at, key] of keys.entries()) await wait(target.put(values[at], key));
        }
        copy.close();
        old.close();
        await wait(indexedDB.deleteDatabase(from));
    })().then(() => done(null), (error) => done(String(error)));";

async fn database_names(page: &Page) -> Vec<String> {
    let list =
        "const [done] = arguments; indexedDB.databases().then((all) => done(all.map(({ name }) => name)))";
    let names = page.client.execute_async(list, vec![]).await.expect("the script succeeds");
    let mut names: Vec<String> = serde_json::from_value(names).expect("a list of names");
    names.sort();
    names
}

#[tokio::test]
async fn account_has_one_database_however_its_name_is_typed() {
    let fixture = open_without_background(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.type_keys("s").await;
    page.press("Compose").await;
    page.fill("Subject", "Typed as gb").await;
    page.press("Save and close").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Typed as gb")).await;
    for username in ["GB", "gb@iit.edu", "Gb@iitkgp.edu"] {
        page.choose_menu_item("Sign out").await;
        page.wait_for("field", "Password").await;
        sign_in(page, username, "gondola").await;
        page.wait_for("button", "Starred 1").await;
        page.press("Drafts").await;
        page.wait_for("row", "Typed as gb").await;
        assert_eq!(database_names(page).await, ["pennypost-sign-in", "pennypost/gb"], "{username}");
    }

    // Earlier pages had a database for each spelling.
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    let names = ["pennypost/gb", "pennypost/gb@iit.edu"].map(serde_json::Value::from);
    let failure = page.client.execute_async(RENAME_DATABASE, names.into()).await.expect("the script runs");
    assert!(failure.is_null(), "{failure}");
    page.wait_until("the renamed database", async || database_names(page).await == ["pennypost/gb@iit.edu"])
        .await;
    servers.deliver("gb", "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Later\n\nHello.\n");
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "Later").await;
    page.wait_for("button", "Starred 1").await;
    page.wait_for_text("1 of 2 available offline").await;
    page.press("Drafts").await;
    page.wait_for("row", "Typed as gb").await;
    page.wait_until("one database", async || {
        database_names(page).await == ["pennypost-sign-in", "pennypost/gb"]
    })
    .await;
    assert_no_console_errors(page).await;
}
