//! Size and speed of the page in Chromium: `cargo bench -p browser-tests`.
//!
//! The figures are printed next to their targets and do not fail the run, because they depend on the machine. Times are
//! the median of several runs, each with a new browser profile.

use std::fmt::Write as _;
use std::fs;

use browser_tests::{Driver, Fixture, Page, Screen, Servers};

const RUNS: usize = 5;

/// Returns the compressed octets of all resources without headers, the milliseconds to the first paint, and those to the
/// frame with the sign-in form.
const MEASURE_LOAD: &str = "\
    const done = arguments[0];
    const look = () => {
        const paint = performance.getEntriesByName('first-contentful-paint')[0];
        if (!paint || !document.querySelector('input[type=password]')) return requestAnimationFrame(look);
        const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
        const octets = all.reduce((sum, one) => sum + one.encodedBodySize, 0);
        requestAnimationFrame(() => done([octets, paint.startTime, performance.now()]));
    };
    look();";

/// Presses Sign in. Returns the milliseconds to the first row and to a list with all headers.
const MEASURE_LIST: &str = "\
    const done = arguments[0];
    const start = performance.now();
    let first;
    document.querySelector('form button').click();
    const look = () => {
        first ??= document.querySelector('li.row') && performance.now() - start;
        const rest = [...document.querySelectorAll('button')].some((button) => button.innerText === 'Check mail');
        if (rest && first) done([first, performance.now() - start]); else requestAnimationFrame(look);
    };
    look();";

/// Scrolls the list by 100 pixels per frame. Returns the frames per second and the longest frame in milliseconds.
const MEASURE_SCROLL: &str = "\
    const done = arguments[0];
    let list = document.querySelector('li.row');
    while (list.scrollHeight <= list.clientHeight) list = list.parentElement;
    const times = [];
    const frame = (now) => {
        times.push(now);
        list.scrollTop += 100;
        if (times.length <= 300) return requestAnimationFrame(frame);
        const gaps = times.slice(1).map((time, at) => time - times[at]);
        done([gaps.length * 1000 / (times.at(-1) - times[0]), Math.max(...gaps)]);
    };
    requestAnimationFrame(frame);";

/// Runs before the page. Records when the first frame with a row is drawn, in milliseconds since the navigation.
const WATCH_FIRST_ROW: &str = "\
    const look = () => {
        if (!document.querySelector('li.row')) return requestAnimationFrame(look);
        requestAnimationFrame(() => { window.firstRow = performance.now() });
    };
    requestAnimationFrame(look);";

/// Returns the milliseconds to the first paint and to the first row of a page with [`WATCH_FIRST_ROW`].
const MEASURE_REPEAT: &str = "\
    const done = arguments[0];
    const look = () => {
        const paint = performance.getEntriesByName('first-contentful-paint')[0];
        if (!paint || !window.firstRow) return requestAnimationFrame(look);
        done([paint.startTime, window.firstRow]);
    };
    look();";

/// Types a text into the element of a selector, a character per frame. Returns the longest time from a key to the frame after
/// it, in milliseconds, and that of the last key.
const MEASURE_TYPING: &str = "\
    const [selector, text, done] = arguments;
    const field = document.querySelector(selector);
    const { set } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value');
    const times = [];
    const type = (at) => {
        if (at === text.length) return done([Math.max(...times), times.at(-1)]);
        const start = performance.now();
        set.call(field, text.slice(0, at + 1));
        field.dispatchEvent(new InputEvent('input', { bubbles: true }));
        requestAnimationFrame(() => setTimeout(() => {
            times.push(performance.now() - start);
            requestAnimationFrame(() => type(at + 1));
        }));
    };
    type(0);";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure());
}

async fn measure() {
    let mut rows = String::new();
    let mut row = |name: &str, figure: f64, unit: &str, target: &str| {
        writeln!(rows, "{name:48} {figure:>9.1} {unit:4} {target}").expect("writing to a string succeeds");
    };
    let [octets, paint, form] = median(async || {
        let fixture = Fixture::open().await;
        numbers(&fixture.page, MEASURE_LOAD).await
    })
    .await;
    row("page, compressed transfer", octets / 1024.0, "KiB", "at most 600");
    row("page, first paint of anything", paint, "ms", "");
    row("page, first paint of the sign-in form", form, "ms", "at most 500");
    for count in [1_000, 10_000] {
        let servers = Servers::start("");
        fs::write(servers.mailbox_path("gb"), mailbox(count)).expect("the file is writable");
        let [first, all] = median(async || {
            let driver = Driver::start();
            numbers(&open_sign_in(&driver, &servers).await, MEASURE_LIST).await
        })
        .await;
        row(&format!("list of {count}, sign-in to the first row"), first, "ms", "");
        row(&format!("list of {count}, sign-in to all headers"), all, "ms", "");
        let [frames, longest] = median(async || {
            let driver = Driver::start();
            let page = open_sign_in(&driver, &servers).await;
            numbers::<2>(&page, MEASURE_LIST).await;
            numbers(&page, MEASURE_SCROLL).await
        })
        .await;
        row(&format!("list of {count}, scrolled"), frames, "fps", "60");
        row(&format!("list of {count}, longest frame"), longest, "ms", "50");
        let [again, paint, repeat] = median(async || {
            let driver = Driver::start();
            let page = open_sign_in(&driver, &servers).await;
            numbers::<2>(&page, MEASURE_LIST).await;
            measure_second_visit(&page).await
        })
        .await;
        row(&format!("list of {count}, second sign-in to the first row"), again, "ms", "300");
        row(&format!("list of {count}, repeated visit, first paint"), paint, "ms", "150");
        row(&format!("list of {count}, repeated visit, first row"), repeat, "ms", "");
    }
    let [search, typing] = measure_typing().await;
    row("search over 10000 cached bodies, slowest key", search, "ms", "100");
    row("typing a message, slowest key", typing, "ms", "50");
    show(&rows);
}

/// The milliseconds of the second sign-in to the first row, and those of a reload to the first paint and to the first row.
async fn measure_second_visit(page: &Page) -> [f64; 3] {
    page.wait_for_service_worker().await;
    page.choose_menu_item("Sign out").await;
    page.fill("Username", "gb").await;
    page.fill("Password", "gondola").await;
    let [again, _] = numbers(page, MEASURE_LIST).await;
    page.run_at_start(WATCH_FIRST_ROW).await;
    page.reload().await;
    let [paint, repeat] = numbers(page, MEASURE_REPEAT).await;
    [again, paint, repeat]
}

/// The milliseconds of the slowest key in the search field, with 10,000 cached messages, and in a new message.
async fn measure_typing() -> [f64; 2] {
    let (servers, driver) = (Servers::start(""), Driver::start());
    fs::write(servers.mailbox_path("gb"), mailbox(10_000)).expect("the file is writable");
    let page = open_sign_in(&driver, &servers).await;
    numbers::<2>(&page, MEASURE_LIST).await;
    page.wait_for_text("10,000 of 10,000 available offline").await;
    let keys = async |selector: &str, text: &str| {
        let arguments = vec![selector.into(), text.into()];
        let found = page.client.execute_async(MEASURE_TYPING, arguments).await.expect("the script succeeds");
        found[0].as_f64().expect("a number")
    };
    let search = keys("input[type=search]", "message number 7777").await;
    page.press("Inbox").await;
    page.press("Compose").await;
    page.wait_for("field", "Text").await;
    [search, keys("main.compose textarea", "A message of a few words.").await]
}

/// The completed sign-in form.
async fn open_sign_in(driver: &Driver, servers: &Servers) -> Page {
    let page = Page::new(driver.open(Screen::Desktop).await);
    page.goto(&servers.url()).await;
    page.fill("Username", "gb").await;
    page.fill("Password", "gondola").await;
    page
}

/// The numbers that a script returns.
async fn numbers<const COUNT: usize>(page: &Page, script: &str) -> [f64; COUNT] {
    let found = page.client.execute_async(script, vec![]).await.expect("the script succeeds");
    std::array::from_fn(|at| found[at].as_f64().expect("enough numbers"))
}

async fn median<const COUNT: usize>(run: impl AsyncFn() -> [f64; COUNT]) -> [f64; COUNT] {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(run().await);
    }
    std::array::from_fn(|column| {
        let mut column: Vec<f64> = runs.iter().map(|run: &[f64; COUNT]| run[column]).collect();
        column.sort_by(f64::total_cmp);
        column[RUNS / 2]
    })
}

/// A mailbox file in the format of the guide, with one line of text per message.
fn mailbox(count: usize) -> String {
    (0..count).fold(String::new(), |mut mailbox, number| {
        let (day, hour, minute) = (1 + number / 1440 % 28, number / 60 % 24, number % 60);
        write!(
            mailbox,
            "From: Sender {0} <sender{0}@example.org>\r\nTo: gb@iit.edu\r\nSubject: Message number {number}\r\n\
             Received: 2026-11-{day:02} : {hour:02} : {minute:02}\r\n\r\nThis is message number {number}.\r\n.\r\n",
            number % 97
        )
        .expect("writing to a string succeeds");
        mailbox
    })
}

#[allow(clippy::print_stdout, reason = "benchmarks print their results")]
fn show(rows: &str) {
    println!("\n{rows}");
}
