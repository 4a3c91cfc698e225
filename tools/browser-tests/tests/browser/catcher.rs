//! The page of `pennypost catch`.

use browser_tests::{Catcher, Driver, Page, Screen, TrapServer};

use crate::assert_no_console_errors;
use crate::hostile_html::SAMPLES;
use crate::sample_mails::{self, HTML, PLAIN, SQUARE};

/// A mail with defects and with everything that the views show.
const CONFIRMATION: &str = "\
From: The Shop <shop@shop.example>
To: Ann <ann+welcome@customer.example>
Subject: Confirm your address
Message-ID: <1@shop.example>
X-Tags: onboarding
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain

Your code is 482913. Open https://shop.example/confirm?token=x1 to confirm.
--a
Content-Type: text/html

<style>p { display: flex }</style><h1>Welcome</h1><p onclick=\"x()\">Your code is <b>482913</b>.</p>
<a href=\"https://shop.example/confirm?token=x1\">Confirm</a><form action=\"/x\"><input name=a></form>
--a--
";

/// The page of a new catcher.
async fn open(screen: Screen) -> (Page, Driver, Catcher) {
    let (catcher, driver) = (Catcher::start(), Driver::start());
    let page = Page::new(driver.open(screen).await);
    page.goto(&catcher.url()).await;
    page.wait_for_text("No mail yet").await;
    (page, driver, catcher)
}

async fn check_accessibility(page: &Page, name: &str) {
    assert_eq!(page.accessibility_violations().await, [""; 0], "in the view {name}");
}

#[tokio::test]
async fn mail_appears_at_once_and_is_filtered_searched_and_deleted() {
    let (page, _driver, catcher) = open(Screen::Desktop).await;
    page.screenshot("catch-empty").await;
    check_accessibility(&page, "empty").await;
    page.wait_for_text("Live").await;
    catcher.deliver("ann+welcome@customer.example", CONFIRMATION);
    page.wait_for("row", "Confirm your address").await;
    assert_eq!(page.title().await, "(1) Pennypost catch");
    catcher.deliver("bob@customer.example", PLAIN);
    page.wait_for("row", "Meeting").await;

    page.press("bob@customer.example").await;
    page.wait_for_gone("row", "Confirm your address").await;
    page.press("All mail").await;
    page.fill("Search", "subject:confirm").await;
    page.wait_for_gone("row", "Meeting").await;
    assert_no_console_errors(&page).await;
    // The refused request is reported on the console.
    page.fill("Search", "before:yesterday").await;
    page.wait_for("alert", "has no date").await;
    page.fill("Search", "").await;
    page.press("onboarding").await;
    page.wait_for_gone("row", "Meeting").await;
    page.press("onboarding").await;

    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_until("the message to be read", async || page.title().await == "(1) Pennypost catch").await;
    page.back().await;
    page.wait_for_reader_text("Select a message").await;
    page.open_row("Meeting").await;
    page.press("Delete").await;
    page.wait_for_gone("row", "Meeting").await;
    page.wait_for_reader_text("Select a message").await;

    page.press("Delete all").await;
    page.wait_for("dialog", "Delete 1 message?").await;
    page.press("Keep").await;
    page.wait_for("row", "Confirm your address").await;
    page.press("Delete all").await;
    page.wait_for("dialog", "Delete 1 message?").await;
    page.run("document.querySelector('dialog .primary').click()", vec![]).await;
    page.wait_for_text("No mail yet").await;
    drop(catcher);
    page.wait_for("alert", "does not answer").await;
}

#[tokio::test]
async fn views_show_everything_about_a_message() {
    let (page, _driver, catcher) = open(Screen::Desktop).await;
    catcher.deliver("ann+welcome@customer.example", CONFIRMATION);
    catcher.deliver("gb@iit.edu", HTML);
    catcher.deliver(
        "carl@customer.example",
        &sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE),
    );
    page.open_row("Confirm your address").await;
    page.wait_for_message_text("Welcome").await;
    page.wait_for_reader_text("The Shop <shop@shop.example> MAIL FROM:<bounce@shop.example>").await;
    page.screenshot("catch-html").await;
    check_accessibility(&page, "HTML").await;
    let width = || async { page.run("return document.querySelector('.frame').clientWidth", vec![]).await };
    for (button, expected) in [("320 px", 318), ("1280 px", 1278), ("768 px", 766)] {
        page.press(button).await;
        page.wait_until("the width", async || width().await == expected).await;
    }
    page.screenshot("catch-768").await;

    for (view, text) in [
        ("Text", "Your code is 482913. Open https"),
        ("Source", "Content-Type: multipart/alternative; boundary=a"),
        ("Headers", "onboarding"),
        ("Links", "https://shop.example/confirm?token=x1"),
        ("Parts", "multipart/alternative"),
        ("Compatibility", "onclick of <p>"),
        ("Dialogue", "C: RCPT TO:<ann+welcome@customer.example>"),
        ("Lint", "missing-date"),
    ] {
        page.press(view).await;
        page.wait_for_reader_text(text).await;
        page.screenshot(&format!("catch-{}", view.to_lowercase())).await;
        check_accessibility(&page, view).await;
    }
    // The chosen view stays.
    page.open_row("A picture").await;
    page.wait_for("heading", "A picture").await;
    page.wait_for_reader_text("missing-message-id").await;
    page.press("Parts").await;
    page.wait_for_reader_text("square.png").await;
    page.press("Text").await;
    page.screenshot("catch-attachment").await;

    // An inline image is drawn, a remote one is not.
    page.open_row("Ten things").await;
    page.press("HTML").await;
    page.wait_for_message_text("you did not ask for").await;
    page.wait_for_reader_text("1 remote image blocked").await;
    let images = "return [...document.images].map((image) => image.naturalWidth)";
    page.wait_until("the image", async || page.run_in_message(images).await == Some(serde_json::json!([48])))
        .await;
    page.screenshot("catch-images").await;
}

#[tokio::test]
async fn links_are_checked_and_a_message_is_released() {
    let (receiver, trap, directory) =
        (Catcher::start(), TrapServer::start(), tempfile::tempdir().expect("a directory"));
    trap.serve("/confirm", "<p>confirmed</p>".to_owned());
    let config = directory.path().join("catch.toml");
    let outbound = format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{}', tls = 'off' }}\n",
        receiver.smtp_address()
    );
    std::fs::write(&config, outbound).expect("the file is written");
    let config = config.to_str().expect("UTF-8");
    let (catcher, driver) =
        (Catcher::start_with(&["--config", config, "--release-to", "*@team.example"]), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    page.goto(&catcher.url()).await;
    let link = trap.url("/confirm");
    catcher.deliver(
        "ann@customer.example",
        &sample_mails::html(
            "Check me",
            &format!("<p style='display:grid'><a href='{link}'>a</a> <a href='http://10.0.0.1/'>b</a></p>"),
        ),
    );
    page.open_row("Check me").await;
    page.press("Compatibility").await;
    page.wait_for_reader_text("display:grid").await;
    page.wait_for_reader_text("Outlook Windows").await;
    page.screenshot("catch-compatibility").await;
    page.press("Links").await;
    page.wait_for_reader_text("2 links").await;
    assert!(!trap.requests().contains(&"/confirm".to_owned()), "only on request");
    page.press("Check links").await;
    page.wait_for_reader_text("200 OK").await;
    page.wait_for_reader_text("451 Blocked private/reserved address").await;
    page.screenshot("catch-links-checked").await;
    check_accessibility(&page, "checked links").await;

    page.press("Release").await;
    page.wait_for("dialog", "Release this message?").await;
    page.screenshot("catch-release").await;
    check_accessibility(&page, "release").await;
    page.run("document.querySelector('dialog .primary').click()", vec![]).await;
    page.wait_for("alert", "ann@customer.example is not on the list").await;
    page.fill("To", "ann@team.example").await;
    page.run("document.querySelector('dialog .primary').click()", vec![]).await;
    page.wait_for_text("Released to ann@team.example").await;
    page.goto(&receiver.url()).await;
    page.wait_for("row", "Check me").await;
}

#[tokio::test]
async fn phone_shows_the_list_or_the_message() {
    let (page, _driver, catcher) = open(Screen::Phone).await;
    catcher.deliver("ann+welcome@customer.example", CONFIRMATION);
    catcher.deliver("bob@customer.example", PLAIN);
    page.wait_for("row", "Confirm your address").await;
    page.screenshot("catch-phone-list").await;
    check_accessibility(&page, "list").await;
    page.select_option("Recipient", "ann+welcome").await;
    page.wait_for_gone("row", "Meeting").await;
    page.open_row("Confirm your address").await;
    page.wait_for_message_text("Welcome").await;
    page.screenshot("catch-phone-html").await;
    page.press("Dialogue").await;
    page.wait_for_reader_text("C: RCPT TO:").await;
    page.screenshot("catch-phone-dialogue").await;
    check_accessibility(&page, "dialogue").await;
    let overflow = "return document.documentElement.scrollWidth - innerWidth";
    assert_eq!(page.run(overflow, vec![]).await, 0, "the page scrolls to the side");
    page.press("Back to the list").await;
    page.wait_for("row", "Confirm your address").await;
}

#[tokio::test]
async fn hostile_mail_runs_no_script_and_sends_no_request() {
    let trap = TrapServer::start();
    let (page, _driver, catcher) = open(Screen::Desktop).await;
    page.run("window.marked = 0", vec![]).await;
    for sample in SAMPLES {
        let html = sample.html(&trap.url(&format!("/mail/{}", sample.name)));
        catcher.deliver(
            "ann@customer.example",
            &sample_mails::html(&format!("Sample {} end", sample.name), &html),
        );
    }
    let trick = "<img src=x onerror=top.marked=1>";
    catcher.deliver(
        "\"<img src=x onerror=top.marked=1>\"@customer.example",
        &format!("Subject: {trick}\nX-Tags: {trick}\nFrom: {trick} <a@b>\n\n{trick}\n"),
    );
    let mut shown = 0;
    let mut previous = "top.marked".to_owned();
    for sample in SAMPLES {
        let subject = format!("Sample {} end", sample.name);
        page.fill("Search", &format!("subject:\"{subject}\"")).await;
        // Rows move when the result of the search arrives.
        page.wait_for_gone("row", &previous).await;
        page.open_row(&subject).await;
        page.wait_for("heading", &subject).await;
        shown += usize::from(page.find("frame", "").await.is_some());
        page.press("Compatibility").await;
        page.press("Source").await;
        page.press("HTML").await;
        previous = subject;
    }
    assert!(shown > SAMPLES.len() / 2, "only {shown} of {} were shown", SAMPLES.len());
    page.fill("Search", "from:a@b").await;
    page.wait_for_gone("row", "Sample").await;
    page.open_row("top.marked").await;
    page.wait_for("heading", "top.marked").await;
    for view in ["Text", "Source", "Headers", "Links", "Parts", "Dialogue", "Lint"] {
        page.press(view).await;
    }
    page.screenshot("catch-hostile").await;
    assert_eq!(page.run("return window.marked", vec![]).await, 0);

    // A request from an unprotected page gives slow requests time to arrive.
    trap.serve("/bare", format!("<img src='{}'>", trap.url("/call")));
    page.goto(&trap.url("/bare")).await;
    page.wait_until("the request of the unprotected page", async || {
        trap.requests().contains(&"/call".to_owned())
    })
    .await;
    assert_eq!(trap.requests().iter().filter(|path| path.starts_with("/mail")).count(), 0);
}

#[tokio::test]
async fn failed_check_of_the_html_is_reported() {
    let (page, _driver, catcher) = open(Screen::Desktop).await;
    let fail = "const request = fetch; window.fetch = (url, ...rest) => \
        String(url).includes('html-check') ? Promise.resolve(new Response('', { status: 500 })) : request(url, ...rest)";
    page.run(fail, vec![]).await;
    catcher.deliver("gb@iit.edu", HTML);
    page.open_row("Ten things").await;
    page.press("Compatibility").await;
    page.wait_for("alert", "The HTML was not checked.").await;
    assert!(!page.text().await.contains("None of the known gaps"), "the message is called clean");
    check_accessibility(&page, "Compatibility").await;
}
