//! Account names that contain paths: no file outside the account directories is created or changed, and the replies are those
//! for an unknown name.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::SystemTime;

use mail_core::sasl::{self, ClientExchange, Credentials, Mechanism};
use mail_core::secret::Secret;
use support::{Pop3Client, SmtpClient, TestDir};

/// Names that would refer to a path outside their account directory.
const PATH_NAMES: &[&str] = &[
    "../beyond",
    "../../beyond",
    "gb/../ag",
    "gb/../../beyond",
    "./gb",
    "gb/",
    "gb//",
    "/gb",
    ".",
    "..",
    "...",
    ".tmp",
    ".tls",
    "gb/MyMailBox.txt",
    "User.txt",
    "..\\beyond",
    "gb\\..\\ag",
    "C:\\beyond",
    "gb.",
    "gb..ag",
    "-gb",
    "~gb",
    "~",
    "$HOME",
    "*",
    "g?",
    "%2e%2e%2fbeyond",
    "gb%00",
    // Homoglyphs of Latin letters, full stop and solidus, a combining character, and zero-width characters.
    "\u{430}g",
    "\u{ff47}b",
    "\u{ff0e}\u{ff0e}\u{2215}beyond",
    "gb\u{301}",
    "gb\u{200b}",
    "gb\u{202e}",
    "\u{130}",
];

/// Names that User.txt cannot express.
const INEXPRESSIBLE_NAMES: &[&str] = &["", " ", "gb ", " gb", "gb\t", "gb\0", "gb\0/../ag", "g\u{7f}b"];

/// Size and modification time of every file below `root`.
fn tree(root: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let metadata = path.symlink_metadata().expect("the file exists");
            if metadata.is_dir() {
                directories.push(path.clone());
            }
            let state = (metadata.len(), metadata.modified().expect("a modification time"));
            found.insert(path.to_string_lossy().into_owned(), state);
        }
    }
    found
}

fn base64(text: &str) -> String {
    sasl::encode(&Secret::new(text.into())).expose().clone()
}

/// Replies to each command with an account name.
fn replies_for([smtp, pop3]: [SocketAddr; 2], name: &str) -> [String; 5] {
    let smtp = || {
        let mut smtp = SmtpClient::connect(smtp);
        smtp.command("EHLO iit.edu");
        smtp
    };
    let mut exchange = ClientExchange::new(Mechanism::Plain, &Credentials::new(name, "secret"));
    let plain = sasl::encode(&exchange.initial().expect("PLAIN has an initial response"));

    let mut recipient = smtp();
    recipient.command("MAIL FROM:<ag@iit.edu> SMTPUTF8");
    let quoted = name.replace('\\', "\\\\");
    let to = recipient.command(&format!("RCPT TO:<\"{quoted}\"@iit.edu>"));
    let mut login = smtp();
    login.command("AUTH LOGIN");
    login.command(&base64(name));
    let mut pop3 = Pop3Client::connect(pop3);
    let user = pop3.command(&format!("USER {name}"));
    [
        to,
        smtp().command(&format!("AUTH PLAIN {}", plain.expose())),
        login.command(&base64("secret")),
        user,
        pop3.command("PASS secret"),
    ]
}

#[test]
fn path_in_an_account_name_is_treated_as_unknown() {
    for refuse in [false, true] {
        let extra = format!(
            "[pop3]\nrefuse_unknown_user = {refuse}\n[limits]\ntrusted = ['127.0.0.0/8']\n\
             [auth]\nfailures_per_account = 1_000_000\n"
        );
        let dir = TestDir::with_config(&extra);
        let root = dir.root.path();
        fs::create_dir(root.join("beyond")).expect("the directory is created");
        fs::write(root.join("beyond/MyMailBox.txt"), "").expect("the file is written");
        let mut server = dir.serve();
        server.smtp().deliver_to_gb(b"Subject: before\r\n\r\nbody\r\n");
        server.log_in("gb", "other").command("QUIT");
        server.log_in("ag", "secret").command("QUIT");
        let beyond = root.join("beyond").to_string_lossy().into_owned();
        let long = ["../", "beyond".repeat(50).as_str()].concat();
        let names = || PATH_NAMES.iter().copied().chain([&*beyond, &*long]);

        // These lines would create the accounts if the names were valid.
        let lines: String = names().map(|name| format!("{name} secret\n")).collect();
        fs::write(dir.path("data/User.txt"), format!("ag secret\ngb other\n{lines}"))
            .expect("the file is written");
        let before = tree(root);
        let listeners = ["smtp", "pop3"].map(|protocol| server.address(protocol));
        let unknown = replies_for(listeners, "nobody");
        assert!(unknown[0].starts_with("550 5.1.1 ") && unknown[1].starts_with("535 "), "{unknown:?}");

        thread::scope(|scope| {
            for name in names().chain(INEXPRESSIBLE_NAMES.iter().copied()) {
                let unknown = &unknown;
                scope.spawn(move || assert_same_as_unknown(name, &replies_for(listeners, name), unknown));
            }
        });
        assert_eq!(tree(root), before);
        assert!(server.wait_for_log("the previous version stays in force").contains("User.txt"));
    }
}

/// Names with invalid characters may be refused as a syntax error. POP3 trims white space around a name.
fn assert_same_as_unknown(name: &str, replies: &[String; 5], unknown: &[String; 5]) {
    let may_be_malformed = name.is_empty() || name.len() > 64 || name.contains([' ', '\t', '\0', '\u{7f}']);
    for (reply, unknown) in replies.iter().zip(unknown) {
        let malformed = may_be_malformed && reply.starts_with(['5', '-']);
        let trimmed = name != "gb" && name.trim() == "gb" && reply == "+OK send PASS";
        assert!(reply == unknown || malformed || trimmed, "{name:?}: {reply:?}, unknown name: {unknown:?}");
    }
}

#[test]
fn path_in_user_txt_is_refused_with_its_line() {
    let dir = TestDir::with_config("");
    for name in PATH_NAMES {
        fs::write(dir.path("data/User.txt"), format!("ag secret\n{name} secret\n"))
            .expect("the file is written");
        let refused = dir.pennypost(&["check"], "");
        assert_eq!(refused.code, Some(2), "{name}: {refused:?}");
        assert!(
            refused.stderr.contains("line 2: ") && refused.stderr.contains("is not a valid username"),
            "{refused:?}"
        );
    }
}
