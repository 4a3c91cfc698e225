//! `pennypost serve` with a temporary data directory.

use std::fs;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;
use xtask::listening::parse_listening;

use crate::{Pop3, ReservedPort, Smtp, TIMEOUT, paths, reserved_port};

/// SMTP, POP3, the bridge and the page in one process, with the accounts ag (password aviator) and gb (gondola). The
/// process is killed on drop.
#[derive(Debug)]
pub struct Servers {
    folder: TempDir,
    child: Child,
    addresses: Addresses,
    /// Reserves the addresses while the process is not running.
    _ports: [ReservedPort; 3],
}

#[derive(Clone, Copy, Debug)]
struct Addresses {
    smtp: SocketAddr,
    pop3: SocketAddr,
    web: SocketAddr,
}

impl Servers {
    /// Starts on reserved ports. `extra_config` is added to the configuration file.
    #[must_use]
    pub fn start(extra_config: &str) -> Self {
        Self::start_with_page(extra_config, &paths::page_folder())
    }

    /// Starts with the page of another folder.
    #[must_use]
    pub fn start_with_page(extra_config: &str, page: &Path) -> Self {
        Self::start_with(extra_config, page, "/")
    }

    /// Starts with the page below a path.
    #[must_use]
    pub fn start_below(path: &str) -> Self {
        Self::start_with("", &paths::page_folder(), path)
    }

    fn start_with(extra_config: &str, page: &Path, path: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        for account in ["ag", "gb"] {
            fs::create_dir_all(folder.path().join("data").join(account)).expect("the folder is writable");
        }
        fs::write(folder.path().join("data/User.txt"), "ag aviator\ngb gondola\n")
            .expect("the file is writable");
        let config = format!(
            "hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{extra_config}\n[web]\nroot = '{}'\npath = '{path}'\n",
            page.display()
        );
        fs::write(folder.path().join("pennypost.toml"), config).expect("the file is writable");
        let ports = [(); 3].map(|()| ReservedPort::new());
        let [smtp, pop3, web] = ports.each_ref().map(ReservedPort::address);
        let (child, addresses) = serve(&folder, Addresses { smtp, pop3, web });
        Self { folder, child, addresses, _ports: ports }
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is running");
        self.child.wait().expect("a child process");
    }

    /// Starts the process again on the same addresses after [`Servers::kill`].
    pub fn restart(&mut self) {
        (self.child, self.addresses) = serve(&self.folder, self.addresses);
    }

    /// Restarts the process with another password for gb.
    pub fn change_password(&mut self, password: &str) {
        self.kill();
        fs::write(self.folder.path().join("data/User.txt"), format!("ag aviator\ngb {password}\n"))
            .expect("the file is writable");
        self.restart();
    }

    /// URL of the page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.addresses.web)
    }

    /// Port of the page, with and without TLS.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.addresses.web.port()
    }

    #[must_use]
    pub const fn smtp_address(&self) -> SocketAddr {
        self.addresses.smtp
    }

    #[must_use]
    pub const fn pop3_address(&self) -> SocketAddr {
        self.addresses.pop3
    }

    /// Connects to the SMTP server and says HELO.
    #[must_use]
    pub fn smtp(&self) -> Smtp {
        Smtp::connect(self.addresses.smtp)
    }

    /// Opens a POP3 session and logs in.
    #[must_use]
    pub fn pop3(&self, account: &str) -> Pop3 {
        Pop3::sign_in(self.addresses.pop3, account, password(account))
    }

    /// Text of the first message of an account, which must be ASCII.
    #[must_use]
    pub fn first_message(&self, account: &str) -> String {
        let mut pop3 = self.pop3(account);
        let message = pop3.retrieve(1);
        pop3.quit();
        String::from_utf8(message).expect("an ASCII message")
    }

    /// Delivers a message to an account. Its lines may end with LF.
    pub fn deliver(&self, account: &str, message: &str) {
        self.smtp().deliver("ag@iit.edu", &format!("{account}@iit.edu"), message);
    }

    /// Content of the mailbox file.
    #[must_use]
    pub fn mailbox(&self, account: &str) -> Vec<u8> {
        fs::read(self.mailbox_path(account)).unwrap_or_default()
    }

    #[must_use]
    pub fn mailbox_path(&self, account: &str) -> PathBuf {
        self.folder.path().join("data").join(account).join("MyMailBox.txt")
    }

    /// Runs `pennypost` with the configuration of these servers, and returns its output.
    #[must_use]
    pub fn pennypost(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(paths::pennypost());
        command.args(arguments).arg("--config").arg(self.folder.path().join("pennypost.toml"));
        let output = command.output().expect("pennypost can be run");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Writes a file that a test can attach.
    #[must_use]
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("the file is writable");
        path
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The password of one of the two accounts.
pub(crate) fn password(account: &str) -> &'static str {
    match account {
        "ag" => "aviator",
        "gb" => "gondola",
        _ => panic!("unknown account {account}"),
    }
}

/// Starts the program and waits until it listens on all addresses.
fn serve(folder: &TempDir, addresses: Addresses) -> (Child, Addresses) {
    let mut command = Command::new(paths::pennypost());
    command
        .args(["serve", "--smtp", &addresses.smtp.to_string(), "--pop3", &addresses.pop3.to_string()])
        .args(["--web", &addresses.web.to_string(), "--config"])
        .arg(folder.path().join("pennypost.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Colour codes would separate the name and the value of a log field.
        .env("NO_COLOR", "1")
        .env("RUST_LOG", "info");
    let mut child = reserved_port::spawn(&mut command).expect("pennypost can be run");
    let log = lines(BufReader::new(child.stderr.take().expect("standard error is piped")));
    let (mut listening, mut last) = ((None, None, None), String::new());
    loop {
        if let (Some(smtp), Some(pop3), Some(web)) = listening {
            return (child, Addresses { smtp, pop3, web });
        }
        let Ok(line) = log.recv_timeout(TIMEOUT) else { break };
        // Listeners for the bridge have other names.
        match parse_listening(&line) {
            Some(("smtp", address)) => listening.0 = Some(address),
            Some(("pop3", address)) => listening.1 = Some(address),
            Some(("web", address)) => listening.2 = Some(address),
            _ => {}
        }
        last = line;
    }
    // No `Servers` exists yet that would kill the process on drop.
    let _ = child.kill();
    let _ = child.wait();
    panic!("pennypost serve does not listen: {last}");
}

/// Reads lines on a thread until the end of the stream, so that the pipe never fills up.
pub(crate) fn lines(stream: impl std::io::BufRead + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stream.lines().map_while(Result::ok) {
            // The receiver may have been dropped.
            let _ = sender.send(line);
        }
    });
    receiver
}
