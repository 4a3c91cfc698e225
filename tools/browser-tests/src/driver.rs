//! A WebDriver server and its browser: chromedriver and Chromium, or geckodriver and Firefox.

mod chromium;
pub(crate) mod firefox;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::lines;
use crate::{TIMEOUT, reserved_port};

/// Attempts to start the driver.
const START_ATTEMPTS_MAX: usize = 5;
/// Time for Chromium to exit before chromedriver is killed.
const SHUTDOWN_TIMEOUT: Duration = TIMEOUT;

/// The browser of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    Chromium,
    /// With `PENNYPOST_BROWSER=firefox`. It emulates no phones.
    Firefox,
}

impl Browser {
    /// The browser that the environment selects.
    ///
    /// # Panics
    /// It names another one.
    #[must_use]
    pub fn selected() -> Self {
        match std::env::var("PENNYPOST_BROWSER").as_deref() {
            Ok("firefox") => Self::Firefox,
            Ok("chromium") | Err(_) => Self::Chromium,
            Ok(other) => panic!("PENNYPOST_BROWSER is `{other}`; set it to chromium or firefox"),
        }
    }
}

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
    browser: Browser,
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Driver {
    /// Starts the driver of the selected browser on a free port.
    ///
    /// # Panics
    /// It exits during every attempt.
    #[must_use]
    pub fn start() -> Self {
        // chromedriver picks a port that is free on IPv4 and exits if the same port is in use on IPv6.
        (0..START_ATTEMPTS_MAX).find_map(|_| Self::try_start()).expect("the driver reports its port")
    }

    fn try_start() -> Option<Self> {
        let browser = Browser::selected();
        let (mut command, parse_port): (_, fn(&str) -> Option<u16>) = match browser {
            Browser::Chromium => (chromium::driver(), chromium::parse_port),
            Browser::Firefox => (firefox::driver(), firefox::parse_port),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = reserved_port::spawn(&mut command).expect("the driver can be run");
        let log = lines(BufReader::new(child.stdout.take().expect("standard output is piped")));
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut driver = Self { browser, child, port: 0, folder };
        while driver.port == 0 {
            // A driver that exited is reaped on drop.
            let line = log.recv_timeout(TIMEOUT).ok()?;
            driver.port = parse_port(&line).unwrap_or(0);
        }
        if browser == Browser::Firefox {
            firefox::record_errors(log);
        }
        Some(driver)
    }

    /// Opens the browser. Its profile is new for the first one and lasts as long as the driver.
    ///
    /// # Panics
    /// It does not start.
    pub async fn open(&self, screen: Screen) -> Client {
        let capabilities = json!({
            "unhandledPromptBehavior": "ignore",
            // axe-core is slow.
            "timeouts": { "script": TIMEOUT.as_secs() * 1_000 },
            // The servers use a self-signed certificate.
            "acceptInsecureCerts": true,
        });
        let Value::Object(mut capabilities) = capabilities else {
            unreachable!("the value above is an object")
        };
        capabilities.extend(match self.browser {
            Browser::Chromium => chromium::capabilities(self.folder.path(), screen),
            Browser::Firefox => firefox::capabilities(self.folder.path(), screen),
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap_or_else(|error| panic!("the browser does not start: {error}"));
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
        chromium::network_log(self.folder.path())
    }

    /// Content of a downloaded file, if the download is complete.
    #[must_use]
    pub fn downloaded(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(downloads(self.folder.path()).join(name)).ok()
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
        // If the driver is killed first, the browser keeps running.
        if self.browser == Browser::Firefox {
            firefox::kill(&self.child);
        } else if self.shut_down().is_ok() {
            let start = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < SHUTDOWN_TIMEOUT {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Folder of downloads, below that of a driver.
fn downloads(folder: &Path) -> PathBuf {
    folder.join("downloads")
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
