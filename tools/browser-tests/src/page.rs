//! Acts on the page by role and label, as a user does.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, Locator, elements::ElementRef};
use serde_json::{Value, json};

use crate::commands::{ChromeCommand, ConsoleLog, Print};
use crate::driver::firefox;
use crate::{Browser, paths};

/// Time limit for every wait.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// JSON key of an element reference (W3C WebDriver, section "Elements").
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

const SELECT_ALL: &str = "const [field] = arguments; field.focus(); \
    if (field.select) field.select(); else getSelection().selectAllChildren(field)";
const SELECT_START: &str = "const [field] = arguments; field.focus(); \
    if (field.setSelectionRange) field.setSelectionRange(0, 0); \
    else getSelection().setPosition(field.firstElementChild ?? field, 0)";

/// A browser window. Every action waits for its element; after [`TIMEOUT`] the test fails with the text of the page.
#[derive(Debug)]
pub struct Page {
    pub client: Client,
}

impl Page {
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("the browser opens the URL");
    }

    pub async fn reload(&self) {
        self.client.refresh().await.expect("the browser reloads");
    }

    /// Presses the Back button of the browser.
    pub async fn back(&self) {
        self.client.back().await.expect("the browser goes back");
    }

    /// Submits the sign-in form.
    pub async fn sign_in(&self, account: &str, password: &str) {
        self.fill("Username", account).await;
        self.fill("Password", password).await;
        self.press("Sign in").await;
    }

    /// Clicks the button or link of this name.
    pub async fn press(&self, name: &str) {
        self.wait_until(&format!("a button or link \"{name}\""), async || {
            self.click("button", name).await || self.click("link", name).await
        })
        .await;
    }

    /// Opens the menu and clicks an item.
    pub async fn choose_menu_item(&self, item: &str) {
        self.press("Menu").await;
        self.press(item).await;
    }

    /// Clicks the list row that contains this text.
    pub async fn open_row(&self, text: &str) {
        self.wait_until(&format!("a row with \"{text}\""), async || self.click("row", text).await).await;
    }

    /// Replaces the content of a field by typing.
    pub async fn fill(&self, label: &str, text: &str) {
        let typed = if text.is_empty() { Key::Delete.to_string() } else { text.to_owned() };
        self.wait_until(&format!("a field \"{label}\""), async || {
            let Some(field) = self.find("field", label).await else { return false };
            self.select(&field, SELECT_ALL).await && field.send_keys(&typed).await.is_ok()
        })
        .await;
    }

    /// Selects the option of a field whose label starts with `option`.
    pub async fn select_option(&self, label: &str, option: &str) {
        let field = self.wait_for("field", label).await;
        let option = format!(".//option[starts-with(., '{option}')]");
        field.select_by(Locator::XPath(&option)).await.expect("the option exists");
    }

    /// Types at the start of a field.
    pub async fn type_at_start(&self, label: &str, text: &str) {
        let field = self.wait_for("field", label).await;
        assert!(self.select(&field, SELECT_START).await, "the field is part of the page");
        field.send_keys(text).await.expect("the field accepts text");
    }

    /// Selects in a field, with a script: the browsers differ in the keys that they accept for it. Returns `false` if the page has
    /// replaced the field.
    async fn select(&self, field: &Element, script: &str) -> bool {
        let field = serde_json::to_value(field).expect("an element reference");
        self.client.execute(script, vec![field]).await.is_ok()
    }

    /// Types a key into the focused element while a modifier is pressed.
    pub async fn type_with(&self, modifier: Key, key: char) {
        let modifier = char::from(modifier);
        let actions = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value: modifier })
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key })
            .then(KeyAction::Up { value: modifier });
        self.client.perform_actions(actions).await.expect("the browser accepts keys");
    }

    /// Sets the file of the file field, which may be hidden. A headless browser has no file dialog.
    pub async fn attach_file(&self, file: &Path) {
        let field = self
            .client
            .wait()
            .at_most(TIMEOUT)
            .for_element(Locator::Css("input[type=file]"))
            .await
            .expect("a file field");
        field.send_keys(&file.to_string_lossy()).await.expect("the field accepts a file");
    }

    /// Types into the focused element.
    pub async fn type_keys(&self, keys: &str) {
        let actions = keys.chars().fold(KeyActions::new("keyboard".into()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(actions).await.expect("the browser accepts keys");
    }

    /// Presses a key until the element of this name has the focus.
    ///
    /// # Panics
    /// The element does not get the focus after 40 presses.
    pub async fn press_until_focused(&self, key: &str, name: &str) {
        for _ in 0..40 {
            if self.focused_name().await.starts_with(name) {
                return;
            }
            self.type_keys(key).await;
        }
        panic!("\"{name}\" did not get the focus; \"{}\" has it", self.focused_name().await);
    }

    /// Accessible name of the focused element.
    pub async fn focused_name(&self) -> String {
        let name = "const element = document.activeElement; \
                    const label = [...(element.labels ?? [])].map((label) => label.innerText).join(' '); \
                    return (element.getAttribute('aria-label') || label || element.innerText).trim()";
        self.run(name, vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows a text.
    pub async fn wait_for_text(&self, text: &str) {
        self.wait_until(&format!("the text \"{text}\""), async || self.has_text(text).await).await;
    }

    /// Waits until the page no longer shows a text.
    pub async fn wait_for_text_gone(&self, text: &str) {
        self.wait_until(&format!("the text \"{text}\" to disappear"), async || !self.has_text(text).await)
            .await;
    }

    /// Waits for an element of a role (see `find_elements.js`) whose name contains a text.
    pub async fn wait_for(&self, role: &str, name: &str) -> Element {
        self.wait_for_some(&format!("a {role} \"{name}\""), async || self.find(role, name).await).await
    }

    /// Waits until no such element is visible.
    pub async fn wait_for_gone(&self, role: &str, name: &str) {
        self.wait_until(&format!("the {role} \"{name}\" to disappear"), async || {
            self.find(role, name).await.is_none()
        })
        .await;
    }

    /// The best visible match for a role and a name.
    pub async fn find(&self, role: &str, name: &str) -> Option<Element> {
        self.find_all(role, name).await.into_iter().next()
    }

    /// All visible matches for a role and a name, the best first.
    pub async fn find_all(&self, role: &str, name: &str) -> Vec<Element> {
        let found = self.run(include_str!("find_elements.js"), vec![json!(role), json!(name)]).await;
        let ids = found.as_array().into_iter().flatten().filter_map(|element| element[ELEMENT_KEY].as_str());
        ids.map(|id| Element::from_element_id(self.client.clone(), ElementRef::from(id.to_owned()))).collect()
    }

    /// Value of a field.
    pub async fn value(&self, label: &str) -> String {
        // One script, because the page may replace the field between two.
        // A field with formatted text has its blocks as lines.
        let value = format!(
            "const field = (function () {{ {} }})(...arguments)[0]; \
             const lines = (text) => [...text.querySelectorAll('p')].map((block) => block.textContent); \
             return field?.isContentEditable ? lines(field).join('\\n') : field?.value",
            include_str!("find_elements.js")
        );
        self.wait_for_some(&format!("a field \"{label}\""), async || {
            self.run(&value, vec![json!("field"), json!(label)]).await.as_str().map(str::to_owned)
        })
        .await
    }

    pub async fn title(&self) -> String {
        self.client.title().await.expect("a page has a title")
    }

    /// Closes the browser. Its network log is then complete.
    pub async fn close(&self) {
        self.client.clone().close().await.expect("the browser closes");
    }

    /// The visible text of the page.
    pub async fn text(&self) -> String {
        self.run("return document.body?.innerText ?? ''", vec![])
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the reader shows a text, which the list may show as well.
    pub async fn wait_for_reader_text(&self, text: &str) {
        self.wait_until(&format!("the text \"{text}\" in the reader"), async || self.reader_has(text).await)
            .await;
    }

    /// Waits until the reader no longer shows a text.
    pub async fn wait_for_reader_text_gone(&self, text: &str) {
        self.wait_until(&format!("the text \"{text}\" to leave the reader"), async || {
            !self.reader_has(text).await
        })
        .await;
    }

    /// Clicks an element while Shift is pressed.
    pub async fn shift_click(&self, role: &str, name: &str) {
        let click = "(arguments[0].querySelector('.open') ?? arguments[0]).dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, \
                     shiftKey: true }))";
        let element = self.wait_for(role, name).await;
        self.run(click, vec![serde_json::to_value(&element).expect("an element reference")]).await;
    }

    /// Waits until the message frame shows a text.
    pub async fn wait_for_message_text(&self, text: &str) {
        self.wait_until(&format!("the text \"{text}\" in the message frame"), async || {
            self.run_in_message("return document.body?.innerText ?? ''")
                .await
                .is_some_and(|body| body.as_str().is_some_and(|body| body.contains(text)))
        })
        .await;
    }

    /// Runs a script in the message frame, if it exists.
    pub async fn run_in_message(&self, script: &str) -> Option<Value> {
        let frame = self.find("frame", "").await?;
        frame.enter_frame().await.ok()?;
        let answer = self.client.execute(script, vec![]).await;
        self.client.enter_parent_frame().await.expect("the frame is in the page");
        answer.ok()
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    /// Prints the page and returns the number of pages.
    pub async fn print(&self) -> usize {
        let document = self.client.issue_cmd(Print).await.expect("the browser prints");
        let document =
            BASE64_STANDARD.decode(document.as_str().unwrap_or_default()).expect("a PDF in base64");
        // Chromium does not compress the objects that describe pages.
        String::from_utf8_lossy(&document).matches("/Type /Page\n").count()
    }

    /// Runs a script in every document before its own scripts, from the next one on.
    pub async fn run_at_start(&self, script: &str) {
        let command = ChromeCommand("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
        self.client.issue_cmd(command).await.expect("the browser accepts the script");
    }

    /// The reasons for which the browser would not install the page as an app.
    pub async fn installability_errors(&self) -> Value {
        let command = ChromeCommand("Page.getInstallabilityErrors", json!({}));
        self.client.issue_cmd(command).await.expect("the browser examines the page")["installabilityErrors"]
            .clone()
    }

    /// Deletes everything that the page has stored, as a browser does that needs the space.
    pub async fn evict_storage(&self) {
        let parameters = json!({ "origin": self.origin().await, "storageTypes": "all" });
        let command = ChromeCommand("Storage.clearDataForOrigin", parameters);
        self.client.issue_cmd(command).await.expect("the browser deletes the data");
    }

    async fn origin(&self) -> String {
        self.run("return location.origin", vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page can be started without its server.
    pub async fn wait_for_service_worker(&self) {
        let ready = "const [done] = arguments; navigator.serviceWorker.ready.then(() => done(true))";
        self.client.execute_async(ready, vec![]).await.expect("the service worker becomes active");
    }

    /// Shows the page with its styles for print, or for the screen.
    pub async fn emulate_print(&self, print: bool) {
        let media = if print { "print" } else { "" };
        let command = ChromeCommand("Emulation.setEmulatedMedia", json!({ "media": media }));
        self.client.issue_cmd(command).await.expect("the browser emulates media");
    }

    /// Types into the focused element as an input method does: shows the texts one after the other, and commits the last.
    pub async fn compose_with_input_method(&self, texts: &[&str], committed: &str) {
        for text in texts {
            let end = text.encode_utf16().count();
            let composition = json!({ "text": text, "selectionStart": end, "selectionEnd": end });
            let command = ChromeCommand("Input.imeSetComposition", composition);
            self.client.issue_cmd(command).await.expect("the browser composes text");
        }
        let command = ChromeCommand("Input.insertText", json!({ "text": committed }));
        self.client.issue_cmd(command).await.expect("the browser commits text");
    }

    /// Pastes a text into a field.
    pub async fn paste(&self, label: &str, text: &str) {
        let paste = "const [field, text] = arguments; field.focus(); \
            const clipboardData = new DataTransfer(); clipboardData.setData('text/plain', text); \
            const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }); \
            if (field.dispatchEvent(event)) document.execCommand('insertText', false, text)";
        let field = self.wait_for("field", label).await;
        let field = serde_json::to_value(field).expect("an element reference");
        self.run(paste, vec![field, json!(text)]).await;
    }

    /// Stops the clock of the page; [`Page::advance_clock`] advances it. Running timers are not affected.
    pub async fn freeze_clock(&self) {
        self.run(include_str!("fake_clock.js"), vec![]).await;
    }

    /// Advances a frozen clock and fires the timers that are due.
    pub async fn advance_clock(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).expect("a short duration");
        self.run("pass(arguments[0])", vec![json!(milliseconds)]).await;
    }

    /// Everything that the page has stored in the browser, as text.
    pub async fn stored_data(&self) -> String {
        let data = self.client.execute_async(include_str!("stored_data.js"), vec![]).await;
        data.unwrap_or_else(|error| panic!("stored data cannot be read: {error}"))
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Moves the mouse over an element.
    pub async fn hover(&self, element: &Element) {
        let over = PointerAction::MoveToElement { element: element.clone(), duration: None, x: 0.0, y: 0.0 };
        let mouse = MouseActions::new("mouse".into()).then(over);
        self.client.perform_actions(mouse).await.expect("the browser has a mouse");
    }

    /// Moves the mouse to the top left corner.
    pub async fn unhover(&self) {
        let away = PointerAction::MoveTo { duration: None, x: 0.0, y: 0.0 };
        let mouse = MouseActions::new("mouse".into()).then(away);
        self.client.perform_actions(mouse).await.expect("the browser has a mouse");
    }

    /// Saves a screenshot in `target/screenshots`.
    pub async fn screenshot(&self, name: &str) {
        let image = self.client.screenshot().await.expect("a screenshot");
        fs::write(paths::screenshots_folder().join(format!("{name}.png")), image)
            .expect("the file is writable");
    }

    /// New console messages of level `SEVERE`: errors and panics.
    pub async fn console_errors(&self) -> Vec<String> {
        if Browser::selected() == Browser::Firefox {
            return firefox::take_errors();
        }
        let entries = self.client.issue_cmd(ConsoleLog).await.expect("the console log");
        let severe = entries.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        let messages = severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        // A page that was left during a check. Chromium closes its connections.
        messages.filter(|message| !message.ends_with("Page entered Back-Forward Cache.")).collect()
    }

    /// Serious and critical axe-core violations, each with its rule and elements.
    pub async fn accessibility_violations(&self) -> Vec<String> {
        let check = "const [axe, done] = arguments; (0, eval)(axe); \
                     window.axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found), \
                     (error) => done({ error: String(error) }))";
        let found = self.client.execute_async(check, vec![json!(paths::axe())]).await;
        let found = found.unwrap_or_else(|error| panic!("axe-core failed: {error}"));
        let violations = found["violations"].as_array().unwrap_or_else(|| panic!("axe-core: {found}"));
        let severe =
            violations.iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        severe
            .map(|one| {
                let nodes =
                    one["nodes"].as_array().into_iter().flatten().filter_map(|node| node["html"].as_str());
                format!("{}: {}", one["id"].as_str().unwrap_or_default(), nodes.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    /// Waits until a condition holds.
    pub async fn wait_until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        self.wait_for_some(what, async || condition().await.then_some(())).await;
    }

    /// Waits until `look` returns a value.
    pub async fn wait_for_some<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if start.elapsed() > TIMEOUT {
                self.screenshot("failed").await;
                panic!("timed out waiting for {what}; the page shows:\n{}", self.text().await);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn reader_has(&self, text: &str) -> bool {
        let reader = self.run("return document.querySelector('main')?.innerText ?? ''", vec![]).await;
        reader.as_str().is_some_and(|shown| shown.contains(text))
    }

    async fn has_text(&self, text: &str) -> bool {
        self.text().await.contains(text)
    }

    /// Clicks an enabled element. Returns `false` if it is missing or disabled, or if the page changed meanwhile.
    async fn click(&self, role: &str, name: &str) -> bool {
        let Some(element) = self.find(role, name).await else { return false };
        // WebDriver clicks disabled elements without an error.
        if !element.is_enabled().await.unwrap_or(false) {
            return false;
        }
        match element.click().await {
            Ok(()) => true,
            Err(CmdError::Standard(_)) => false,
            Err(error) => panic!("the browser failed: {error}"),
        }
    }
}
