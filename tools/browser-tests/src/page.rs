//! The page, as a person meets it.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator, elements::ElementRef};
use serde_json::{Value, json};

use crate::places;

/// How long anything here may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(25);

/// What a WebDriver element is called in JSON (W3C WebDriver, section "Elements").
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser's window. Whatever is asked for is waited for; what does not come in [`PATIENCE`] fails the test with what
/// the page shows instead.
#[derive(Debug)]
pub struct Page {
    pub client: Client,
}

impl Page {
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.expect("the browser goes there");
    }

    pub async fn reload(&self) {
        self.client.refresh().await.expect("the browser reloads");
    }

    /// Presses the browser's own Back.
    pub async fn back(&self) {
        self.client.back().await.expect("the browser goes back");
    }

    /// Fills in the sign-in form and sends it.
    pub async fn sign_in(&self, account: &str, password: &str) {
        self.fill("Username", account).await;
        self.fill("Password", password).await;
        self.press("Sign in").await;
    }

    /// Presses the button or follows the link of this name.
    pub async fn press(&self, name: &str) {
        self.until(&format!("a button or link \"{name}\""), async || {
            self.click("button", name).await || self.click("link", name).await
        })
        .await;
    }

    /// Chooses an item of the menu.
    pub async fn choose(&self, item: &str) {
        self.press("Menu").await;
        self.press(item).await;
    }

    /// Opens the row of a list that holds this text.
    pub async fn open(&self, text: &str) {
        self.until(&format!("a row with \"{text}\""), async || self.click("row", text).await).await;
    }

    /// Replaces what a field holds by typing.
    pub async fn fill(&self, label: &str, text: &str) {
        let select_all = format!("{}a{}", Key::Control, Key::Null);
        let typed = if text.is_empty() { Key::Delete.to_string() } else { text.to_owned() };
        self.until(&format!("a field \"{label}\""), async || {
            let Some(field) = self.find("field", label).await else { return false };
            field.send_keys(&format!("{select_all}{typed}")).await.is_ok()
        })
        .await;
    }

    /// Chooses the option of a field whose label begins so.
    pub async fn pick(&self, label: &str, option: &str) {
        let field = self.finds("field", label).await;
        let option = format!(".//option[starts-with(., '{option}')]");
        field.select_by(Locator::XPath(&option)).await.expect("there is such an option");
    }

    /// Types at the beginning of what a field holds.
    pub async fn write(&self, label: &str, text: &str) {
        let home = format!("{}{}{}", Key::Control, Key::Home, Key::Null);
        let field = self.finds("field", label).await;
        field.send_keys(&format!("{home}{text}")).await.expect("the field takes text");
    }

    /// Gives a file to the field of this name, hidden or not: the dialogue that a person would get has no place in a
    /// headless browser.
    pub async fn attach(&self, file: &Path) {
        let field = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css("input[type=file]"))
            .await
            .expect("there is a field for files");
        field.send_keys(&file.to_string_lossy()).await.expect("the field takes a file");
    }

    /// Types wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let actions = keys.chars().fold(KeyActions::new("keyboard".into()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(actions).await.expect("the browser takes keys");
    }

    /// Presses a key again and again, until the focus is on what is called so.
    ///
    /// # Panics
    /// It goes past everything.
    pub async fn until_focused(&self, key: &str, name: &str) {
        for _ in 0..40 {
            if self.focus().await.starts_with(name) {
                return;
            }
            self.keys(key).await;
        }
        panic!("the focus never came to \"{name}\"; it is on \"{}\"", self.focus().await);
    }

    /// What the focused element is called.
    pub async fn focus(&self) -> String {
        let name = "const element = document.activeElement; \
                    const label = [...(element.labels ?? [])].map((label) => label.innerText).join(' '); \
                    return (element.getAttribute('aria-label') || label || element.innerText).trim()";
        self.run(name, vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows a text.
    pub async fn sees(&self, text: &str) {
        self.until(&format!("the text \"{text}\""), async || self.shows(text).await).await;
    }

    /// Waits until the page shows a text no more.
    pub async fn misses(&self, text: &str) {
        self.until(&format!("an end of the text \"{text}\""), async || !self.shows(text).await).await;
    }

    /// Waits for an element of a role (see `find.js`) whose name holds a text.
    pub async fn finds(&self, role: &str, name: &str) -> Element {
        self.until_some(&format!("a {role} \"{name}\""), async || self.find(role, name).await).await
    }

    /// Waits until there is no such element.
    pub async fn lacks(&self, role: &str, name: &str) {
        self.until(&format!("an end of the {role} \"{name}\""), async || {
            self.find(role, name).await.is_none()
        })
        .await;
    }

    /// The best match for a role and a name that the page shows now.
    pub async fn find(&self, role: &str, name: &str) -> Option<Element> {
        self.find_all(role, name).await.into_iter().next()
    }

    /// Every match for a role and a name that the page shows now, the best first.
    pub async fn find_all(&self, role: &str, name: &str) -> Vec<Element> {
        let found = self.run(include_str!("find.js"), vec![json!(role), json!(name)]).await;
        let ids = found.as_array().into_iter().flatten().filter_map(|element| element[ELEMENT_KEY].as_str());
        ids.map(|id| Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned()))).collect()
    }

    /// What a field holds.
    pub async fn value(&self, label: &str) -> String {
        // In one step: the field of another draft may take its place between two.
        let value = format!("return (function () {{ {} }})(...arguments)[0]?.value", include_str!("find.js"));
        self.until_some(&format!("a field \"{label}\""), async || {
            self.run(&value, vec![json!("field"), json!(label)]).await.as_str().map(str::to_owned)
        })
        .await
    }

    pub async fn title(&self) -> String {
        self.client.title().await.expect("a page has a title")
    }

    /// Closes the browser. Its network log is whole then.
    pub async fn close(&self) {
        self.client.clone().close().await.expect("the browser closes");
    }

    /// All text that can be read on the page now.
    pub async fn text(&self) -> String {
        self.run("return document.body?.innerText ?? ''", vec![])
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the message's own frame shows a text.
    pub async fn sees_in_message(&self, text: &str) {
        self.until(&format!("the text \"{text}\" in the message's frame"), async || {
            self.in_message("return document.body?.innerText ?? ''")
                .await
                .is_some_and(|body| body.as_str().is_some_and(|body| body.contains(text)))
        })
        .await;
    }

    /// Runs a script in the document of the message's frame, if there is one now.
    pub async fn in_message(&self, script: &str) -> Option<Value> {
        let frame = self.find("frame", "").await?;
        frame.enter_frame().await.ok()?;
        let answer = self.client.execute(script, vec![]).await;
        self.client.enter_parent_frame().await.expect("the frame stands in the page");
        answer.ok()
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    /// Makes the page's clock one that stands still until [`Page::passes`] puts it forward. Timers that are running already
    /// keep the old one.
    pub async fn hold_the_clock(&self) {
        self.run(include_str!("clock.js"), vec![]).await;
    }

    /// Lets time pass for a page whose clock is held: the timers that are due by then end now.
    pub async fn passes(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).expect("no test waits for ages");
        self.run("pass(arguments[0])", vec![json!(milliseconds)]).await;
    }

    /// All that the page has kept on this device, as one text.
    pub async fn kept(&self) -> String {
        let kept = self.client.execute_async(include_str!("kept.js"), vec![]).await;
        kept.unwrap_or_else(|error| panic!("what is kept cannot be read: {error}"))
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Puts the mouse over an element.
    pub async fn point_at(&self, element: &Element) {
        let over = PointerAction::MoveToElement { element: element.clone(), duration: None, x: 0.0, y: 0.0 };
        let mouse = MouseActions::new("mouse".into()).then(over);
        self.client.perform_actions(mouse).await.expect("the browser has a mouse");
    }

    /// Puts the mouse where nothing is.
    pub async fn point_at_nothing(&self) {
        let away = PointerAction::MoveTo { duration: None, x: 0.0, y: 0.0 };
        let mouse = MouseActions::new("mouse".into()).then(away);
        self.client.perform_actions(mouse).await.expect("the browser has a mouse");
    }

    /// Leaves a screenshot in `target/screenshots`.
    pub async fn picture(&self, name: &str) {
        let picture = self.client.screenshot().await.expect("the browser paints");
        fs::write(places::pictures().join(format!("{name}.png")), picture).expect("written");
    }

    /// What the browser's console has said since the last time, at `SEVERE`: errors and panics.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.client.issue_cmd(ConsoleLog).await.expect("chromedriver keeps the console");
        let severe = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The violations that axe-core finds, serious and critical ones, each with its rule and the elements.
    pub async fn violations(&self) -> Vec<String> {
        let check = "const [axe, done] = arguments; (0, eval)(axe); \
                     window.axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found), \
                     (error) => done({ error: String(error) }))";
        let found = self.client.execute_async(check, vec![json!(places::axe())]).await;
        let found = found.unwrap_or_else(|error| panic!("axe-core does not run: {error}"));
        let violations = found["violations"].as_array().unwrap_or_else(|| panic!("axe-core: {found}"));
        let grave = violations.iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        grave
            .map(|one| {
                let nodes =
                    one["nodes"].as_array().into_iter().flatten().filter_map(|node| node["html"].as_str());
                format!("{}: {}", one["id"].as_str().unwrap_or_default(), nodes.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    /// Waits until a condition holds.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        self.until_some(what, async || condition().await.then_some(())).await;
    }

    /// Waits until there is something.
    pub async fn until_some<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if start.elapsed() > PATIENCE {
                self.picture("failed").await;
                panic!("the page never came to {what}; it shows:\n{}", self.text().await);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn shows(&self, text: &str) -> bool {
        self.text().await.contains(text)
    }

    /// A click that hits; the page may change between the look and the click, and the next look finds it again.
    async fn click(&self, role: &str, name: &str) -> bool {
        let Some(element) = self.find(role, name).await else { return false };
        // The driver presses what is disabled, too, and nothing comes of it.
        if !element.is_enabled().await.unwrap_or(false) {
            return false;
        }
        match element.click().await {
            Ok(()) => true,
            Err(CmdError::Standard(_)) => false,
            Err(error) => panic!("the browser is gone: {error}"),
        }
    }
}

/// chromedriver's own command: the console's entries since the last time.
#[derive(Debug)]
struct ConsoleLog;

impl WebDriverCompatibleCommand for ConsoleLog {
    fn endpoint(&self, base_url: &url::Url, session_id: Option<&str>) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!("session/{}/se/log", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
