//! Compares the MIME reader with Python's email package: structure, file names and decoded bytes of every mail of the
//! corpus, or of our own mails if it is missing.

#![cfg(not(target_arch = "wasm32"))]

mod platform;
mod sample_mails;

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_core::message::mime::Message;
use serde_json::Value;

/// A part that is not a multipart.
#[derive(Debug)]
struct Part {
    media_type: String,
    name: String,
    /// `None` for a message inside a message, which Python parses as well.
    bytes: Option<Vec<u8>>,
}

/// Differences in whole mails, by the end of their paths, with the reasons.
const ACCEPTED: &[(&str, &str)] = &[
    (
        "lhost-office365-08.eml",
        "a line ends with `==`: the last `=` joins the lines here, Python reads both as one `=`",
    ),
    ("lhost-office365-09.eml", UNINDENTED),
    ("lhost-office365-10.eml", UNINDENTED),
    ("lhost-office365-11.eml", UNINDENTED),
    ("lhost-office365-12.eml", UNINDENTED),
    ("malformed/000.eml", "an empty part without a header is a part here; Python skips it"),
    ("malformed/003.eml", SAME_BOUNDARY),
    ("malformed/013.eml", SAME_BOUNDARY),
    ("malformed/017.eml", "the boundary is found although the semicolon before it is missing"),
    ("malformed/019.eml", "white space before a colon is obsolete but valid; Python reads no header"),
    ("thirdparty/002.eml", "base64 continues after padding, as concatenated texts need it; Python stops"),
    (
        "thirdparty/003.eml",
        "white space after an encoding is ignored; Python does not know the encoding then",
    ),
    ("thirdparty/012.eml", "a folded boundary is unfolded; Python keeps the line end in it"),
];

const UNINDENTED: &str =
    "the boundary is in a continuation line without indentation, which ends the header in Python";
const SAME_BOUNDARY: &str =
    "a multipart has the boundary of its parent: the inner one takes the parts, Python the outer one";

#[test]
fn parts_equal_those_of_python() {
    let mut mails = sample_mails::collected();
    if mails.is_empty() {
        mails =
            sample_mails::BUILT_IN.iter().map(|(name, mail)| ((*name).to_owned(), mail.to_vec())).collect();
    }
    for (_, mail) in &mut mails {
        *mail = with_lf(mail);
    }
    let (mut failures, mut accepted) = (Vec::new(), Vec::new());
    for ((name, mail), python) in mails.iter().zip(python_parts(&mails)) {
        let own = own_parts(mail);
        let differs =
            own.len() != python.len() || own.iter().zip(&python).any(|(own, python)| !agree(own, python));
        let entry = ACCEPTED.iter().find(|(end, _)| name.ends_with(end));
        match (differs, entry) {
            (true, None) => {
                failures.push(format!("{name}\n  own:    {}\n  Python: {}", shown(&own), shown(&python)))
            }
            (true, Some((end, _))) => accepted.push(*end),
            (false, _) => {}
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} mails differ\n{}",
        failures.len(),
        mails.len(),
        failures.join("\n")
    );
    let has_corpus = mails.len() > sample_mails::BUILT_IN.len();
    let unused: Vec<_> = ACCEPTED.iter().filter(|(end, _)| has_corpus && !accepted.contains(end)).collect();
    assert!(unused.is_empty(), "no longer different: {unused:?}");
}

fn own_parts(mail: &[u8]) -> Vec<Part> {
    let message = Message::parse(mail, platform::PLATFORM.decode_charset);
    let leaves = message.parts().iter().filter(|part| !part.is_multipart());
    let part = |part: &mail_core::message::mime::Part<'_>| Part {
        media_type: part.media_type(),
        name: message.file_name(part),
        bytes: (!part.media_type().starts_with("message/")).then(|| part.bytes().into_owned()),
    };
    leaves.map(part).collect()
}

fn python_parts(mails: &[(String, Vec<u8>)]) -> Vec<Vec<Part>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mime/python_email.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed; `cargo xtask setup` installs it");
    let mut input = python.stdin.take().expect("a pipe");
    let lines: String = mails.iter().map(|(_, mail)| STANDARD.encode(mail) + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).expect("Python reads"));
    let output = python.wait_with_output().expect("Python ends");
    writer.join().expect("the mails are written");
    assert!(output.status.success(), "the script fails");
    let output = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let parts: Vec<Vec<Part>> = output
        .lines()
        .map(|line| {
            serde_json::from_str::<Vec<Value>>(line).expect("a list").iter().map(python_part).collect()
        })
        .collect();
    assert_eq!(parts.len(), mails.len());
    parts
}

fn python_part(value: &Value) -> Part {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let bytes = value["content"].as_str().map(|content| STANDARD.decode(content).expect("base64"));
    Part { media_type: text("type"), name: text("name"), bytes }
}

fn agree(own: &Part, python: &Part) -> bool {
    // A multipart without parts or with an invalid media type is text; Python reports the declared type.
    let is_unusable = python.media_type.starts_with("multipart/") || !is_media_type(&python.media_type);
    let is_type = own.media_type == python.media_type || (is_unusable && own.media_type == "text/plain");
    // Unnamed parts get a name, and names are cleaned: folders are removed, raw octets are decoded.
    let base = python.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_name = python.name.is_empty()
        || python.name.contains(char::REPLACEMENT_CHARACTER)
        || [base, &python.name].map(letters).contains(&letters(&own.name));
    let is_content = match (&own.bytes, &python.bytes) {
        (Some(own), Some(python)) => lines(own) == lines(python),
        _ => true,
    };
    is_type && is_name && is_content
}

fn is_media_type(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.split('/').filter(|part| !part.is_empty()).count() == 2
}

/// The letters and digits of a name.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The lines without white space at their ends, which quoted-printable drops.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.trim_ascii().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect()
}

/// CRLF and CR become LF: Python ends a line at each of them, the reader at LF only.
fn with_lf(mail: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(mail.len());
    for (i, byte) in mail.iter().enumerate() {
        match byte {
            b'\r' if mail.get(i + 1) == Some(&b'\n') => {}
            b'\r' => text.push(b'\n'),
            other => text.push(*other),
        }
    }
    text
}

fn shown(parts: &[Part]) -> String {
    let one = |part: &Part| {
        let bytes = part.bytes.as_ref().map_or("-".to_owned(), |bytes| {
            let text = String::from_utf8_lossy(bytes);
            format!("{} bytes {:?}", bytes.len(), text.chars().take(60).collect::<String>())
        });
        format!("[{} {} {bytes}]", part.media_type, part.name)
    };
    parts.iter().map(one).collect::<Vec<_>>().join(" ")
}
