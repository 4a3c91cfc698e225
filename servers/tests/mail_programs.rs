//! Interoperability with curl, swaks, msmtp, mpop, fetchmail, getmail6, s-nail, mutt, neomutt, nmh, and Python's smtplib and
//! poplib. `cargo xtask setup` installs them; a missing program fails its test.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{ServerProcess, TestDir};

const MESSAGE: &str = "From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: from a real program\r\n\r\n.one dot\r\n..two\r\nGr\u{fc}\u{df}e\r\n";

/// A running server and a directory for the files of the program.
struct Fixture {
    dir: TestDir,
    server: ServerProcess,
}

impl Fixture {
    fn new() -> Self {
        let dir = TestDir::new();
        let server = dir.serve();
        Self { dir, server }
    }

    fn smtp_port(&self) -> String {
        self.server.smtp.expect("the server listens").port().to_string()
    }

    fn pop3_port(&self) -> String {
        self.server.pop3.expect("the server listens").port().to_string()
    }

    /// Writes a file with mode 0600, which mail programs require for their configuration.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir.path(name);
        fs::write(&path, content).expect("the file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the option is set");
        path.to_str().expect("a temporary path is UTF-8").to_owned()
    }

    /// Runs a program with its own home directory. Panics if it fails.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", self.dir.root.path()).env("LC_ALL", "C.UTF-8");
        assert!(
            is_installed(program),
            "{program} is missing; `cargo xtask setup` installs it, or: sudo apt-get install {}",
            if program == "python3" { "python3" } else { program }
        );
        let output = support::run_program(&mut command, input.as_bytes());
        assert_eq!(output.code, Some(0), "{program}: {output:?}");
        output.stdout
    }

    /// The mailbox of gb after a delivery.
    fn delivered(&self) -> String {
        let mailbox = String::from_utf8(self.dir.mailbox("gb")).expect("text");
        assert!(mailbox.ends_with("\r\n.\r\n"), "{mailbox}");
        mailbox
    }

    fn deliver(&self) {
        self.server.smtp().deliver_to_gb(MESSAGE.as_bytes());
    }

    /// Delivers a message with SMTPUTF8, whose Subject is UTF-8, and one that is ASCII.
    fn deliver_smtputf8(&self) {
        let mut smtp = self.server.smtp();
        smtp.command("EHLO iit.edu");
        for subject in ["Gr\u{fc}\u{df}e", "plain"] {
            assert!(smtp.command("MAIL FROM:<ag@iit.edu> BODY=8BITMIME SMTPUTF8").starts_with("250"));
            let message = MESSAGE.replace("from a real program", subject);
            assert!(smtp.deliver_after_mail(&["gb@iit.edu"], message.as_bytes()).starts_with("250"));
        }
        smtp.command("QUIT");
    }
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// Whether `text` contains the body of the message with any line ends.
fn has_body(text: &str) -> bool {
    text.replace("\r\n", "\n").contains(".one dot\n..two\nGr\u{fc}\u{df}e\n")
}

/// Asserts that a file contains the ordinary message and both messages that were received with SMTPUTF8.
fn assert_has_all(text: &str) {
    assert!(has_body(text), "{text}");
    for subject in ["from a real program", "Gr\u{fc}\u{df}e", "plain"] {
        assert!(text.contains(&format!("Subject: {subject}")), "{subject} is not in {text}");
    }
}

#[test]
fn curl_sends_and_fetches() {
    let fixture = Fixture::new();
    let mail = fixture.file("mail", MESSAGE);
    let smtp = format!("smtp://127.0.0.1:{}/iit.edu", fixture.smtp_port());
    fixture.run(
        "curl",
        &["-sS", &smtp, "--mail-from", "ag@iit.edu", "--mail-rcpt", "gb@iit.edu", "-T", &mail],
        "",
    );
    assert!(fixture.delivered().contains("\r\n..one dot\r\n...two\r\n"));
    let pop3 = format!("pop3://127.0.0.1:{}/1", fixture.pop3_port());
    assert!(has_body(&fixture.run("curl", &["-sS", "-u", "gb:other", &pop3], "")));
    // curl may exit before the reply to QUIT; wait until the maildrop is released.
    fixture.server.log_in("gb", "other").command("QUIT");
    let listing = fixture.run("curl", &["-sS", "-u", "gb:other", &pop3[..pop3.len() - 1]], "");
    assert!(listing.starts_with("1 "), "{listing}");
    fixture.server.log_in("gb", "other").command("QUIT");
    fixture.deliver_smtputf8();
    let second =
        fixture.run("curl", &["-sS", "-u", "gb:other", &format!("{}2", &pop3[..pop3.len() - 1])], "");
    assert!(has_body(&second) && second.contains("Subject: Gr\u{fc}\u{df}e\r\n"), "{second}");
}

#[test]
fn curl_sends_and_fetches_over_tls() {
    let dir = TestDir::with_config("[tls]\nself_signed = true\n");
    let server = dir.serve();
    let fixture = Fixture { dir, server };
    let roots = fixture.dir.path("data/.tls/certificate.pem").display().to_string();
    let mail = fixture.file("mail", MESSAGE);
    let smtp = format!("smtp://127.0.0.1:{}/iit.edu", fixture.smtp_port());
    let secure = ["-sS", "--ssl-reqd", "--cacert", &roots];
    let arguments = [&smtp, "--mail-from", "ag@iit.edu", "--mail-rcpt", "gb@iit.edu", "-T", &mail];
    fixture.run("curl", &[&secure[..], &arguments].concat(), "");
    assert!(fixture.delivered().contains("with ESMTPS (TLSv1.3/TLS_"), "{}", fixture.delivered());
    let pop3 = format!("pop3://127.0.0.1:{}/1", fixture.pop3_port());
    assert!(has_body(&fixture.run("curl", &[&secure[..], &["-u", "gb:other", &pop3]].concat(), "")));
}

#[test]
fn swaks_sends() {
    let fixture = Fixture::new();
    let mail = fixture.file("mail", MESSAGE);
    let port = fixture.smtp_port();
    let dialogue = fixture.run(
        "swaks",
        &[
            "--server",
            "127.0.0.1",
            "--port",
            &port,
            "--from",
            "ag@iit.edu",
            "--to",
            "gb@iit.edu",
            "--auth-user",
            "ag",
            "--auth-password",
            "secret",
            "--data",
            &format!("@{mail}"),
        ],
        "",
    );
    assert!(dialogue.contains("235 2.7.0"), "{dialogue}");
    assert!(fixture.delivered().contains("with ESMTPA id "), "{}", fixture.delivered());
}

#[test]
fn msmtp_sends() {
    let fixture = Fixture::new();
    let (port, mail) = (fixture.smtp_port(), MESSAGE.replace("\r\n", "\n"));
    let arguments = [
        "--host=127.0.0.1",
        &format!("--port={port}"),
        "--auth=plain",
        "--user=ag",
        "--passwordeval=echo secret",
        "--tls=off",
        "--from=ag@iit.edu",
        "gb@iit.edu",
    ];
    fixture.run("msmtp", &arguments, &mail);
    assert!(fixture.delivered().contains("Subject: from a real program\r\n"));
}

#[test]
fn mpop_fetches() {
    let fixture = Fixture::new();
    fixture.deliver();
    fixture.deliver_smtputf8();
    let (port, mbox) = (fixture.pop3_port(), fixture.file("fetched", ""));
    let arguments = [
        "--host=127.0.0.1",
        &format!("--port={port}"),
        "--auth=user",
        "--user=gb",
        "--passwordeval=echo other",
        "--tls=off",
        "--keep=off",
        &format!("--delivery=mbox,{mbox}"),
    ];
    fixture.run("mpop", &arguments, "");
    assert_has_all(&fs::read_to_string(mbox).expect("the file exists"));
    assert!(fixture.dir.mailbox("gb").is_empty(), "the messages are fetched and deleted");
}

#[test]
fn fetchmail_fetches() {
    let fixture = Fixture::new();
    fixture.deliver();
    fixture.deliver_smtputf8();
    let mbox = fixture.file("fetched", "");
    let settings = format!(
        "poll 127.0.0.1 protocol POP3 port {} uidl auth password user \"gb\" password \"other\" sslproto \"\" keep mda \"cat >>{mbox}\"\n",
        fixture.pop3_port()
    );
    let settings = fixture.file("fetchmailrc", &settings);
    fixture.run(
        "fetchmail",
        &[
            "-f",
            &settings,
            "--idfile",
            &fixture.file("ids", ""),
            "--pidfile",
            &fixture.dir.path("pid").display().to_string(),
        ],
        "",
    );
    assert_has_all(&fs::read_to_string(mbox).expect("the file exists"));
}

#[test]
fn getmail_fetches() {
    let fixture = Fixture::new();
    fixture.deliver();
    fixture.deliver_smtputf8();
    let mbox = fixture.file("fetched", "");
    let settings = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = gb\npassword = other\n\
         [destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat >> {mbox}\")\nallow_root_commands = true\n\
         [options]\ndelete = true\nverbose = 0\n",
        fixture.pop3_port()
    );
    let settings = fixture.file("getmailrc", &settings);
    let folder = fixture.dir.root.path().display().to_string();
    fixture.run("getmail", &["--getmaildir", &folder, "--rcfile", &settings], "");
    assert_has_all(&fs::read_to_string(mbox).expect("the file exists"));
    assert!(fixture.dir.mailbox("gb").is_empty(), "the messages are fetched and deleted");
}

/// Sends with the program's batch mode. Then copies the messages of the maildrop, opened as a folder, to a file, and fetches them
/// into another one.
fn mutt_sends_and_fetches(program: &str) {
    let fixture = Fixture::new();
    let url = format!("pop://gb@127.0.0.1:{}/", fixture.pop3_port());
    let home = fixture.dir.root.path().display();
    // With an interval of 0, the program opens a new POP3 session after each key.
    let settings = format!(
        "set smtp_url=\"smtp://127.0.0.1:{}/\" from=ag@iit.edu use_from=yes hostname=iit.edu\n\
         set charset=utf-8 send_charset=us-ascii:utf-8 assumed_charset=utf-8\n\
         set ssl_starttls=no ssl_force_tls=no copy=no confirmappend=no confirmcreate=no\n\
         set pop_host=\"{url}\" pop_user=gb pop_pass=other pop_authenticators=user pop_delete=yes pop_checkinterval=600\n\
         set folder=\"{home}\" spoolfile=\"{home}/fetched\" resolve=no quit=yes delete=no move=no wait_key=no beep=no mbox_type=mbox sendmail=\"/bin/false\"\n",
        fixture.smtp_port()
    );
    let settings = fixture.file("muttrc", &settings);
    let arguments = ["-n", "-F", &settings, "-s", "from a real program", "gb@iit.edu"];
    fixture.run(program, &arguments, ".one dot\n..two\nGr\u{fc}\u{df}e\n");
    assert!(fixture.delivered().contains("Subject: from a real program\r\n"), "{}", fixture.delivered());
    fixture.deliver_smtputf8();
    let press = |keys: &str, folder: &str| {
        let keys = fixture.file("keys", &format!("push '{keys}<exit>'"));
        let command = format!("exec {program} -n -F {settings} -e 'source {keys}' -f {folder}");
        fixture.run("script", &["-qec", &command, "/dev/null"], "");
    };
    let copied = fixture.dir.path("copied").display().to_string();
    press(&format!("<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{copied}<enter>"), &url);
    assert_has_three_equal_bodies(&copied);
    let spool = fixture.file("fetched", "");
    press("<fetch-mail>", &spool);
    assert_has_three_equal_bodies(&spool);
    assert!(fixture.dir.mailbox("gb").is_empty(), "the messages are fetched and deleted");
}

/// Asserts that an mbox file contains the three messages with the body that was sent.
fn assert_has_three_equal_bodies(mbox: &str) {
    let text = fs::read_to_string(mbox).expect("the file exists");
    assert_has_all(&text);
    let messages: Vec<&str> = text.split("\n\nFrom ").map(str::trim_end).collect();
    assert_eq!(messages.len(), 3, "{text}");
    for message in messages {
        assert!(message.ends_with("\n\n.one dot\n..two\nGr\u{fc}\u{df}e"), "{message}");
    }
}

#[test]
fn mutt_retrieves_and_sends() {
    mutt_sends_and_fetches("mutt");
}

#[test]
fn neomutt_retrieves_and_sends() {
    mutt_sends_and_fetches("neomutt");
}

#[test]
fn nmh_sends_and_fetches() {
    let fixture = Fixture::new();
    let folder = fixture.dir.path("Mail/inbox");
    fs::create_dir_all(&folder).expect("the directory is created");
    fixture.file(".mh_profile", "Path: Mail\n");
    fixture.file(".netrc", "machine 127.0.0.1 login gb password other\n");
    let draft = fixture
        .file("draft", &MESSAGE.replace("\r\n", "\n").replace("Subject", "Mime-Version: 1.0\nSubject"));
    let (smtp, pop3) = (fixture.smtp_port(), fixture.pop3_port());
    let to_server = ["-server", "127.0.0.1", "-port"];
    fixture.run("/usr/bin/mh/send", &[&["-mts", "smtp"], &to_server[..], &[&smtp, &draft]].concat(), "");
    assert!(fixture.delivered().contains("Subject: from a real program\r\n"), "{}", fixture.delivered());
    fixture.deliver_smtputf8();
    fixture.run("/usr/bin/mh/inc", &["-host", "127.0.0.1", "-port", &pop3, "-user", "gb"], "");
    let fetched = ["1", "2", "3"].map(|name| fs::read_to_string(folder.join(name)).expect("inc writes it"));
    assert_has_all(&fetched.concat());
    assert!(fixture.dir.mailbox("gb").is_empty(), "the messages are fetched and deleted");
}

#[test]
fn s_nail_sends_and_fetches() {
    let fixture = Fixture::new();
    let (smtp, pop3) = (fixture.smtp_port(), fixture.pop3_port());
    let mta = format!("mta=smtp://127.0.0.1:{smtp}");
    fixture.run(
        "s-nail",
        &[
            "-:/",
            "-S",
            "v15-compat",
            "-S",
            &mta,
            "-S",
            "smtp-auth=none",
            "-S",
            "ttycharset=utf-8",
            "-r",
            "ag@iit.edu",
            "-s",
            "from a real program",
            "gb@iit.edu",
        ],
        ".one dot\n",
    );
    assert!(fixture.delivered().contains("Subject: from a real program\r\n"));
    let folder = format!("pop3://gb:other@127.0.0.1:{pop3}");
    fixture.deliver_smtputf8();
    let shown = fixture.run(
        "s-nail",
        &["-:/", "-R", "-S", "v15-compat", "-S", "pop3-no-apop", "-S", "pop3-auth=plain", "-f", &folder],
        "type 1 2 3\nexit\n",
    );
    for part in ["one dot", "Gr\u{fc}\u{df}e", "Subject: plain"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn python_sends_and_fetches() {
    let fixture = Fixture::new();
    let script = format!(
        r#"
import poplib, smtplib
message = {MESSAGE:?}.encode("utf-8")
with smtplib.SMTP("127.0.0.1", {smtp}) as smtp:
    smtp.ehlo("iit.edu")
    assert smtp.has_extn("8bitmime") and smtp.has_extn("size")
    smtp.login("ag", "secret")
    assert smtp.sendmail("ag@iit.edu", ["gb@iit.edu"], message) == {{}}
    try:
        smtp.sendmail("ag@iit.edu", ["nobody@iit.edu"], message)
        raise SystemExit("nobody got mail")
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["nobody@iit.edu"][0] == 550
pop3 = poplib.POP3("127.0.0.1", {pop3})
pop3.user("gb"); pop3.pass_("other")
count, octets = pop3.stat()
_, lines, size = pop3.retr(1)
assert count == 1 and b"\r\n".join(lines + [b""]).endswith(message), lines
assert octets == len(b"\r\n".join(lines + [b""])), (octets, lines)
assert len(pop3.uidl()[1]) == 1 and "UIDL" in pop3.capa()
pop3.dele(1)
pop3.quit()
"#,
        smtp = fixture.smtp_port(),
        pop3 = fixture.pop3_port()
    );
    let script = fixture.file("script.py", &script);
    fixture.run("python3", &[&script], "");
    assert!(fixture.dir.mailbox("gb").is_empty());
}
