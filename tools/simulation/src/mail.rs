//! Generates mails in the form in which they are sent and in the form in which they must be returned.

use crate::random::Random;

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The message as sent, without dot-stuffing.
    pub(crate) sent: Vec<u8>,
    /// The message as returned after the trace fields: From, To and Subject come first.
    pub(crate) served: Vec<u8>,
    /// Length of the header in `served`, including the blank line.
    pub(crate) header_length: usize,
    /// Whether it was written into the mailbox file, so that `served` is complete and has no trace fields before it.
    pub(crate) handwritten: bool,
}

/// Header field with the number of the attempt to send the message.
pub(crate) const ATTEMPT_FIELD: &str = "X-Attempt: ";

/// The fields that are returned first, in this order.
const LEADING_FIELDS: [&str; 3] = ["From: ", "To: ", "Subject: "];

impl Mail {
    /// A random message.
    pub(crate) fn random(attempt: usize, random: &mut Random) -> Self {
        let mut fields = vec![format!("{ATTEMPT_FIELD}{attempt}\r\n")];
        for (name, value) in LEADING_FIELDS.iter().zip(["<ag@iit.edu>", "<gb@iit.edu>", "News of the day"]) {
            if random.percent(80) {
                let fold = *random.pick(&["", "\r\n folded", "\r\n .dot"]);
                fields.insert(random.below(fields.len() + 1), format!("{name}{value}{fold}\r\n"));
            }
        }
        for odd in ["Date: Sun, 22 Nov 2026 19:15:06 +0000\r\n", ".odd\r\n", "Subject: second\r\n"] {
            if random.percent(20) {
                fields.push(odd.to_owned());
            }
        }
        let body = body(random);
        let find = |name: &&str| fields.iter().find(|field| field.starts_with(*name));
        let first: Vec<&String> = LEADING_FIELDS.iter().filter_map(find).collect();
        let rest = fields.iter().filter(|field| !first.iter().any(|leading| std::ptr::eq(*leading, *field)));
        let mut served: Vec<u8> = first.iter().copied().chain(rest).flat_map(|field| field.bytes()).collect();
        served.extend_from_slice(b"\r\n");
        let header_length = served.len();
        served.extend_from_slice(&body);
        let mut sent = fields.concat().into_bytes();
        sent.extend_from_slice(b"\r\n");
        sent.extend_from_slice(&body);
        Self { sent, served, header_length, handwritten: false }
    }

    /// A record written with an editor (`sent`) and its message (`served`).
    pub(crate) fn handwritten(attempt: usize, hostname: &str) -> Self {
        let header = "From: <ag@iit.edu>\nTo: <gb@iit.edu>\nSubject: By hand\n";
        let rest = format!("{ATTEMPT_FIELD}{attempt}\n\nHello\n");
        let sent = format!("{header}Received: 2026-11-22 : 19 : 15\n{rest}.\n");
        let served = format!("Received: by {hostname}; Sun, 22 Nov 2026 19:15:00 +0000\n{header}{rest}");
        let served = served.replace('\n', "\r\n").into_bytes();
        let header_length = served.len() - "Hello\r\n".len();
        Self { sent: sent.into_bytes(), served, header_length, handwritten: true }
    }

    /// The attempt number in the header of a message.
    pub(crate) fn attempt_in(text: &[u8]) -> Option<usize> {
        let at = text.windows(ATTEMPT_FIELD.len()).position(|window| window == ATTEMPT_FIELD.as_bytes())?
            + ATTEMPT_FIELD.len();
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&text[at..at + digits]).ok()?.parse().ok()
    }

    /// Removes the trace fields that the server added to the message.
    pub(crate) fn strip_trace<'a>(&self, text: &'a [u8]) -> Result<&'a [u8], &'static str> {
        if self.handwritten {
            return Ok(text);
        }
        let rest = text
            .strip_prefix(b"Return-Path: <ag@iit.edu>\r\nReceived: from ")
            .ok_or("no trace fields at the start")?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or("an unterminated trace field")?;
        Ok(&rest[end + 2..])
    }
}

fn body(random: &mut Random) -> Vec<u8> {
    let octets = match random.below(100) {
        0 => 1_200_000,
        1..=4 => random.below(100_000),
        5..=20 => random.below(8_000),
        21..=30 => 0,
        _ => random.below(400),
    };
    let mut body = Vec::with_capacity(octets + 2_000);
    while body.len() < octets {
        let starts: [&[u8]; 7] = [b"", b".", b"..", b"+OK ", b"#", "\u{e9}".as_bytes(), b"From: <x@y.z>"];
        body.extend_from_slice(starts[random.below(starts.len())]);
        let length = *random.pick(&[0, 1, 60, 60, 76, 2_000]);
        body.resize(body.len() + length, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body
}
