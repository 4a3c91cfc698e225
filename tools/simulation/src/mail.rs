//! Mails to send, and what they must look like when they are read.

use crate::random::Random;

/// A message as it is sent and as it is to be served behind the trace fields.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// What goes over the wire, its dots not stuffed.
    pub(crate) sent: Vec<u8>,
    /// From, To and Subject first.
    pub(crate) served: Vec<u8>,
    /// Of `served`, the header and the blank line.
    pub(crate) header_length: usize,
    /// The whole of it, for a record that a person wrote.
    pub(crate) by_hand: bool,
}

/// In every message stands the number of the attempt to send it.
pub(crate) const TOKEN: &str = "X-Attempt: ";

/// The guide's three, in its order.
const OWN: [&str; 3] = ["From: ", "To: ", "Subject: "];

impl Mail {
    /// Any message.
    pub(crate) fn any(attempt: usize, random: &mut Random) -> Self {
        let mut fields = vec![format!("{TOKEN}{attempt}\r\n")];
        for (name, value) in OWN.iter().zip(["<ag@iit.edu>", "<gb@iit.edu>", "News of the day"]) {
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
        let own = |name: &&str| fields.iter().find(|field| field.starts_with(*name));
        let first: Vec<&String> = OWN.iter().filter_map(own).collect();
        let rest = fields.iter().filter(|field| !first.iter().any(|own| std::ptr::eq(*own, *field)));
        let mut served: Vec<u8> = first.iter().copied().chain(rest).flat_map(|field| field.bytes()).collect();
        served.extend_from_slice(b"\r\n");
        let header_length = served.len();
        served.extend_from_slice(&body);
        let mut sent = fields.concat().into_bytes();
        sent.extend_from_slice(b"\r\n");
        sent.extend_from_slice(&body);
        Self { sent, served, header_length, by_hand: false }
    }

    /// What a person writes into the file (`sent`) and how it is served.
    pub(crate) fn by_hand(attempt: usize, hostname: &str) -> Self {
        let header = "From: <ag@iit.edu>\nTo: <gb@iit.edu>\nSubject: By hand\n";
        let rest = format!("{TOKEN}{attempt}\n\nHello\n");
        let sent = format!("{header}Received: 2026-11-22 : 19 : 15\n{rest}.\n");
        let served = format!("Received: by {hostname}; Sun, 22 Nov 2026 19:15:00 +0000\n{header}{rest}");
        let served = served.replace('\n', "\r\n").into_bytes();
        let header_length = served.len() - "Hello\r\n".len();
        Self { sent: sent.into_bytes(), served, header_length, by_hand: true }
    }

    /// The number in the header of a message.
    pub(crate) fn attempt_in(text: &[u8]) -> Option<usize> {
        let at = text.windows(TOKEN.len()).position(|window| window == TOKEN.as_bytes())? + TOKEN.len();
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&text[at..at + digits]).ok()?.parse().ok()
    }

    /// What of a served message must be equal: all behind the trace fields that a server has put on top.
    pub(crate) fn behind_trace<'a>(&self, text: &'a [u8]) -> Result<&'a [u8], &'static str> {
        if self.by_hand {
            return Ok(text);
        }
        let rest = text
            .strip_prefix(b"Return-Path: <ag@iit.edu>\r\nReceived: from ")
            .ok_or("no trace fields on top")?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or("a trace field without an end")?;
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
