//! `pennypost import`, `pennypost export` and `pennypost backup`.

mod support;

use std::fs;
use std::time::{Duration, SystemTime};

use support::{ServerProcess, TestDir};

const FORMATS: [&str; 3] = ["mbox", "maildir", "eml"];
const SUNDAY: &str = "Sun, 22 Nov 2026 19:15:07 +0000";

/// The messages of gb as POP3 returns them.
fn messages(server: &ServerProcess) -> Vec<String> {
    let mut pop3 = server.log_in("gb", "other");
    let (count, _) = pop3.stat();
    let messages =
        (1..=count).map(|number| String::from_utf8(pop3.retrieve(number)).expect("UTF-8")).collect();
    assert!(pop3.command("QUIT").starts_with("+OK"));
    messages
}

fn run(dir: &TestDir, command: &str, format: &str, path: &str) -> support::ProgramOutput {
    let path = dir.path(path);
    dir.pennypost(&[command, format, "gb", path.to_str().expect("UTF-8")], "")
}

/// Exports and imports every format; the third message has lines that resemble separators and stuffed dots.
#[test]
fn exported_messages_are_imported_unchanged_and_with_their_dates() {
    let dir = TestDir::new();
    let mbox = format!(
        "From ag@iit.edu Sun Nov 22 19:15:07 2026\nDate: {SUNDAY}\nSubject: one\n\nfirst\n\n\
         From - Sun Nov 22 19:15:07 2026\nSubject: two\n\n\n\
         From - Sun Nov 22 19:15:07 2026\nSubject: three\n\n>From here\n>>From there\n.\n..x\n\n\n"
    );
    fs::write(dir.path("in.mbox"), mbox).expect("the file is written");
    let imported = run(&dir, "import", "mbox", "in.mbox");
    assert_eq!((imported.code, imported.stdout.as_str()), (Some(0), "imported 3 messages, skipped 0\n"));
    let server = dir.serve();
    let first = messages(&server);
    assert!(first.iter().all(|message| message.contains(&format!("; {SUNDAY}\r\n"))), "{first:?}");
    assert!(first[2].ends_with("\r\n\r\nFrom here\r\n>From there\r\n.\r\n..x\r\n\r\n"), "{first:?}");

    for format in FORMATS {
        let exported = run(&dir, "export", format, format);
        assert_eq!(
            (exported.code, exported.stdout.as_str()),
            (Some(0), "exported 3 messages\n"),
            "{exported:?}"
        );
        let again = run(&dir, "export", format, format);
        assert!(again.code == Some(2) && again.stderr.contains("exists; name a path"), "{again:?}");
    }
    for format in FORMATS {
        assert_eq!(dir.pennypost(&["user", "remove", "gb", "--purge"], "").code, Some(0));
        assert_eq!(dir.pennypost(&["user", "add", "gb", "--password-stdin"], "other\n").code, Some(0));
        assert_eq!(run(&dir, "import", format, format).code, Some(0));
        let after = messages(&server);
        assert_eq!(after.len(), 3);
        for (before, after) in first.iter().zip(after) {
            assert_eq!(body(before), body(&after), "{format}");
            let mut expected = fields(before);
            // The trace fields of the import.
            expected
                .extend(fields(&after).into_iter().filter(|field| field.starts_with("Return-Path:")).take(1));
            expected
                .extend(fields(&after).into_iter().filter(|field| field.starts_with("Received:")).take(1));
            expected.sort();
            let mut found = fields(&after);
            found.sort();
            assert_eq!(found, expected, "{format}");
        }
    }
}

fn fields(message: &str) -> Vec<&str> {
    message.split_once("\r\n\r\n").expect("a body").0.lines().collect()
}

fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").expect("a body").1
}

#[test]
fn file_dates_are_used_if_the_message_has_none() {
    let dir = TestDir::new();
    for folder in ["mail/new", "mail/cur"] {
        fs::create_dir_all(dir.path(folder)).expect("the folder is created");
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_374_907);
    for (name, text) in
        [("new/2.b.host", "Subject: b\n\nsecond\n"), ("cur/1.a.host:2,S", "Subject: a\n\nfirst\r\n")]
    {
        let path = dir.path(&format!("mail/{name}"));
        fs::write(&path, text).expect("the file is written");
        let file = fs::File::options().append(true).open(&path).expect("the file is opened");
        file.set_modified(time).expect("the time is set");
    }
    assert_eq!(run(&dir, "import", "maildir", "mail").code, Some(0));
    let messages = messages(&dir.serve());
    assert!(messages[0].ends_with("Subject: a\r\n\r\nfirst\r\n"), "{messages:?}");
    assert!(messages.iter().all(|message| message.contains(&format!("; {SUNDAY}\r\n"))), "{messages:?}");
}

#[test]
fn unusable_input_is_named() {
    let dir = TestDir::with_config("[limits]\nmessage_size = '64 KiB'\n");
    let long = format!("Subject: long\n\n{}\n\n", "x".repeat(70_000));
    let mbox =
        format!("From - now\nSubject: nul\n\na\0b\n\nFrom - now\n{long}From - now\nSubject: good\n\nbody\n");
    fs::write(dir.path("mixed"), mbox).expect("the file is written");
    let mixed = run(&dir, "import", "mbox", "mixed");
    assert_eq!(mixed.code, Some(1), "{mixed:?}");
    for part in [
        "message 1: skipped: it contains a NUL",
        "message 2: skipped: it is larger",
        "imported 1 messages, skipped 2",
    ] {
        assert!(mixed.stdout.contains(part), "{part}: {mixed:?}");
    }
    fs::write(dir.path("text"), "Subject: no mbox\n").expect("the file is written");
    for (format, path, part) in [
        ("mbox", "text", "is not an mbox file"),
        ("mbox", "missing", "cannot read"),
        ("maildir", "data", "is not a maildir"),
        ("eml", "missing", "cannot read"),
    ] {
        let output = run(&dir, "import", format, path);
        assert!(output.code == Some(2) && output.stderr.contains(part), "{output:?}");
        assert!(
            output.stderr.contains("0 messages were imported") || format == "maildir" || format == "eml",
            "{output:?}"
        );
    }
    let unknown = dir.pennypost(&["export", "mbox", "cd", "x"], "");
    assert!(unknown.code == Some(2) && unknown.stderr.contains("there is no account `cd`"), "{unknown:?}");

    let server = dir.serve();
    let _session = server.log_in("gb", "other");
    let busy = run(&dir, "export", "mbox", "busy");
    assert!(busy.code == Some(2) && busy.stderr.contains("in use"), "{busy:?}");
    assert!(!dir.path("busy").exists());
}

#[test]
fn backup_of_a_running_system_can_be_served() {
    let dir = TestDir::new();
    fs::write(dir.path("data/Aliases.txt"), "sales: gb\n").expect("the file is written");
    let server = dir.serve();
    server.smtp().deliver_to("sales@iit.edu", b"Subject: one\r\n\r\nfirst\r\n");
    let before = messages(&server);
    let backup = |path: &str| dir.pennypost(&["backup", dir.path(path).to_str().expect("UTF-8")], "");
    let copied = backup("copy");
    assert!(copied.code == Some(0) && copied.stdout.starts_with("copied 2 accounts with "), "{copied:?}");
    let again = backup("copy");
    assert!(again.code == Some(2) && again.stderr.contains("exists; name a directory"), "{again:?}");
    let missing = backup("missing/copy");
    assert!(missing.code == Some(2) && missing.stderr.contains("missing/copy"), "{missing:?}");
    // A message that is delivered after the backup is not part of it.
    server.smtp().deliver_to_gb(b"Subject: two\r\n\r\nsecond\r\n");
    let ids = |server: &ServerProcess| server.log_in("gb", "other").multiline("UIDL").1;
    let uids = ids(&server);
    server.kill();

    fs::rename(dir.path("data"), dir.path("lost")).expect("the directory is renamed");
    fs::rename(dir.path("copy"), dir.path("data")).expect("the directory is renamed");
    let restored = dir.serve();
    assert_eq!(messages(&restored), before);
    assert_eq!(ids(&restored), uids[..1]);
    restored.smtp().deliver_to("sales@iit.edu", b"Subject: three\r\n\r\nthird\r\n");
    assert_eq!(messages(&restored).len(), 2);
    assert_eq!(dir.pennypost(&["check"], "").code, Some(0));
}
