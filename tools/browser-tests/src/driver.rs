//! chromedriver and Chromium.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::lines;
use crate::{TIMEOUT, paths, reserved_port};

/// Attempts to start chromedriver.
const START_ATTEMPTS_MAX: usize = 5;
/// Time for Chromium to exit before chromedriver is killed.
const SHUTDOWN_TIMEOUT: Duration = TIMEOUT;

/// Viewport size in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// 1280 x 800
    Desktop,
    /// 1280 x 800 with a dark colour scheme
    Dark,
    /// 1920 x 1080
    Wide,
    /// 390 x 844 with touch input
    Phone,
    /// 320 x 640 with touch input
    SmallPhone,
}

impl Screen {
    /// Width and height of a phone.
    const fn phone(self) -> Option<(u32, u32)> {
        match self {
            Self::Phone => Some((390, 844)),
            Self::SmallPhone => Some((320, 640)),
            Self::Desktop | Self::Dark | Self::Wide => None,
        }
    }
}

/// A WebDriver server with one browser. Both stop on drop.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Driver {
    /// Starts chromedriver on a free port.
    ///
    /// # Panics
    /// It exits during every attempt.
    #[must_use]
    pub fn start() -> Self {
        // chromedriver picks a port that is free on IPv4 and exits if the same port is in use on IPv6.
        (0..START_ATTEMPTS_MAX).find_map(|_| Self::try_start()).expect("chromedriver reports its port")
    }

    fn try_start() -> Option<Self> {
        let mut command = Command::new(paths::installed("chromedriver"));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = reserved_port::spawn(&mut command).expect("chromedriver can be run");
        let log = lines(BufReader::new(child.stdout.take().expect("standard output is piped")));
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut driver = Self { child, port: 0, folder };
        while driver.port == 0 {
            // A driver that exited is reaped on drop.
            let line = log.recv_timeout(TIMEOUT).ok()?;
            driver.port = parse_port(&line).unwrap_or(0);
        }
        Some(driver)
    }

    /// Opens the browser. Its profile is new for the first one and lasts as long as the driver.
    ///
    /// # Panics
    /// It does not start.
    pub async fn open(&self, screen: Screen) -> Client {
        let capabilities = json!({
            "goog:chromeOptions": self.options(screen),
            "goog:loggingPrefs": { "browser": "ALL" },
            "unhandledPromptBehavior": "ignore",
            // axe-core is slow.
            "timeouts": { "script": TIMEOUT.as_secs() * 1_000 },
            // The servers use a self-signed certificate.
            "acceptInsecureCerts": true,
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("the value above is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        match screen {
            Screen::Desktop | Screen::Dark => resize_viewport(&client, 1280, 800).await,
            Screen::Wide => resize_viewport(&client, 1920, 1080).await,
            Screen::Phone | Screen::SmallPhone => {}
        }
        client
    }

    /// Chromium's network log with every request and DNS lookup. It is complete once the browser has closed.
    #[must_use]
    pub fn network_log(&self) -> String {
        std::fs::read_to_string(self.network_log_path()).expect("Chromium writes its log")
    }

    fn network_log_path(&self) -> PathBuf {
        self.folder.path().join("network.json")
    }

    fn options(&self, screen: Screen) -> Value {
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
        arguments.push(format!("--user-data-dir={}", self.folder.path().join("profile").display()));
        arguments.push(format!("--log-net-log={}", self.network_log_path().display()));
        if screen == Screen::Dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut options = BTreeMap::from([
            ("binary", json!(paths::installed("chromium"))),
            ("args", json!(arguments)),
            ("prefs", json!({ "download.default_directory": self.folder.path().join("downloads") })),
        ]);
        if let Some((width, height)) = screen.phone() {
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 2.0, "touch": true });
            options.insert("mobileEmulation", json!({ "deviceMetrics": metrics }));
        }
        json!(options)
    }

    /// Content of a downloaded file, if the download is complete.
    #[must_use]
    pub fn downloaded(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("downloads").join(name)).ok()
    }

    /// Asks chromedriver to close the browser and exit.
    fn shut_down(&self) -> std::io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, SHUTDOWN_TIMEOUT)?;
        stream.set_read_timeout(Some(SHUTDOWN_TIMEOUT))?;
        write!(stream, "GET /shutdown HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // If chromedriver is killed first, the browser keeps running.
        if self.shut_down().is_ok() {
            let start = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < SHUTDOWN_TIMEOUT {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets the viewport size. The size of the window frame is unknown, so it adjusts the window until the size is right.
async fn resize_viewport(client: &Client, width: u32, height: u32) {
    let sizes = "return [innerWidth, innerHeight, outerWidth, outerHeight]";
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        let sizes = client.execute(sizes, vec![]).await.expect("a window has a size");
        let [inner_width, inner_height, outer_width, outer_height] =
            [0, 1, 2, 3].map(|at| sizes[at].as_u64().and_then(|size| u32::try_from(size).ok()).unwrap_or(0));
        if (inner_width, inner_height) == (width, height) {
            return;
        }
        let across = outer_width.saturating_sub(inner_width);
        let down = outer_height.saturating_sub(inner_height);
        client.set_window_size(width + across, height + down).await.expect("a window can be resized");
    }
    panic!("the viewport did not reach {width} x {height}");
}

/// Parses `ChromeDriver was started successfully on port 34271.`
fn parse_port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("was started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}
