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
use support::{Place, Pop3, Smtp};

/// Accounts of everybody's password, each of which would lie elsewhere than it should.
const TRICKS: &[&str] = &[
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

/// What can stand in no line of User.txt.
const UNWRITABLE: &[&str] = &["", " ", "gb ", " gb", "gb\t", "gb\0", "gb\0/../ag", "g\u{7f}b"];

/// Every file and folder below `folder`: its size and when it was changed.
fn tree(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours") {
            let path = entry.expect("a readable entry").path();
            let about = path.symlink_metadata().expect("the file exists");
            if about.is_dir() {
                folders.push(path.clone());
            }
            let stamp = (about.len(), about.modified().expect("it has a time"));
            found.insert(path.to_string_lossy().into_owned(), stamp);
        }
    }
    found
}

fn encoded(text: &str) -> String {
    sasl::encode(&Secret::new(text.into())).expose().clone()
}

/// What this name gets from each command that takes one.
fn ask([smtp, pop3]: [SocketAddr; 2], name: &str) -> [String; 5] {
    let smtp = || {
        let mut smtp = Smtp::connect(smtp);
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
    login.command(&encoded(name));
    let mut pop3 = Pop3::connect(pop3);
    let user = pop3.command(&format!("USER {name}"));
    [
        to,
        smtp().command(&format!("AUTH PLAIN {}", plain.expose())),
        login.command(&encoded("secret")),
        user,
        pop3.command("PASS secret"),
    ]
}

#[test]
fn path_in_an_account_name_is_treated_as_unknown() {
    for refuse in [false, true] {
        let more = format!(
            "[pop3]\nrefuse_unknown_user = {refuse}\n[limits]\ntrusted = ['127.0.0.0/8']\n\
             [auth]\nfailures_per_account = 1_000_000\n"
        );
        let place = Place::with(&more);
        let folder = place.folder.path();
        fs::create_dir(folder.join("beyond")).expect("made");
        fs::write(folder.join("beyond/MyMailBox.txt"), "").expect("written");
        let mut server = place.serve();
        server.smtp().deliver_one(b"Subject: before\r\n\r\nbody\r\n");
        server.signed_in("gb", "other").command("QUIT");
        server.signed_in("ag", "secret").command("QUIT");
        let beyond = folder.join("beyond").to_string_lossy().into_owned();
        let long = ["../", "beyond".repeat(50).as_str()].concat();
        let tricks = || TRICKS.iter().copied().chain([&*beyond, &*long]);

        // These lines would create the accounts if the names were valid.
        let lines: String = tricks().map(|trick| format!("{trick} secret\n")).collect();
        fs::write(place.path("data/User.txt"), format!("ag secret\ngb other\n{lines}")).expect("written");
        let before = tree(folder);
        let doors = ["smtp", "pop3"].map(|protocol| server.door(protocol));
        let nobody = ask(doors, "nobody");
        assert!(nobody[0].starts_with("550 5.1.1 ") && nobody[1].starts_with("535 "), "{nobody:?}");

        thread::scope(|scope| {
            for name in tricks().chain(UNWRITABLE.iter().copied()) {
                let nobody = &nobody;
                scope.spawn(move || same_as_nobody(name, &ask(doors, name), nobody));
            }
        });
        assert_eq!(tree(folder), before);
        assert!(server.wait_for_log("the previous accounts stay in force").contains("User.txt"));
    }
}

/// What cannot be said in a command is no address or no argument, and refused as that. Blanks around a name are no part of
/// it in POP3.
fn same_as_nobody(name: &str, answers: &[String; 5], nobody: &[String; 5]) {
    let may_be_malformed = name.is_empty() || name.len() > 64 || name.contains([' ', '\t', '\0', '\u{7f}']);
    for (answer, nobody) in answers.iter().zip(nobody) {
        let malformed = may_be_malformed && answer.starts_with(['5', '-']);
        let trimmed = name != "gb" && name.trim() == "gb" && answer == "+OK send PASS";
        assert!(answer == nobody || malformed || trimmed, "{name:?} gets {answer:?}, and nobody {nobody:?}");
    }
}

#[test]
fn path_in_user_txt_is_refused_with_its_line() {
    let place = Place::with("");
    for trick in TRICKS {
        fs::write(place.path("data/User.txt"), format!("ag secret\n{trick} secret\n")).expect("written");
        let refused = place.pennypost(&["check"], "");
        assert_eq!(refused.code, Some(2), "{trick}: {refused:?}");
        assert!(
            refused.stderr.contains("line 2: ") && refused.stderr.contains("is not a valid username"),
            "{refused:?}"
        );
    }
}
