//! A full or read-only disk under a running server: the right replies, no lost mail, and recovery. Also account administration
//! on a full disk.
//!
//! The disk is a tmpfs of 1 MiB in its own mount namespace. Without permission to mount, the RLIMIT_FSIZE of the server
//! process makes writes fail instead.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::unread_log::UnreadLogServer;
use support::{ServerProcess, SmtpClient, TestDir, run_program};

const SERVE: [&str; 7] = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"];
/// Mounts the disk and waits for the end of standard input.
const MOUNT_SCRIPT: &str = "mount -t tmpfs -o size=1m none \"$0\" && printf 'ag secret\\ngb other\\n' > \"$0/User.txt\" \
    && echo mounted && exec cat";
/// Size of each message; several fit on the disk.
const MESSAGE_OCTETS: usize = 100_000;

/// A data directory with limited space.
enum Disk {
    /// The process that owns the mount namespace.
    Mounted(Child),
    Limited,
}

impl Disk {
    #[expect(clippy::print_stderr, reason = "the output of the test names the kind of disk")]
    fn new(dir: &TestDir) -> Self {
        let data = data(dir);
        for namespace in [&["-m"][..], &["-r", "-m"]] {
            let mut holder = Command::new("unshare")
                .args(namespace)
                .args(["sh", "-c", MOUNT_SCRIPT, &data])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("unshare is installed");
            let mut status = String::new();
            let stdout = holder.stdout.take().expect("stdout is piped");
            BufReader::new(stdout).read_line(&mut status).expect("the script writes or exits");
            if status == "mounted\n" {
                return Self::Mounted(holder);
            }
            holder.wait().expect("the process has exited");
        }
        eprintln!("cannot mount a tmpfs; using a file size limit instead");
        Self::Limited
    }

    /// A command line that runs the program after it on the disk.
    fn launcher(&self) -> Vec<String> {
        let Self::Mounted(holder) = self else { return vec!["env".to_owned()] };
        let enter = ["nsenter", "-t", &holder.id().to_string()].map(str::to_owned);
        enter.into_iter().chain(namespaces(holder).map(str::to_owned)).collect()
    }

    /// Starts a server on the disk.
    fn serve(&self, dir: &TestDir) -> ServerProcess {
        let launcher = self.launcher();
        let (launcher, arguments) = launcher.split_first().expect("a program");
        let arguments = arguments.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_pennypost")]);
        let arguments: Vec<&str> = arguments.chain(SERVE).collect();
        let server = ServerProcess::start(launcher, &arguments, dir, &["smtp", "pop3"]);
        if matches!(self, Self::Limited) {
            limit(server.pid(), "600000");
        }
        server
    }

    /// Output of a shell script on the disk; `$0` is the data directory.
    fn run(&self, dir: &TestDir, script: &str) -> String {
        let launcher = self.launcher();
        let mut command = Command::new(&launcher[0]);
        let output = run_program(command.args(&launcher[1..]).args(["sh", "-c", script, &data(dir)]), b"");
        output.stdout
    }

    /// Increases the space.
    fn grow(&self, dir: &TestDir, server: u32) {
        match self {
            Self::Mounted(holder) => remount(holder, dir, "size=4m"),
            Self::Limited => limit(server, "unlimited"),
        }
    }

    fn forbid_writing(&self, dir: &TestDir) {
        if let Self::Mounted(holder) = self {
            remount(holder, dir, "ro");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(holder) = self {
            // The script exits at the end of its input, which unmounts the disk.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

fn data(dir: &TestDir) -> String {
    dir.path("data").to_str().expect("the path is UTF-8").to_owned()
}

/// Flags of nsenter: the mount namespace, and the user namespace if it differs.
fn namespaces(holder: &Child) -> impl Iterator<Item = &'static str> {
    let user_namespace =
        |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).expect("the link is readable");
    let is_own = user_namespace(&holder.id().to_string()) != user_namespace("self");
    ["-m"].into_iter().chain(["-U", "--preserve-credentials"].into_iter().filter(move |_| is_own))
}

fn remount(holder: &Child, dir: &TestDir, options: &str) {
    let output = Command::new("nsenter")
        .args(["-t", &holder.id().to_string()])
        .args(namespaces(holder))
        .args(["mount", "-o", &format!("remount,{options}"), &data(dir)])
        .output()
        .expect("nsenter is installed");
    assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sets the file size limit of a process.
fn limit(process: u32, octets: &str) {
    let pid = process.to_string();
    // Only the soft limit, which can be raised again.
    let output = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={octets}:")]).status();
    assert!(output.expect("prlimit is installed").success());
}

/// Returns the reply to the final dot.
fn deliver(server: &ServerProcess, subject: usize) -> String {
    deliver_over(server.smtp(), subject)
}

fn deliver_over(mut smtp: SmtpClient, subject: usize) -> String {
    smtp.command("EHLO iit.edu");
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message(subject).as_bytes());
    smtp.command("QUIT");
    reply
}

fn message(subject: usize) -> String {
    format!("Subject: {subject}\r\n\r\n{}", "0123456789\r\n".repeat(MESSAGE_OCTETS / 12))
}

/// The subjects of gb's messages. Panics if a message is incomplete.
fn subjects(server: &ServerProcess) -> Vec<usize> {
    let mut pop3 = server.log_in("gb", "other");
    let count = pop3.stat().0;
    let subject = |index| {
        let text = String::from_utf8(pop3.retrieve(index)).expect("text");
        let text = &text[text.find("Subject: ").expect("a subject")..];
        let subject = text["Subject: ".len()..].lines().next().and_then(|subject| subject.parse().ok());
        let subject = subject.expect("a number");
        assert!(text == message(subject), "message {subject} differs");
        subject
    };
    (1..=count).map(subject).collect()
}

#[test]
fn full_disk_refuses_mail_and_recovers() {
    let dir = TestDir::new();
    let disk = Disk::new(&dir);
    let mut server = disk.serve(&dir);
    let mut stored = Vec::new();
    for subject in 0.. {
        let reply = deliver(&server, subject);
        if !reply.starts_with("250 ") {
            assert!(reply.starts_with("452 4.3.1 "), "{reply}");
            break;
        }
        stored.push(subject);
        assert!(subject < 50, "the disk is never full");
    }
    assert!(stored.len() > 2, "several messages fit");
    let line = server.wait_for_log("message temporarily refused");
    assert!(line.contains("from=<ag@iit.edu> to=<gb@iit.edu>"), "{line}");
    assert_eq!(subjects(&server), stored, "stored mail is readable while the disk is full");

    // Removal works without free space.
    let mut pop3 = server.log_in("gb", "other");
    for number in 1..=2 {
        assert!(pop3.command(&format!("DELE {number}")).starts_with("+OK"));
    }
    assert!(pop3.command("QUIT").starts_with("+OK"), "removal works on a full disk");
    stored.drain(..2);
    assert_eq!(subjects(&server), stored);
    disk.grow(&dir, server.pid());
    for subject in 100..104 {
        let reply = deliver(&server, subject);
        assert!(reply.starts_with("250 "), "{reply}");
        stored.push(subject);
    }
    assert_eq!(subjects(&server), stored);
}

#[test]
fn read_only_disk_refuses_mail_and_recovers() {
    let dir = TestDir::new();
    let disk = Disk::new(&dir);
    let server = disk.serve(&dir);
    assert!(deliver(&server, 1).starts_with("250 "));
    assert_eq!(subjects(&server), [1]);
    // A remount to read-only fails while a file is open for writing.
    drop(server);
    disk.forbid_writing(&dir);
    let mut server = disk.serve(&dir);
    if matches!(disk, Disk::Limited) {
        limit(server.pid(), "0");
    }
    let reply = deliver(&server, 2);
    // A file size limit, unlike a read-only disk, counts as lack of space.
    let refusal = if matches!(disk, Disk::Mounted(_)) { "451 4.3.0 " } else { "452 4.3.1 " };
    assert!(reply.starts_with(refusal), "{reply}");
    server.wait_for_log("message temporarily refused");
    if matches!(disk, Disk::Mounted(_)) {
        let mut pop3 = server.pop3();
        assert!(pop3.command("USER gb").starts_with("+OK"));
        let reply = pop3.command("PASS other");
        assert!(reply.starts_with("-ERR [SYS/TEMP] "), "{reply}");
    }
    match &disk {
        Disk::Mounted(holder) => remount(holder, &dir, "rw"),
        Disk::Limited => limit(server.pid(), "unlimited"),
    }
    let reply = deliver(&server, 3);
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(subjects(&server), [1, 3]);
}

/// The log and the mail are on the same disk.
#[test]
fn log_on_the_full_disk_leaves_the_replies_correct() {
    let dir = TestDir::new();
    let disk = Disk::new(&dir);
    let log = dir.path("data/server.log");
    let redirect = format!("exec \"$0\" \"$@\" 2>>'{}'", log.display());
    let launcher = disk.launcher();
    let launcher: Vec<&str> = launcher.iter().map(String::as_str).chain(["sh", "-c", &redirect]).collect();
    let mut server = UnreadLogServer::start(&dir, &launcher, Stdio::null());
    let address = server.address();
    if matches!(disk, Disk::Limited) {
        limit(server.0.id(), "600000");
    }
    let (mut stored, mut refused) = (0, 0);
    while refused < 5 {
        let reply = deliver_over(SmtpClient::connect(address), stored);
        match &reply[..4] {
            "250 " => stored += 1,
            "452 " => refused += 1,
            _ => panic!("{reply}"),
        }
        assert!(stored < 50, "the disk is never full");
    }
    // The log takes the rest of the space.
    for _ in 0..300 {
        assert!(SmtpClient::connect(address).command("QUIT").starts_with("221 "));
    }
    let reply = deliver_over(SmtpClient::connect(address), stored);
    assert!(reply.starts_with("452 "), "{reply}");

    disk.grow(&dir, server.0.id());
    for _ in 0..3 {
        let reply = deliver_over(SmtpClient::connect(address), stored);
        assert!(reply.starts_with("250 "), "{reply}");
        stored += 1;
    }
    server.expect_exit();
    let subjects: Vec<usize> = disk
        .run(&dir, "cat \"$0/gb/MyMailBox.txt\"")
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: ").and_then(|subject| subject.parse().ok()))
        .collect();
    assert_eq!(subjects, (0..stored).collect::<Vec<_>>());
}

#[test]
fn failed_user_add_on_a_full_disk_leaves_nothing_behind() {
    let dir = TestDir::new();
    let disk = Disk::new(&dir);
    let listing = || disk.run(&dir, "cd \"$0\" && find . | sort && cat User.txt");
    let (mut launcher, fresh) = (disk.launcher(), dir.path("data/new/fresh"));
    match disk {
        Disk::Mounted(_) => drop(disk.run(&dir, "cat /dev/zero >\"$0/zeros\"")),
        Disk::Limited => launcher = ["prlimit", "--fsize=0:"].map(str::to_owned).to_vec(),
    }
    let before = listing();
    assert!(before.contains("./User.txt\n") && before.contains("ag secret\n"), "{before}");
    for data in [data(&dir).as_str(), fresh.to_str().expect("the path is UTF-8")] {
        let mut command = Command::new(&launcher[0]);
        command.args(&launcher[1..]).arg(env!("CARGO_BIN_EXE_pennypost"));
        command.args(["user", "add", "cd", "--password-stdin", "--data", data, "--config"]);
        let output = run_program(command.arg(dir.path("pennypost.toml")), b"a password\n");
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains("cannot "), "{output:?}");
        assert_eq!(listing(), before, "{data}");
    }
}

/// The mark of a removed message beyond the limit cannot be written.
#[test]
fn removal_over_a_file_size_limit_is_refused_and_the_server_survives() {
    let dir = TestDir::new();
    let mut server = dir.serve();
    for subject in 0..2 {
        assert!(deliver(&server, subject).starts_with("250 "));
    }
    limit(server.pid(), "1000");
    assert_eq!(subjects(&server), [0, 1]);
    let mut pop3 = server.log_in("gb", "other");
    assert!(pop3.command("DELE 2").starts_with("+OK"));
    let reply = pop3.command("QUIT");
    assert!(reply.starts_with("-ERR "), "{reply}");
    server.wait_for_log("some messages marked by DELE were not removed");
    assert_eq!(subjects(&server), [0, 1]);

    limit(server.pid(), "unlimited");
    let mut pop3 = server.log_in("gb", "other");
    assert!(pop3.command("DELE 2").starts_with("+OK") && pop3.command("QUIT").starts_with("+OK"));
    assert_eq!(subjects(&server), [0]);
}
