//! Sample mails, and their expected transformations. Independent of the code under test.

#[path = "../../../mail-core/tests/sample_mails/mod.rs"]
mod small;

#[allow(unused_imports, reason = "each test binary uses a part of this module")]
pub(crate) use small::{BUILT_IN, collected};

/// Generated large mails.
pub(crate) fn large() -> Vec<(&'static str, Vec<u8>)> {
    let mut long_line = b"Subject: one long line\n\n".to_vec();
    long_line.extend(std::iter::repeat_n(b'x', 300_000));
    long_line.push(b'\n');
    let mut long_field = b"From: ag@iit.edu\nX-Long: ".to_vec();
    long_field.extend(std::iter::repeat_n(b'y', 100_000));
    long_field.extend_from_slice(b"\nSubject: behind it\n\nbody\n");
    let mut large = b"From: ag@iit.edu\nTo: gb@iit.edu\nSubject: more than memory takes\n\n".to_vec();
    for line in 0..60_000 {
        large.extend_from_slice(
            format!(
                "{}line {line} of a message of about three mebibytes\n",
                if line % 7 == 0 { "." } else { "" }
            )
            .as_bytes(),
        );
    }
    vec![("long line", long_line), ("long field", long_field), ("three mebibytes", large)]
}

/// The mail with CRLF at the end of every line, as clients send it.
pub(crate) fn with_crlf(mail: &[u8]) -> Vec<u8> {
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

/// The message with dot-stuffing and the final dot.
pub(crate) fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            encoded.push(b'.');
        }
        encoded.extend_from_slice(line);
    }
    encoded.extend_from_slice(b".\r\n");
    encoded
}

/// Splits a retrieved message into the trace fields added by the server, and the rest.
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

/// A message with CRLF line ends as RETR returns it after the trace fields: the first From, To and Subject come first. A
/// text without a header gets an empty line that separates it from the trace fields.
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

/// RFC 5322: printable characters except the colon, optional white space (obsolete syntax), then a colon.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| (33..=126).contains(*byte) && **byte != b':').count();
    let space = line[name..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    name > 0 && line.get(name + space) == Some(&b':')
}
