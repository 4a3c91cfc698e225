//! `pennypost serve` on a data directory of its own.

use std::fs;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;

use crate::{PATIENCE, Pop3, Port, Smtp, places, port};

/// SMTP, POP3, the bridge and the page in one process, with the accounts ag (aviator) and gb (gondola). It ends when
/// this is dropped.
#[derive(Debug)]
pub struct Servers {
    folder: TempDir,
    child: Child,
    doors: Doors,
    /// They are the doors' for as long as this lives, also while nobody listens.
    _ports: [Port; 3],
}

#[derive(Clone, Copy, Debug)]
struct Doors {
    smtp: SocketAddr,
    pop3: SocketAddr,
    web: SocketAddr,
}

impl Servers {
    /// Starts on ports of its own; `more` is added to the configuration.
    #[must_use]
    pub fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for account in ["ag", "gb"] {
            fs::create_dir_all(folder.path().join("data").join(account)).expect("made");
        }
        fs::write(folder.path().join("data/User.txt"), "ag aviator\ngb gondola\n").expect("written");
        let config = format!(
            "hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{more}\n[web]\nroot = '{}'\n",
            places::page().display()
        );
        fs::write(folder.path().join("pennypost.toml"), config).expect("written");
        let ports = [(); 3].map(|()| Port::hold());
        let [smtp, pop3, web] = ports.each_ref().map(Port::address);
        let (child, doors) = serve(&folder, Doors { smtp, pop3, web });
        Self { folder, child, doors, _ports: ports }
    }

    /// Ends the process at once, with everything that it has open.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child of this process");
    }

    /// Starts again, after [`Servers::kill`], where it was.
    pub fn restart(&mut self) {
        (self.child, self.doors) = serve(&self.folder, self.doors);
    }

    /// The page's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.doors.web)
    }

    /// Where the page is served, with TLS and without.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.doors.web.port()
    }

    /// A connection to the SMTP server, greeted.
    #[must_use]
    pub fn smtp(&self) -> Smtp {
        Smtp::connect(self.doors.smtp)
    }

    /// A POP3 session of an account, signed in.
    #[must_use]
    pub fn pop3(&self, account: &str) -> Pop3 {
        Pop3::sign_in(self.doors.pop3, account, password(account))
    }

    /// Delivers a message to an account. Its lines may end with LF.
    pub fn deliver(&self, account: &str, message: &str) {
        self.smtp().deliver("ag@iit.edu", &format!("{account}@iit.edu"), message);
    }

    /// The mailbox file.
    #[must_use]
    pub fn mailbox(&self, account: &str) -> Vec<u8> {
        fs::read(self.mailbox_path(account)).unwrap_or_default()
    }

    #[must_use]
    pub fn mailbox_path(&self, account: &str) -> PathBuf {
        self.folder.path().join("data").join(account).join("MyMailBox.txt")
    }

    /// Writes a file that a test gives to the page.
    #[must_use]
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The password of one of the two accounts.
pub(crate) fn password(account: &str) -> &'static str {
    match account {
        "ag" => "aviator",
        "gb" => "gondola",
        _ => panic!("there is no account {account}"),
    }
}

/// Starts the program and waits until each door is open.
fn serve(folder: &TempDir, doors: Doors) -> (Child, Doors) {
    let mut command = Command::new(places::pennypost());
    command
        .args(["serve", "--smtp", &doors.smtp.to_string(), "--pop3", &doors.pop3.to_string()])
        .args(["--web", &doors.web.to_string(), "--config"])
        .arg(folder.path().join("pennypost.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Colours would stand between a field's name and its value.
        .env("NO_COLOR", "1")
        .env("RUST_LOG", "info");
    let mut child = port::spawn(&mut command).expect("pennypost can be run");
    let log = lines(BufReader::new(child.stderr.take().expect("standard error is piped")));
    let (mut open, mut last) = ((None, None, None), String::new());
    loop {
        if let (Some(smtp), Some(pop3), Some(web)) = open {
            return (child, Doors { smtp, pop3, web });
        }
        let Ok(line) = log.recv_timeout(PATIENCE) else { break };
        match listening(&line) {
            Some(("smtp", address)) => open.0 = Some(address),
            Some(("pop3", address)) => open.1 = Some(address),
            Some(("web", address)) => open.2 = Some(address),
            _ => {}
        }
        last = line;
    }
    // Nobody else will end it: there is no `Servers` yet.
    let _ = child.kill();
    let _ = child.wait();
    panic!("pennypost serve does not listen: {last}");
}

/// Reads `... listening protocol=smtp address=127.0.0.1:2525`. Later listeners of the same protocol, those for the
/// bridge, come with a name of their own.
fn listening(line: &str) -> Option<(&str, SocketAddr)> {
    let field = |name: &str| {
        let (_, value) = line.split_once(name)?;
        value.split_whitespace().next().map(|value| value.trim_matches('"'))
    };
    line.contains("listening").then_some(())?;
    Some((field("protocol=")?, field("address=")?.parse().ok()?))
}

/// The lines of a stream as they come. It is read to its end, so that its pipe never fills up.
pub(crate) fn lines(stream: impl std::io::BufRead + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stream.lines().map_while(Result::ok) {
            // Nobody need listen any more.
            let _ = sender.send(line);
        }
    });
    receiver
}
