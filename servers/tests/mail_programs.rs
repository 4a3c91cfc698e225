//! Interoperability with curl, swaks, msmtp, mpop, fetchmail, s-nail, and Python's smtplib and poplib. `cargo xtask setup`
//! installs them; a missing program fails its test.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{Daemon, Place};

const MESSAGE: &str = "From: ag@iit.edu\r\nTo: gb@iit.edu\r\nSubject: from a real program\r\n\r\n.one dot\r\n..two\r\nGr\u{fc}\u{df}e\r\n";

/// A running server and a directory for the files of the program.
struct Scene {
    place: Place,
    server: Daemon,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let server = place.serve();
        Self { place, server }
    }

    fn smtp_port(&self) -> String {
        self.server.smtp.expect("it listens").port().to_string()
    }

    fn pop3_port(&self) -> String {
        self.server.pop3.expect("it listens").port().to_string()
    }

    /// Writes a file with mode 0600, which mail programs require for their configuration.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.place.path(name);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        path.to_str().expect("a temporary path is UTF-8").to_owned()
    }

    /// Runs a program with its own home directory. Panics if it fails.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", self.place.folder.path()).env("LC_ALL", "C.UTF-8");
        assert!(
            is_installed(program),
            "{program} is missing; `cargo xtask setup` installs it, or: sudo apt-get install {}",
            if program == "python3" { "python3" } else { program }
        );
        let finished = support::finish(&mut command, input.as_bytes());
        assert_eq!(finished.code, Some(0), "{program}: {finished:?}");
        finished.stdout
    }

    /// The mailbox of gb after a delivery.
    fn delivered(&self) -> String {
        let mailbox = String::from_utf8(self.place.mailbox("gb")).expect("text");
        assert!(mailbox.ends_with("\r\n.\r\n"), "{mailbox}");
        mailbox
    }

    fn deliver(&self) {
        self.server.smtp().deliver_one(MESSAGE.as_bytes());
    }
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether `text` contains the body of the message with any line ends.
fn has_body(text: &str) -> bool {
    text.replace("\r\n", "\n").contains(".one dot\n..two\nGr\u{fc}\u{df}e\n")
}

#[test]
fn curl_sends_and_fetches() {
    let scene = Scene::new();
    let mail = scene.file("mail", MESSAGE);
    let smtp = format!("smtp://127.0.0.1:{}/iit.edu", scene.smtp_port());
    scene.run(
        "curl",
        &["-sS", &smtp, "--mail-from", "ag@iit.edu", "--mail-rcpt", "gb@iit.edu", "-T", &mail],
        "",
    );
    assert!(scene.delivered().contains("\r\n..one dot\r\n...two\r\n"));
    let pop3 = format!("pop3://127.0.0.1:{}/1", scene.pop3_port());
    assert!(has_body(&scene.run("curl", &["-sS", "-u", "gb:other", &pop3], "")));
    // curl may exit before the reply to QUIT; wait until the maildrop is released.
    scene.server.signed_in("gb", "other").command("QUIT");
    let listing = scene.run("curl", &["-sS", "-u", "gb:other", &pop3[..pop3.len() - 1]], "");
    assert!(listing.starts_with("1 "), "{listing}");
}

#[test]
fn curl_sends_and_fetches_over_tls() {
    let place = Place::with("[tls]\nself_signed = true\n");
    let server = place.serve();
    let scene = Scene { place, server };
    let roots = scene.place.path("data/.tls/certificate.pem").display().to_string();
    let mail = scene.file("mail", MESSAGE);
    let smtp = format!("smtp://127.0.0.1:{}/iit.edu", scene.smtp_port());
    let secure = ["-sS", "--ssl-reqd", "--cacert", &roots];
    let arguments = [&smtp, "--mail-from", "ag@iit.edu", "--mail-rcpt", "gb@iit.edu", "-T", &mail];
    scene.run("curl", &[&secure[..], &arguments].concat(), "");
    assert!(scene.delivered().contains("with ESMTPS (TLSv1.3/TLS_"), "{}", scene.delivered());
    let pop3 = format!("pop3://127.0.0.1:{}/1", scene.pop3_port());
    assert!(has_body(&scene.run("curl", &[&secure[..], &["-u", "gb:other", &pop3]].concat(), "")));
}

#[test]
fn swaks_sends() {
    let scene = Scene::new();
    let mail = scene.file("mail", MESSAGE);
    let port = scene.smtp_port();
    let dialogue = scene.run(
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
    assert!(scene.delivered().contains("with ESMTPA id "), "{}", scene.delivered());
}

#[test]
fn msmtp_sends() {
    let scene = Scene::new();
    let (port, mail) = (scene.smtp_port(), MESSAGE.replace("\r\n", "\n"));
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
    scene.run("msmtp", &arguments, &mail);
    assert!(scene.delivered().contains("Subject: from a real program\r\n"));
}

#[test]
fn mpop_fetches() {
    let scene = Scene::new();
    scene.deliver();
    let (port, mbox) = (scene.pop3_port(), scene.file("fetched", ""));
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
    scene.run("mpop", &arguments, "");
    assert!(has_body(&fs::read_to_string(mbox).expect("fetched")));
    assert!(scene.place.mailbox("gb").is_empty(), "the message is fetched and deleted");
}

#[test]
fn fetchmail_fetches() {
    let scene = Scene::new();
    scene.deliver();
    let mbox = scene.file("fetched", "");
    let settings = format!(
        "poll 127.0.0.1 protocol POP3 port {} uidl auth password user \"gb\" password \"other\" sslproto \"\" keep mda \"cat >>{mbox}\"\n",
        scene.pop3_port()
    );
    let settings = scene.file("fetchmailrc", &settings);
    scene.run(
        "fetchmail",
        &[
            "-f",
            &settings,
            "--idfile",
            &scene.file("ids", ""),
            "--pidfile",
            &scene.place.path("pid").display().to_string(),
        ],
        "",
    );
    assert!(has_body(&fs::read_to_string(mbox).expect("fetched")));
}

#[test]
fn s_nail_sends_and_fetches() {
    let scene = Scene::new();
    let (smtp, pop3) = (scene.smtp_port(), scene.pop3_port());
    let mta = format!("mta=smtp://127.0.0.1:{smtp}");
    scene.run(
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
    assert!(scene.delivered().contains("Subject: from a real program\r\n"));
    let folder = format!("pop3://gb:other@127.0.0.1:{pop3}");
    let shown = scene.run(
        "s-nail",
        &["-:/", "-R", "-S", "v15-compat", "-S", "pop3-no-apop", "-S", "pop3-auth=plain", "-f", &folder],
        "type 1\nexit\n",
    );
    assert!(shown.contains("one dot"), "{shown}");
}

#[test]
fn python_sends_and_fetches() {
    let scene = Scene::new();
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
        smtp = scene.smtp_port(),
        pop3 = scene.pop3_port()
    );
    let script = scene.file("script.py", &script);
    scene.run("python3", &[&script], "");
    assert!(scene.place.mailbox("gb").is_empty());
}
