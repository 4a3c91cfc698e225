//! Mails to send, and what is known about them without the code under test.

use std::fs;
use std::path::Path;

/// A mail of the project's own making, as it lies on disk.
pub(crate) const OWN: &[(&str, &[u8])] = &[
    ("plain", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Meeting\n\nSee you at five.\n"),
    ("empty body", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Nothing to add\n\n"),
    ("no fields but others", b"Date: Sun, 22 Nov 2026 19:15:06 +0000\nMessage-ID: <1@iit.edu>\n\nWho wrote this?\n"),
    ("only a header", b"Subject: no blank line follows\nFrom: ag@iit.edu\n"),
    ("no header", b"Just a text of two lines,\nsent as it is.\n"),
    ("an empty line first", b"\nall of this is body\nFrom: nobody@iit.edu\n"),
    ("nothing", b""),
    ("one line end", b"\n"),
    ("no last line end", b"Subject: cut\n\nno line end"),
    ("dots", b"From: ag@iit.edu\nSubject: dots\n\n.\n..\n...\n.leading\n. \nend.\n.\n"),
    ("a dot in the header", b"From: ag@iit.edu\n.dotted: header line\nTo: gb@iit.edu\nSubject: x\n\n.\n"),
    ("From in the body", b"Subject: mbox\n\nFrom here on it is body.\n>From too.\n"),
    ("an mbox line first", b"From ag@iit.edu Sun Nov 22 19:15:06 2026\nSubject: exported\nTo: gb@iit.edu\n\nbody\n"),
    ("fields last and folded", b"X-First: 1\nDate: Sun, 22 Nov 2026 19:15:06 +0000\nSubject: a subject\n that is\n\tfolded\nTo: gb@iit.edu,\n ag@iit.edu\nFrom: \"A. G.\"\n <ag@iit.edu>\nX-Last: 2\n\nbody\n"),
    ("fields twice", b"From: ag@iit.edu\nFrom: gb@iit.edu\nSubject: one\nSubject: two\nTo: ag@iit.edu\nTo: gb@iit.edu\n\nbody\n"),
    ("odd field names", b"from: ag@iit.edu\nTO : gb@iit.edu\nsUbJeCt:no space\nReturn-Path: <forged@example.org>\nReceived: from nowhere\n\nbody\n"),
    ("lines that are no fields", b"From: ag@iit.edu\nthis is no field\nSubject: still the header\n: nor this\n\nbody\n"),
    ("looks like a record", b"Subject: nested\n\nFrom: <a@b>\nTo: <c@d>\nSubject: x\nReceived: 2026-11-22 : 19 : 15\nReturn-Path: <a@b>\n\nfake\n.\nFrom: <e@f>\n"),
    ("MIME", b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"-\"\n\n---\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nSch\xc3\xb6ne Gr\xc3\xbc\xc3\x9fe\n---\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"a.bin\"\n\nAAECAwQFBgc=\n-----\n"),
    ("8-bit in no charset", b"From: ag@iit.edu\nSubject: caf\xe9\n\n\xff\xfe\x80 raw octets\n"),
    ("control characters", b"Subject: bells\n\n\x07\x1b[31mred\x1b[0m \x01\x7f\n"),
    ("tabs and trailing spaces", b"Subject:\ttab \n\n \n\t\nend \t \n"),
    ("many line ends at the end", b"Subject: room\n\nbody\n\n\n\n"),
];

/// Mails that are too large to write down.
pub(crate) fn large() -> Vec<(&'static str, Vec<u8>)> {
    let mut long_line = b"Subject: one long line\n\n".to_vec();
    long_line.extend(std::iter::repeat_n(b'x', 300_000));
    long_line.push(b'\n');
    let mut long_field = b"From: ag@iit.edu\nX-Long: ".to_vec();
    long_field.extend(std::iter::repeat_n(b'y', 100_000));
    long_field.extend_from_slice(b"\nSubject: behind it\n\nbody\n");
    let mut spilled = b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: more than memory takes\n\n".to_vec();
    for line in 0..60_000 {
        spilled.extend_from_slice(
            format!(
                "{}line {line} of a message of about three mebibytes\n",
                if line % 7 == 0 { "." } else { "" }
            )
            .as_bytes(),
        );
    }
    vec![("one long line", long_line), ("a long field", long_field), ("three mebibytes", spilled)]
}

/// Every mail file below a folder, with its path as its name.
pub(crate) fn in_folder(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut mails = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "eml") {
                mails.push((path.display().to_string(), fs::read(&path).expect("readable")));
            }
        }
    }
    mails.sort();
    mails
}

/// What a client makes of a file before it sends it: every line end CRLF, and one at the end.
pub(crate) fn normalised(mail: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(mail.len() + mail.len() / 32);
    let mut bytes = mail.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                text.extend_from_slice(b"\r\n");
            }
            b'\n' => text.extend_from_slice(b"\r\n"),
            _ => text.push(byte),
        }
    }
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// Dot-stuffed, with the final dot.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// Splits what RETR gave into the trace fields that the server put on top, and the rest.
pub(crate) fn split_trace(message: &[u8]) -> (&[u8], &[u8]) {
    assert!(message.starts_with(b"Return-Path: <"), "{}", message[..message.len().min(200)].escape_ascii());
    let mut end = 0;
    let mut fields = 0;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        if !folded {
            fields += 1;
        }
        if fields > 2 {
            break;
        }
        end += line.len();
    }
    (&message[..end], &message[end..])
}

/// A normalised message as RETR has to give it behind the trace fields: its first From, To and Subject before
/// its other lines. Text without a header gets the empty line that keeps it apart from the trace fields.
pub(crate) fn reordered(message: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = message.split_inclusive(|byte| *byte == b'\n').collect();
    if !lines.first().is_some_and(|line| is_field(line) || line.starts_with(b"From ")) {
        let has_empty_line = lines.first().is_none_or(|line| *line == b"\r\n");
        return if has_empty_line { message.to_owned() } else { [b"\r\n", message].concat() };
    }
    let end = lines.iter().position(|line| *line == b"\r\n").unwrap_or(lines.len());
    let (header, body) = lines.split_at(end);
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in header {
        match fields.last_mut() {
            Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => field.extend_from_slice(line),
            _ => fields.push(line.to_vec()),
        }
    }
    let mut front = Vec::new();
    for name in ["from", "to", "subject"] {
        if let Some(at) = fields.iter().position(|field| is_field(field) && field_name(field) == name) {
            front.extend(fields.remove(at));
        }
    }
    [front, fields.concat(), body.concat()].concat()
}

fn field_name(field: &[u8]) -> String {
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name).trim_end().to_ascii_lowercase()
}

/// RFC 5322: printable characters but the colon, then (in old mail) white space, then a colon.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| (33..=126).contains(*byte) && **byte != b':').count();
    let space = line[name..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    name > 0 && line.get(name + space) == Some(&b':')
}
