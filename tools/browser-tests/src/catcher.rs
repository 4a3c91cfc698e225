//! `pennypost catch` with the built page.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::servers::lines;
use crate::{Smtp, TIMEOUT, paths};

/// A mail catcher on free ports. The process is killed on drop.
#[derive(Debug)]
pub struct Catcher {
    child: Child,
    ready: Value,
}

impl Catcher {
    /// Starts the program and reads its ready line.
    ///
    /// # Panics
    /// It exits or does not listen.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more flags.
    ///
    /// # Panics
    /// It exits or does not listen.
    #[must_use]
    pub fn start_with(flags: &[&str]) -> Self {
        let mut child = Command::new(paths::pennypost())
            .args(["catch", "--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0", "--root"])
            .arg(paths::page_folder())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("pennypost can be run");
        let output = lines(BufReader::new(child.stdout.take().expect("standard output is piped")));
        let line = output.recv_timeout(TIMEOUT).unwrap_or_default();
        let ready = serde_json::from_str(&line).unwrap_or_default();
        let catcher = Self { child, ready };
        assert_eq!(catcher.ready["ready"], true, "pennypost catch is not ready: {line}");
        catcher
    }

    /// Address of the SMTP server.
    #[must_use]
    pub fn smtp_address(&self) -> &str {
        self.ready["smtp"].as_str().expect("an address")
    }

    /// URL of the page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/", self.ready["web"].as_str().expect("a URL"))
    }

    /// Connects to the SMTP server and says HELO.
    #[must_use]
    pub fn smtp(&self) -> Smtp {
        Smtp::connect(
            self.ready["smtp"].as_str().and_then(|address| address.parse().ok()).expect("an address"),
        )
    }

    /// Delivers a message. Its lines may end with LF.
    pub fn deliver(&self, to: &str, message: &str) {
        self.smtp().deliver("bounce@shop.example", to, message);
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
