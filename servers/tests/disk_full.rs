//! A full or read-only disk under a running server: the right replies, no lost mail, and recovery.
//!
//! The disk is a tmpfs of 1 MiB in its own mount namespace. Without permission to mount, the RLIMIT_FSIZE of the server
//! process makes writes fail instead.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::{Daemon, Place};

const SERVE: [&str; 7] = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"];
/// Mounts the disk and keeps it until its standard input ends.
const HOLD: &str = "mount -t tmpfs -o size=1m none \"$0\" && printf 'ag secret\\ngb other\\n' > \"$0/User.txt\" \
    && echo mounted && exec cat";
/// No signal for a file that grows too large: the write alone fails, as on a full disk.
const WITHOUT_SIGNAL: &str = "trap '' XFSZ; exec \"$0\" \"$@\"";
/// Octets of each message; the disk has room for a few.
const LARGE: usize = 100_000;

/// A data directory with limited space.
enum Disk {
    /// The process that owns the mount namespace.
    Mounted(Child),
    Limited,
}

impl Disk {
    #[expect(clippy::print_stderr, reason = "who runs the test should know which disk it was")]
    fn new(place: &Place) -> Self {
        let data = data(place);
        for namespace in [&["-m"][..], &["-r", "-m"]] {
            let mut holder = Command::new("unshare")
                .args(namespace)
                .args(["sh", "-c", HOLD, &data])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("unshare is installed");
            let mut word = String::new();
            let stdout = holder.stdout.take().expect("stdout is piped");
            BufReader::new(stdout).read_line(&mut word).expect("the script writes or exits");
            if word == "mounted\n" {
                return Self::Mounted(holder);
            }
            holder.wait().expect("the process has exited");
        }
        eprintln!("cannot mount a tmpfs; using a file size limit instead");
        Self::Limited
    }

    /// Starts a server on the disk.
    fn serve(&self, place: &Place) -> Daemon {
        let program = env!("CARGO_BIN_EXE_pennypost");
        let (before, mut arguments) = match self {
            Self::Mounted(holder) => ("nsenter", vec!["-t".to_owned(), holder.id().to_string()]),
            Self::Limited => ("sh", vec!["-c".to_owned(), WITHOUT_SIGNAL.to_owned()]),
        };
        if let Self::Mounted(holder) = self {
            arguments.extend(namespaces(holder).map(str::to_owned));
        }
        arguments.push(program.to_owned());
        arguments.extend(SERVE.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Daemon::start(before, &arguments, place, &["smtp", "pop3"]);
        if matches!(self, Self::Limited) {
            limit(&server, "600000");
        }
        server
    }

    /// Increases the space.
    fn grow(&self, place: &Place, server: &Daemon) {
        match self {
            Self::Mounted(holder) => remount(holder, place, "size=4m"),
            Self::Limited => limit(server, "unlimited"),
        }
    }

    fn forbid_writing(&self, place: &Place) {
        if let Self::Mounted(holder) = self {
            remount(holder, place, "ro");
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

fn data(place: &Place) -> String {
    place.path("data").to_str().expect("the path is UTF-8").to_owned()
}

/// Flags of nsenter: the mount namespace, and the user namespace if it differs.
fn namespaces(holder: &Child) -> impl Iterator<Item = &'static str> {
    let of =
        |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).expect("the link is readable");
    let own = of(&holder.id().to_string()) != of("self");
    ["-m"].into_iter().chain(["-U", "--preserve-credentials"].into_iter().filter(move |_| own))
}

fn remount(holder: &Child, place: &Place, options: &str) {
    let done = Command::new("nsenter")
        .args(["-t", &holder.id().to_string()])
        .args(namespaces(holder))
        .args(["mount", "-o", &format!("remount,{options}"), &data(place)])
        .output()
        .expect("nsenter is installed");
    assert!(done.status.success(), "{options}: {}", String::from_utf8_lossy(&done.stderr));
}

fn limit(server: &Daemon, octets: &str) {
    let pid = server.pid().to_string();
    // Only the soft limit, which can be raised again.
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={octets}:")]).status();
    assert!(done.expect("prlimit is installed").success());
}

/// Returns the reply to the final dot.
fn deliver(server: &Daemon, subject: usize) -> String {
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message(subject).as_bytes());
    smtp.command("QUIT");
    reply
}

fn message(subject: usize) -> String {
    format!("Subject: {subject}\r\n\r\n{}", "0123456789\r\n".repeat(LARGE / 12))
}

/// The subjects of gb's messages. Panics if a message is incomplete.
fn subjects(server: &Daemon) -> Vec<usize> {
    let mut pop3 = server.signed_in("gb", "other");
    let count = pop3.stat().0;
    let subject = |index| {
        let text = String::from_utf8(pop3.retrieve(index)).expect("text");
        let text = &text[text.find("Subject: ").expect("a subject")..];
        let subject = text["Subject: ".len()..].lines().next().and_then(|subject| subject.parse().ok());
        let subject = subject.expect("a number");
        assert!(text == message(subject), "message {subject} is not what was sent");
        subject
    };
    (1..=count).map(subject).collect()
}

#[test]
fn full_disk_refuses_mail_and_recovers() {
    let place = Place::new();
    let disk = Disk::new(&place);
    let mut server = disk.serve(&place);
    let refusal = if matches!(disk, Disk::Mounted(_)) { "452 4.3.1 " } else { "451 4.3.0 " };
    let mut kept = Vec::new();
    for subject in 0.. {
        let reply = deliver(&server, subject);
        if !reply.starts_with("250 ") {
            assert!(reply.starts_with(refusal), "{reply}");
            break;
        }
        kept.push(subject);
        assert!(subject < 50, "the disk is never full");
    }
    assert!(kept.len() > 2, "several messages fit");
    server.wait_for_log("message refused");
    assert_eq!(subjects(&server), kept, "stored mail is readable while the disk is full");

    // Removal works without free space.
    let mut pop3 = server.signed_in("gb", "other");
    for number in 1..=2 {
        assert!(pop3.command(&format!("DELE {number}")).starts_with("+OK"));
    }
    assert!(pop3.command("QUIT").starts_with("+OK"), "removal works on a full disk");
    kept.drain(..2);
    assert_eq!(subjects(&server), kept);
    disk.grow(&place, &server);
    for subject in 100..104 {
        let reply = deliver(&server, subject);
        assert!(reply.starts_with("250 "), "{reply}");
        kept.push(subject);
    }
    assert_eq!(subjects(&server), kept);
}

#[test]
fn read_only_disk_refuses_mail_and_recovers() {
    let place = Place::new();
    let disk = Disk::new(&place);
    let server = disk.serve(&place);
    assert!(deliver(&server, 1).starts_with("250 "));
    assert_eq!(subjects(&server), [1]);
    // A remount to read-only fails while a file is open for writing.
    drop(server);
    disk.forbid_writing(&place);
    let mut server = disk.serve(&place);
    if matches!(disk, Disk::Limited) {
        limit(&server, "0");
    }
    let reply = deliver(&server, 2);
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    server.wait_for_log("message refused for now");
    if matches!(disk, Disk::Mounted(_)) {
        let mut pop3 = server.pop3();
        assert!(pop3.command("USER gb").starts_with("+OK"));
        let reply = pop3.command("PASS other");
        assert!(reply.starts_with("-ERR [SYS/TEMP] "), "{reply}");
    }
    match &disk {
        Disk::Mounted(holder) => remount(holder, &place, "rw"),
        Disk::Limited => limit(&server, "unlimited"),
    }
    let reply = deliver(&server, 3);
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(subjects(&server), [1, 3]);
}
