//! Any input: no panic, output in proportion to the input, time linear in the input.

use std::time::Duration;

use mail_core::message::parsed::{ParsedMessage, Summary};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use super::parse_bytes;

/// Parts of malformed mails. Repeated, each is a way to make a careless parser slow.
const FRAGMENTS: &[&str] = &[
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/alternative; boundary=\"b b\"\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: text/html\r\n\r\n<meta charset=utf-7><",
    "Content-Type: text/plain; format=flowed\r\n\r\n> a \r\n",
    "Content-Type: application/x; name*0*=utf-8''%41; name*1=b; name=",
    "Content-Disposition: attachment; filename=\"a",
    "Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=41=\r\n=",
    "Content-Transfer-Encoding: x-uuencode\r\n\r\n",
    "begin 644 x\r\n#0V%T\r\nM\r\n",
    "\r\n--b\r\n",
    "\r\n--b--\r\n",
    "\r\n--b b\r\n\r\n",
    "\r\n\r\n",
    "\r\n ",
    "Subject: ",
    "From: ",
    "References: <a@b>",
    "=?utf-8?q?=41?= ",
    "=?utf-8?b?QQ==?=",
    "=?a?b?",
    "Received: from a by b; ",
    "Date: Sun, 22 Nov 2026 19:15:06 +0000",
    "(",
    "\"",
    "<",
    "\\",
    ";",
    ",",
    "a",
];

/// Bytes of texts and attachments.
fn output(parsed: &ParsedMessage) -> usize {
    let texts =
        parsed.subject.len() + parsed.plain_text().len() + parsed.html.as_ref().map_or(0, String::len);
    let files = parsed.attachments.iter().map(|file| file.name.len() + file.bytes.len());
    texts + files.sum::<usize>()
}

/// The CPU time of this thread, which other load does not change: the fastest of three attempts.
fn time(message: &[u8]) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it is never negative");
    let attempts = (0..3).map(|_| {
        let start = now();
        assert!(output(&parse_bytes(message)) <= 64 * message.len());
        now() - start
    });
    attempts.min().expect("there are attempts")
}

#[test]
fn parsing_time_is_linear() {
    const SMALL: usize = 8 << 10;
    const GROWTH: usize = 16;
    for fragment in FRAGMENTS {
        for head in ["", "From: ", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"] {
            let small = [head, &fragment.repeat(SMALL / fragment.len())].concat();
            let large = [head, &fragment.repeat(GROWTH * (SMALL / fragment.len()))].concat();
            let limit = time(small.as_bytes()).max(Duration::from_millis(1)) * (GROWTH * 5) as u32;
            // Quadratic time is 256 times as long, linear time 16 times.
            assert!(time(large.as_bytes()) < limit, "{head:?} {fragment:?}: more than {limit:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_structure_has_bounded_output(
        parts in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(FRAGMENTS).prop_map(|text| text.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..16),
            ],
            0..64,
        ),
    ) {
        let message = parts.concat();
        let parsed = parse_bytes(&message);
        prop_assert!(output(&parsed) <= 64 * message.len() + 4_096, "{} of {}", output(&parsed), message.len());
        prop_assert!(parsed.attachments.iter().all(|file| !file.name.is_empty() && !file.name.contains(['/', '\\'])));
        let _ = Summary::parse(&message);
    }
}
