//! Files that are imported: messages in the mbox format or as a single message, and address books.

use mail_core::message::header;
use mail_core::message::mbox::{Line, Reader};

/// Messages of a file that are imported at once.
pub(crate) const MESSAGES_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Imported {
    /// The first [`MESSAGES_MAX`] messages, with CRLF line ends.
    Messages {
        messages: Vec<Vec<u8>>,
        /// Number of messages after them.
        left_out: usize,
    },
    /// The text of a vCard file.
    People(String),
    /// The file is of another kind.
    Unknown,
}

/// Recognises a file by its content.
pub(crate) fn read(file: &[u8]) -> Imported {
    let start = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file).trim_ascii_start();
    if start.len() >= 11 && start[..11].eq_ignore_ascii_case(b"BEGIN:VCARD") {
        return Imported::People(String::from_utf8_lossy(start).into_owned());
    }
    if start.starts_with(b"From ") {
        return mbox(start);
    }
    let has_sender = {
        let (header, _) = header::split(file);
        header::first(header, "From").is_some() || header::first(header, "Date").is_some()
    };
    if has_sender {
        Imported::Messages { messages: vec![with_crlf(file)], left_out: 0 }
    } else {
        Imported::Unknown
    }
}

fn mbox(file: &[u8]) -> Imported {
    let mut reader = Reader::default();
    let (mut messages, mut message) = (Vec::new(), Vec::new());
    let mut left_out = 0;
    let mut add = |message: &mut Vec<u8>| {
        let message = std::mem::take(message);
        if messages.len() < MESSAGES_MAX && !message.is_empty() {
            messages.push(message);
        } else {
            left_out += usize::from(!message.is_empty());
        }
    };
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        match reader.line(line, &mut message) {
            Line::Content => {}
            Line::Separator(_) => add(&mut message),
            Line::NotMbox => return Imported::Unknown,
        }
    }
    add(&mut message);
    Imported::Messages { messages, left_out }
}

fn with_crlf(file: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(file.len() + 1_000);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        message.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        message.extend_from_slice(b"\r\n");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn messages_of_an_mbox_file_are_separated() {
        let file = b"From a@b Sun Nov 22 19:15:07 2026\nFrom: a@b\n\n>From here\n\nFrom a@b Sun Nov 22 19:15:08 2026\nFrom: c@d\n\nx\n";
        let messages: Vec<&[u8]> = vec![b"From: a@b\r\n\r\nFrom here\r\n", b"From: c@d\r\n\r\nx\r\n"];
        let messages = messages.into_iter().map(<[u8]>::to_vec).collect();
        assert_eq!(read(file), Imported::Messages { messages, left_out: 0 });
    }

    #[test]
    fn messages_over_the_limit_are_counted() {
        let file = "From a@b Sun Nov 22 19:15:07 2026\nFrom: a@b\n\nx\n\n".repeat(MESSAGES_MAX + 3);
        let Imported::Messages { messages, left_out } = read(file.as_bytes()) else { panic!("no messages") };
        assert_eq!((messages.len(), left_out), (MESSAGES_MAX, 3));
    }

    #[test]
    fn a_message_and_an_address_book_are_recognised() {
        assert_eq!(
            read(b"Subject: x\nFrom: a@b\n\ny"),
            Imported::Messages {
                messages: vec![b"Subject: x\r\nFrom: a@b\r\n\r\ny\r\n".to_vec()],
                left_out: 0
            }
        );
        assert!(matches!(read("\u{feff}begin:vcard\n".as_bytes()), Imported::People(_)));
        for file in [&b""[..], b"hello", b"\x89PNG\r\n\x1a\n", b"BEGIN:VCALENDAR"] {
            assert_eq!(read(file), Imported::Unknown, "{file:?}");
        }
    }
}
