//! Firefox and geckodriver.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Map, Value, json};

use super::{Screen, downloads};
use crate::paths;

/// Beginnings of the lines that Firefox writes for uncaught errors and for `console.error`.
const ERRORS: [&str; 2] = ["JavaScript error:", "console.error:"];

/// The errors of all pages since the last call of [`take_errors`]. geckodriver has no command for them. Each test is a process.
static CONSOLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// geckodriver on a free port, in a process group of its own. Firefox inherits its standard output and standard error.
pub(super) fn driver() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --port 0 2>&1"]).arg(paths::installed("geckodriver")).process_group(0);
    command
}

/// Ends geckodriver and Firefox, which geckodriver does not do at SIGTERM.
pub(super) fn kill(driver: &Child) {
    let group = format!("-{}", driver.id());
    // The browser may have been closed already.
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
}

/// The capabilities that only geckodriver knows.
pub(super) fn capabilities(folder: &Path, screen: Screen) -> Map<String, Value> {
    assert!(screen.phone().is_none(), "Firefox emulates no phones; run this test in Chromium");
    let colour_scheme = if screen == Screen::Dark { 0 } else { 1 };
    // It lasts as long as the driver.
    let profile = folder.join("profile");
    std::fs::create_dir_all(&profile).expect("the temporary directory is writable");
    let options = json!({
        "binary": paths::installed("firefox-esr"),
        "args": ["-headless", "-profile", profile],
        "prefs": {
            "devtools.console.stdout.content": true,
            "layout.css.prefers-color-scheme.content-override": colour_scheme,
            "browser.download.folderList": 2,
            "browser.download.dir": downloads(folder),
            "browser.download.always_ask_before_handling_new_types": false,
        },
    });
    Map::from_iter([("moz:firefoxOptions".to_owned(), options)])
}

/// Records the errors in the output of Firefox.
pub(super) fn record_errors(output: Receiver<String>) {
    thread::spawn(move || {
        for line in output {
            if ERRORS.iter().any(|error| line.trim_start().starts_with(error)) {
                CONSOLE.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        }
    });
}

/// New errors.
pub(crate) fn take_errors() -> Vec<String> {
    std::mem::take(&mut *CONSOLE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Parses `1764500000000\tgeckodriver\tINFO\tListening on 127.0.0.1:44567`.
pub(super) fn parse_port(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("Listening on ")?;
    address.rsplit_once(':')?.1.trim().parse().ok()
}
