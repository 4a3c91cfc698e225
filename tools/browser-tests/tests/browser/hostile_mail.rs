//! Hostile mail runs no script and causes no request and no DNS lookup.

use browser_tests::{Driver, Fixture, Page, Screen, TrapServer};

use crate::hostile_html::{DNS_LOOKUPS, SAMPLES};
use crate::open_inbox;
use crate::sample_mails::html;

/// Verifies the samples: served as a separate page, each effective sample sends its request.
#[tokio::test]
async fn samples_work_in_an_unprotected_page() {
    let (trap, driver) = (TrapServer::start(), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    for sample in SAMPLES.iter().filter(|sample| sample.is_effective) {
        let (bare, call) = (format!("/bare/{}", sample.name), format!("/call/{}", sample.name));
        trap.serve(&bare, format!("<!doctype html>{}", sample.html(&trap.url(&call))));
        page.goto(&trap.url(&bare)).await;
        page.wait_until(&format!("the request of {}", sample.name), async || is_requested(&trap, &call))
            .await;
    }
    for (number, sample) in DNS_LOOKUPS.iter().enumerate() {
        let path = format!("/look-up/{number}");
        trap.serve(&path, format!("<!doctype html>{}", sample.replace("{name}", &lookup_name(number))));
        page.goto(&trap.url(&path)).await;
    }
    page.close().await;
    let log = driver.network_log();
    for (number, sample) in DNS_LOOKUPS.iter().enumerate().filter(|(_, sample)| !sample.contains("a link")) {
        assert!(log.contains(&lookup_name(number)), "it looks up no name: {sample}");
    }
}

#[tokio::test]
async fn html_message_runs_no_script_and_sends_no_request() {
    let trap = TrapServer::start();
    let mut mails: Vec<String> = SAMPLES
        .iter()
        .map(|sample| html(&subject(sample.name), &sample.html(&trap.url(&format!("/mail/{}", sample.name)))))
        .collect();
    mails.extend(DNS_LOOKUPS.iter().enumerate().map(|(number, sample)| {
        html(&subject(&format!("look-up-{number}")), &sample.replace("{name}", &lookup_name(number)))
    }));
    let fixture = open_inbox(&mails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let Fixture { page, driver, servers } = &fixture;
    page.run("window.marked = 0", vec![]).await;
    let mut shown = 0;

    let names = SAMPLES.iter().map(|sample| sample.name.to_owned());
    for name in names.chain((0..DNS_LOOKUPS.len()).map(|number| format!("look-up-{number}"))) {
        page.fill("Search", &subject(&name)).await;
        page.open_row(&subject(&name)).await;
        page.wait_for("heading", &subject(&name)).await;
        if page.find("frame", "").await.is_some() {
            page.wait_until("the complete message", async || {
                page.run_in_message(IS_LOADED).await == Some(true.into())
            })
            .await;
            let harmful = page.run_in_message(HARMFUL_ELEMENTS).await.expect("the message frame");
            assert_eq!(harmful, serde_json::json!([]), "{name}: left after sanitizing");
            click_all_targets(page).await;
            shown += 1;
        }
        assert_eq!(page.run("return window.marked", vec![]).await, 0, "{name} ran in the page");
        assert_eq!(trap.requests(), [""; 0], "{name} sent a request");
        assert!(page.title().await.contains("Pennypost"), "{name} changed the title");
        assert!(
            page.client.current_url().await.expect("the page has a URL").as_str().starts_with(&servers.url())
        );
    }
    // Some samples are empty after sanitizing.
    assert!(shown > SAMPLES.len() / 2, "only {shown} of {} were shown", SAMPLES.len());
    page.screenshot("hostile-message").await;
    assert_eq!(page.client.windows().await.expect("the open windows").len(), 1, "a message opened a window");

    // A request from an unprotected page verifies the trap and gives slow requests time to arrive.
    trap.serve("/bare", format!("<img src='{}'>", trap.url("/call")));
    page.goto(&trap.url("/bare")).await;
    page.wait_until("the request of the unprotected page", async || is_requested(&trap, "/call")).await;
    assert_eq!(trap.requests().iter().filter(|path| path.starts_with("/mail")).count(), 0);
    page.close().await;
    let log = driver.network_log();
    for (number, sample) in DNS_LOOKUPS.iter().enumerate() {
        assert!(!log.contains(&lookup_name(number)), "DNS lookup by {sample}");
    }
}

#[tokio::test]
async fn headers_attachments_and_plain_text_run_no_script() {
    let trap = TrapServer::start();
    let trick = format!("<img src={} onerror=top.marked=1>", trap.url("/mail"));
    let mail = format!(
        "From: \"{trick}\" <stranger@example.org>\nTo: gb@iit.edu\nSubject: Trick {trick}\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n{trick}\n\
         --b\nContent-Type: text/html; name=\"{trick}.html\"\n\
         Content-Disposition: attachment; filename=\"{trick}.html\"\n\n<script>top.marked=1</script>{trick}\n--b--\n"
    );
    let fixture = open_inbox(&[&mail]).await;
    let Fixture { page, .. } = &fixture;
    page.run("window.marked = 0", vec![]).await;
    page.open_row("Trick").await;
    page.wait_for_text("onerror=top.marked=1>.html").await;
    page.screenshot("hostile-header").await;
    page.press("Show source").await;
    page.wait_for_text("filename=").await;
    page.press("Reply").await;
    page.wait_until("the quoted text", async || page.value("Text").await.contains("onerror")).await;
    assert_eq!(page.run("return window.marked", vec![]).await, 0);
    assert_eq!(trap.requests(), [""; 0]);
    crate::reload(page).await;
    page.wait_for("row", "Trick").await;
    assert_eq!(trap.requests(), [""; 0]);
}

/// A style sheet may move and cover what is inside the frame, and nothing else.
#[tokio::test]
async fn style_sheet_covers_nothing_outside_the_frame() {
    let sheet = "<style>:root,body,div{position:fixed!important;inset:-9999px!important;width:99999px!important;\
        height:99999px!important;z-index:2147483647!important;background:#f00!important;transform:scale(9)}\
        body{min-height:200vh}</style><div>Covered</div>";
    let fixture = open_inbox(&[&html("Cover", sheet)]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Cover").await;
    page.wait_for_message_text("Covered").await;
    page.screenshot("hostile-style-sheet").await;
    let outside = "\
        const frame = document.querySelector('.frame iframe').getBoundingClientRect(); \
        const reader = document.querySelector('.reader').getBoundingClientRect(); \
        const isOutside = ({ left, top }) => !document.elementFromPoint(left + 5, top + 5)?.closest('iframe'); \
        const others = [...document.querySelectorAll('.toolbar button, .title, .row .open, .nav button')]; \
        return [frame.left >= reader.left && frame.right <= reader.right, others.length > 5, others.every((one) => \
            isOutside(one.getBoundingClientRect()))]";
    assert_eq!(page.run(outside, vec![]).await, serde_json::json!([true, true, true]));
    page.press("Reply").await;
    page.wait_for("field", "Subject").await;
}

/// Whether the document of the frame is complete.
const IS_LOADED: &str = "return document.readyState === 'complete' && document.body !== null";

/// Returns elements in the frame that the sanitizer should have removed.
const HARMFUL_ELEMENTS: &str = "\
    const tags = 'script, link, base, form, input, svg, math, iframe, object, embed, meta[http-equiv], body style'; \
    const elements = [...document.querySelectorAll('*')]; \
    return elements.filter((one) => one.matches(tags) || [...one.attributes].some(({ name }) => name.startsWith('on'))) \
        .map((one) => one.outerHTML)";

/// Clicks every element of the message that says "press here".
async fn click_all_targets(page: &Page) {
    let Some(frame) = page.find("frame", "").await else { return };
    frame.enter_frame().await.expect("the frame is in the page");
    let targets = page
        .client
        .find_all(fantoccini::Locator::XPath(
            "//*[contains(text(), 'press here') or contains(@value, 'press here')]",
        ))
        .await
        .expect("the frame can be searched");
    for target in targets {
        // Elements that cannot be clicked are harmless.
        let _ = target.click().await;
    }
    page.client.enter_parent_frame().await.expect("the frame is in the page");
}

fn subject(name: &str) -> String {
    format!("[{name}]")
}

fn lookup_name(number: usize) -> String {
    format!("lookup-{number}.localhost")
}

fn is_requested(trap: &TrapServer, path: &str) -> bool {
    trap.requests().iter().any(|request| request.starts_with(path))
}
