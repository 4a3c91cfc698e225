//! The page as an installed program: it starts without its server, and offers new versions.

use std::fs;
use std::path::Path;

use browser_tests::{Catcher, Driver, Fixture, Page, Screen, Servers, page_folder};

use crate::sample_mails::{PLAIN, short};
use crate::{assert_no_console_errors, open_inbox, sign_in, stay_signed_in};

#[tokio::test]
async fn page_starts_with_cached_mail_while_the_server_is_away() {
    let servers = Servers::start("");
    servers.deliver("gb", PLAIN);
    let mut fixture = Fixture::open_on(Screen::Desktop, servers).await;
    stay_signed_in(&fixture.page, "gb", "gondola").await;
    fixture.page.wait_for_text("1 of 1 available offline").await;
    fixture.page.wait_for_service_worker().await;
    fixture.page.close().await;
    fixture.servers.kill();

    let page = Page::new(fixture.driver.open(Screen::Desktop).await);
    page.goto(&fixture.servers.url()).await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_for_text("Offline.").await;
    page.screenshot("offline-start").await;
    page.press("Reply").await;
    page.type_at_start("Text", "Written on a train.").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Written on a train."))
        .await;
    fixture.servers.restart();
    fixture.servers.deliver("gb", &short("after"));
    page.press("Try now").await;
    page.wait_for("row", "after").await;
    page.wait_for_text_gone("Offline.").await;
}

#[tokio::test]
async fn repeated_visit_fetches_nothing_but_the_service_worker() {
    let fixture = open_inbox(&[PLAIN]).await;
    let page = &fixture.page;
    page.wait_for_service_worker().await;
    page.reload().await;
    page.wait_for("row", "Meeting").await;
    // `transferSize` is 0 for answers of the service worker. The browser keeps manifest and icon itself.
    let fetched = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')] \
                   .filter(({ transferSize, name }) => transferSize > 0 && !/(manifest|icon)[^/]*$/.test(name)) \
                   .map(({ name }) => name)";
    assert_eq!(page.run(fetched, vec![]).await, serde_json::json!([]));
    assert_eq!(page.run("return !!navigator.serviceWorker.controller", vec![]).await, true);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn browser_can_install_the_page() {
    let fixture = open_inbox(&[]).await;
    let page = &fixture.page;
    page.wait_for_service_worker().await;
    assert_eq!(page.installability_errors().await, serde_json::json!([]));
    assert_no_console_errors(page).await;
}

/// The address of the manifest's start page, its scope and its icons.
const MANIFEST: &str = "\
    const [done] = arguments; \
    const { href } = document.querySelector('link[rel=manifest]'); \
    const urls = ({ start_url, scope, icons }) => [start_url, scope, ...icons.map(({ src }) => src)]; \
    fetch(href).then((response) => response.json()).then(urls) \
        .then((urls) => urls.map((url) => new URL(url, href).pathname)).then(done, (error) => done(String(error)))";

#[tokio::test]
async fn browser_can_install_the_page_below_a_path() {
    let fixture = Fixture::open_on(Screen::Desktop, Servers::start_below("/mail/")).await;
    let Fixture { page, servers, .. } = &fixture;
    assert_eq!(page.client.current_url().await.expect("a page").as_str(), format!("{}mail/", servers.url()));
    sign_in(page, "gb", "gondola").await;
    let urls = page.client.execute_async(MANIFEST, vec![]).await.expect("a manifest");
    assert_eq!(urls, serde_json::json!(["/mail/", "/mail/", "/mail/icon.svg", "/mail/icon-192.png"]));
    assert_eq!(page.installability_errors().await, serde_json::json!([]));
    assert_no_console_errors(page).await;
}

/// Registers the service worker and returns the names of all caches after its installation has failed.
const FAILED_INSTALLATION: &str = "\
    const [done] = arguments; \
    navigator.serviceWorker.register('/sw.js').then((registration) => { \
        const worker = registration.installing; \
        const ended = () => caches.keys().then((names) => done([worker.state, ...names])); \
        worker.onstatechange = () => worker.state === 'installing' || ended(); \
    }, (error) => done([String(error)]))";

#[tokio::test]
async fn failed_installation_leaves_no_cache() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    copy_page(folder.path());
    let names = fs::read_dir(folder.path()).expect("the copy").map(|entry| entry.expect("a file").path());
    let icons: Vec<_> = names
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("icon-")))
        .filter(|path| !path.ends_with("icon-192.png"))
        .collect();
    assert!(!icons.is_empty(), "the page has no icon with a hash");
    for icon in icons {
        fs::remove_file(icon).expect("removed");
    }
    let fixture = Fixture::open_on(Screen::Desktop, Servers::start_with_page("", folder.path())).await;
    let page = &fixture.page;
    page.wait_for("field", "Username").await;
    let state = page.client.execute_async(FAILED_INSTALLATION, vec![]).await.expect("the script runs");
    assert_eq!(state, serde_json::json!(["redundant"]));
}

/// Copies the built page.
fn copy_page(target: &Path) {
    for entry in fs::read_dir(page_folder()).expect("the page is built") {
        let path = entry.expect("a readable folder").path();
        if path.is_file() {
            fs::copy(&path, target.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    let snippets = page_folder().join("snippets");
    assert!(!snippets.exists(), "the page has snippets, which this test does not copy");
}

/// Replaces the page by a version whose style sheet has another name. The old one is gone.
fn upgrade_page(folder: &Path) {
    let index = fs::read_to_string(folder.join("index.html")).expect("a page");
    let (_, rest) = index.split_once("href=\"/style-").expect("a style sheet");
    let (hash, _) = rest.split_once(".css").expect("a name ends");
    let (old, new) = (format!("style-{hash}.css"), "style-0123456789abcdef.css");
    fs::rename(folder.join(&old), folder.join(new)).expect("renamed");
    fs::remove_file(folder.join(format!("{old}.br"))).expect("removed");
    fs::write(folder.join("index.html"), index.replace(&old, new)).expect("written");
}

/// Whether the style sheet of the page is applied.
const IS_STYLED: &str =
    "return getComputedStyle(document.querySelector('.app, .sign-in')).display === 'grid'";
const HAS_NEW_STYLE: &str = "return !!document.querySelector('link[href*=\"style-0123456789abcdef.css\"]')";

#[tokio::test]
async fn new_version_is_offered_and_loses_no_draft() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    copy_page(folder.path());
    let servers = Servers::start_with_page("", folder.path());
    servers.deliver("gb", PLAIN);
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let page = &fixture.page;
    sign_in(page, "gb", "gondola").await;
    page.wait_for_service_worker().await;
    upgrade_page(folder.path());

    // The browser shows the version that it has, which is complete.
    page.reload().await;
    page.wait_for("row", "Meeting").await;
    assert_eq!(page.run(HAS_NEW_STYLE, vec![]).await, false);
    assert_eq!(page.run(IS_STYLED, vec![]).await, true);
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    page.wait_for_text("A new version is available.").await;
    page.screenshot("new-version").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Reload").await;
    page.wait_until("the new version", async || {
        page.client.execute(HAS_NEW_STYLE, vec![]).await.is_ok_and(|found| found == true)
    })
    .await;
    page.wait_until("the draft", async || page.value("Subject").await == "Half a thought").await;
    assert_eq!(page.run(IS_STYLED, vec![]).await, true);
    assert!(!page.text().await.contains("A new version is available."));
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn tab_with_the_previous_version_goes_on_after_another_tab_has_the_new_one() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    copy_page(folder.path());
    let servers = Servers::start_with_page("", folder.path());
    servers.deliver("gb", PLAIN);
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let page = &fixture.page;
    stay_signed_in(page, "gb", "gondola").await;
    page.wait_for_service_worker().await;
    // The first visit is not controlled by the service worker; the next one is.
    page.reload().await;
    page.wait_for("row", "Meeting").await;
    let first = page.client.window().await.expect("the current tab");
    upgrade_page(folder.path());
    let second = page.client.new_window(true).await.expect("a new tab").handle;
    page.client.switch_to_window(second).await.expect("the tab is open");
    page.goto(&fixture.servers.url()).await;
    page.wait_for("row", "Meeting").await;
    page.press("Reload").await;
    page.wait_until("the new version", async || {
        page.client.execute(HAS_NEW_STYLE, vec![]).await.is_ok_and(|found| found == true)
    })
    .await;

    page.client.switch_to_window(first).await.expect("the tab is open");
    page.wait_for_text("A new version is available.").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    let style = "const [done] = arguments; fetch(document.querySelector('link[rel=stylesheet]').href).then((answer) => done(answer.ok))";
    let is_served = page.client.execute_async(style, vec![]).await.expect("the script runs");
    assert_eq!(is_served, true, "a file of the previous version is gone");
    page.press("Reload").await;
    page.wait_until("the new version", async || {
        page.client.execute(HAS_NEW_STYLE, vec![]).await.is_ok_and(|found| found == true)
    })
    .await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn catcher_registers_no_service_worker() {
    let (catcher, driver) = (Catcher::start(), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    page.goto(&catcher.url()).await;
    page.wait_for_text("No mail yet").await;
    let count = "const [done] = arguments; setTimeout(() => navigator.serviceWorker.getRegistrations().then((all) => done(all.length)), 900)";
    assert_eq!(page.client.execute_async(count, vec![]).await.expect("the script runs"), 0);
}

/// Gives the account's database a later version, with one more object store.
const UPGRADE_DATABASE: &str = "\
    const [done] = arguments;
    const request = indexedDB.open('pennypost/gb', 1000);
    request.onupgradeneeded = () => request.result.createObjectStore('later');
    request.onsuccess = () => { request.result.close(); done(null) };
    request.onerror = () => done(String(request.error));";

#[tokio::test]
async fn page_uses_the_database_of_a_later_version() {
    let fixture = open_inbox(&[PLAIN]).await;
    let page = &fixture.page;
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    page.press("Save and close").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Half a thought")).await;
    let failure = page.client.execute_async(UPGRADE_DATABASE, vec![]).await.expect("the script runs");
    assert!(failure.is_null(), "{failure}");
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Half a thought").await;
    page.fill("Subject", "A whole thought").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("A whole thought")).await;
    assert_no_console_errors(page).await;
}
