//! Mail that means harm: nothing in it runs, and nothing in it is fetched or looked up.

use browser_tests::{Driver, Lure, Page, Screen, Stage};

use crate::mails::html;
use crate::samples::{LOOK_UPS, SAMPLES};
use crate::{enter, inbox};

/// The samples as they stand, each a page of its own: those that a browser falls for must call. A sample that could not
/// call anyway would show nothing.
#[tokio::test]
async fn the_samples_work_where_nothing_stops_them() {
    let (lure, driver) = (Lure::start(), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    for sample in SAMPLES.iter().filter(|sample| sample.works) {
        let (bare, call) = (format!("/bare/{}", sample.name), format!("/call/{}", sample.name));
        lure.serve(&bare, format!("<!doctype html>{}", sample.html(&lure.url(&call))));
        page.go(&lure.url(&bare)).await;
        page.until(&format!("the call of {}", sample.name), async || called(&lure, &call)).await;
    }
    for (number, sample) in LOOK_UPS.iter().enumerate() {
        let path = format!("/look-up/{number}");
        lure.serve(&path, format!("<!doctype html>{}", sample.replace("{name}", &look_up(number))));
        page.go(&lure.url(&path)).await;
    }
    page.close().await;
    let log = driver.network_log();
    for (number, sample) in LOOK_UPS.iter().enumerate().filter(|(_, sample)| !sample.contains("a link")) {
        assert!(log.contains(&look_up(number)), "it asks for no name: {sample}");
    }
}

#[tokio::test]
async fn nothing_in_a_message_runs_or_calls() {
    let lure = Lure::start();
    let mut mails: Vec<String> = SAMPLES
        .iter()
        .map(|sample| html(&subject(sample.name), &sample.html(&lure.url(&format!("/mail/{}", sample.name)))))
        .collect();
    mails.extend(LOOK_UPS.iter().enumerate().map(|(number, sample)| {
        html(&subject(&format!("look-up-{number}")), &sample.replace("{name}", &look_up(number)))
    }));
    let stage = inbox(&mails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let Stage { page, driver, servers } = &stage;
    page.run("window.marked = 0", vec![]).await;
    let mut shown = 0;

    let names = SAMPLES.iter().map(|sample| sample.name.to_owned());
    for name in names.chain((0..LOOK_UPS.len()).map(|number| format!("look-up-{number}"))) {
        page.fill("Search", &subject(&name)).await;
        page.open(&subject(&name)).await;
        page.finds("heading", &subject(&name)).await;
        if page.find("frame", "").await.is_some() {
            page.until("the whole message", async || page.in_message(SETTLED).await == Some(true.into()))
                .await;
            let left = page.in_message(HARMFUL).await.expect("the frame is there");
            assert_eq!(left, serde_json::json!([]), "of {name} is left");
            press_everything(page).await;
            shown += 1;
        }
        assert_eq!(page.run("return window.marked", vec![]).await, 0, "{name} ran in the page");
        assert_eq!(lure.visits(), [""; 0], "{name} called");
        assert!(page.title().await.contains("Pennypost"), "{name} changed the title");
        assert!(
            page.client.current_url().await.expect("it shows a page").as_str().starts_with(&servers.url())
        );
    }
    // Of some nothing is left to show.
    assert!(shown > SAMPLES.len() / 2, "only {shown} of {} were shown", SAMPLES.len());
    page.picture("hostile-message").await;
    assert_eq!(page.client.windows().await.expect("it has windows").len(), 1, "a message opened a window");

    // A page that does call shows that the lure would have heard; what is slow has had its time, too.
    lure.serve("/bare", format!("<img src='{}'>", lure.url("/call")));
    page.go(&lure.url("/bare")).await;
    page.until("the call of a page", async || called(&lure, "/call")).await;
    assert_eq!(lure.visits().iter().filter(|path| path.starts_with("/mail")).count(), 0);
    page.close().await;
    let log = driver.network_log();
    for (number, sample) in LOOK_UPS.iter().enumerate() {
        assert!(!log.contains(&look_up(number)), "a name was looked up: {sample}");
    }
}

/// What is not HTML can mean harm, too: a subject, a sender, a name of a file, a plain text, the server's own words.
#[tokio::test]
async fn nothing_outside_the_body_runs_either() {
    let lure = Lure::start();
    let trick = format!("<img src={} onerror=top.marked=1>", lure.url("/mail"));
    let mail = format!(
        "From: \"{trick}\" <stranger@example.org>\nTo: gb@iit.edu\nSubject: Trick {trick}\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n{trick}\n\
         --b\nContent-Type: text/html; name=\"{trick}.html\"\n\
         Content-Disposition: attachment; filename=\"{trick}.html\"\n\n<script>top.marked=1</script>{trick}\n--b--\n"
    );
    let stage = inbox(&[&mail]).await;
    let Stage { page, .. } = &stage;
    page.run("window.marked = 0", vec![]).await;
    page.open("Trick").await;
    page.sees("onerror=top.marked=1>.html").await;
    page.picture("hostile-header").await;
    page.press("Show original").await;
    page.sees("filename=").await;
    page.press("Reply").await;
    page.until("the quoted text", async || page.value("Text").await.contains("onerror")).await;
    assert_eq!(page.run("return window.marked", vec![]).await, 0);
    assert_eq!(lure.visits(), [""; 0]);
    page.reload().await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Trick").await;
    assert_eq!(lure.visits(), [""; 0]);
}

/// Whether the frame's document is whole.
const SETTLED: &str = "return document.readyState === 'complete' && document.body !== null";

/// What the cleaner should have taken out, as far as the frame's document still has it.
const HARMFUL: &str = "\
    const tags = 'script, link, base, form, input, svg, math, iframe, object, embed, meta[http-equiv], body style'; \
    const elements = [...document.querySelectorAll('*')]; \
    return elements.filter((one) => one.matches(tags) || [...one.attributes].some(({ name }) => name.startsWith('on'))) \
        .map((one) => one.outerHTML)";

/// Presses what a message asks to be pressed.
async fn press_everything(page: &Page) {
    let Some(frame) = page.find("frame", "").await else { return };
    frame.enter_frame().await.expect("the frame stands in the page");
    let places = page
        .client
        .find_all(fantoccini::Locator::XPath(
            "//*[contains(text(), 'press here') or contains(@value, 'press here')]",
        ))
        .await
        .expect("the frame can be searched");
    for place in places {
        // What cannot be pressed does no harm.
        let _ = place.click().await;
    }
    page.client.enter_parent_frame().await.expect("the frame stands in the page");
}

fn subject(name: &str) -> String {
    format!("[{name}]")
}

fn look_up(number: usize) -> String {
    format!("looked-up-{number}.localhost")
}

fn called(lure: &Lure, path: &str) -> bool {
    lure.visits().iter().any(|visit| visit.starts_with(path))
}
