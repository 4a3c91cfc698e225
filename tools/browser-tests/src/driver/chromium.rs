//! Chromium and chromedriver.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use super::{Screen, downloads};
use crate::paths;

/// chromedriver on a free port.
pub(super) fn driver() -> Command {
    let mut command = Command::new(paths::installed("chromedriver"));
    command.arg("--port=0");
    command
}

/// The capabilities that only chromedriver knows.
pub(super) fn capabilities(folder: &Path, screen: Screen) -> Map<String, Value> {
    let own = json!({
        "goog:chromeOptions": options(folder, screen),
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    let Value::Object(own) = own else { unreachable!("the value above is an object") };
    own
}

fn options(folder: &Path, screen: Screen) -> Value {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--lang=en-US",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", folder.join("profile").display()));
    arguments.push(format!("--log-net-log={}", network_log(folder).display()));
    if screen == Screen::Dark {
        arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut options = BTreeMap::from([
        ("binary", json!(paths::installed("chromium"))),
        ("args", json!(arguments)),
        ("prefs", json!({ "download.default_directory": downloads(folder) })),
    ]);
    if let Some((width, height)) = screen.phone() {
        let metrics = json!({ "width": width, "height": height, "pixelRatio": 2.0, "touch": true });
        options.insert("mobileEmulation", json!({ "deviceMetrics": metrics }));
    }
    json!(options)
}

/// The file of the network log, below the folder of a driver.
pub(super) fn network_log(folder: &Path) -> PathBuf {
    folder.join("network.json")
}

/// Parses `ChromeDriver was started successfully on port 34271.`
pub(super) fn parse_port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("was started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}
