//! Defects of messages that other servers reject or that recipients notice: RFC 5321 section 4.5.3.1, RFC 5322.
//!
//! The message is examined as it arrives; only its header is kept in memory.

use bytes::Bytes;
use mail_core::mailbox::HEADER_SEARCH_OCTETS_MAX;
use mail_core::message::address::Address;
use mail_core::message::header::{self, HeaderBounds, HeaderScanner};
use mail_core::message::mime::{self, Context};
use mail_core::message::platform::Platform;
use memchr::memchr;

use crate::record::Finding;

/// RFC 5322 section 2.1.1, without the CRLF.
const LINE_OCTETS_MAX: usize = 998;
/// Fields that occur at most once (RFC 5322 section 3.6).
const UNIQUE_FIELDS: [&str; 11] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
];

/// Parameters of MAIL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) eight_bit: bool,
    pub(crate) utf8: bool,
}

/// Examines one message.
#[derive(Debug)]
pub(crate) struct Linter {
    header: Vec<u8>,
    scanner: HeaderScanner,
    bounds: Option<HeaderBounds>,
    /// Number of the current line.
    line: u64,
    line_octets: usize,
    last: Option<u8>,
    /// First lines with these defects.
    bare_lf: Option<u64>,
    bare_cr: Option<u64>,
    nul: Option<u64>,
    long: Option<u64>,
    /// The last line with octets over 127.
    eight_bit: Option<u64>,
}

impl Default for Linter {
    fn default() -> Self {
        Self {
            header: Vec::new(),
            scanner: HeaderScanner::default(),
            bounds: None,
            line: 1,
            line_octets: 0,
            last: None,
            bare_lf: None,
            bare_cr: None,
            nul: None,
            long: None,
            eight_bit: None,
        }
    }
}

impl Linter {
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        if self.bounds.is_none() && self.header.len() <= HEADER_SEARCH_OCTETS_MAX {
            self.bounds = self.scanner.push(chunk);
            self.header.extend_from_slice(chunk);
        }
        let mut rest = &chunk[..];
        while let Some(at) = memchr(b'\n', rest) {
            self.text(&rest[..at]);
            if self.last == Some(b'\r') {
                self.line_octets -= 1;
            } else {
                self.bare_lf.get_or_insert(self.line);
            }
            self.end_line();
            rest = &rest[at + 1..];
        }
        self.text(rest);
    }

    /// Part of a line.
    fn text(&mut self, text: &[u8]) {
        let Some(last) = text.last() else { return };
        let ends_with_cr = *last == b'\r';
        let inner = if ends_with_cr { &text[..text.len() - 1] } else { text };
        if self.last == Some(b'\r') || memchr(b'\r', inner).is_some() {
            self.bare_cr.get_or_insert(self.line);
        }
        if memchr(0, text).is_some() {
            self.nul.get_or_insert(self.line);
        }
        if !text.is_ascii() {
            self.eight_bit = Some(self.line);
        }
        self.line_octets += text.len();
        self.last = Some(*last);
    }

    fn end_line(&mut self) {
        if self.line_octets > LINE_OCTETS_MAX {
            self.long.get_or_insert(self.line);
        }
        self.line += 1;
        self.line_octets = 0;
        self.last = None;
    }

    pub(crate) fn finish(mut self, declared: Declared) -> Vec<Finding> {
        if self.line_octets > LINE_OCTETS_MAX {
            self.long.get_or_insert(self.line);
        }
        let HeaderBounds { header_end, .. } = self.bounds.unwrap_or_else(|| self.scanner.finish());
        let header = &self.header[..header_end.min(self.header.len())];
        let mut findings = self.line_findings();
        check_fields(header, &mut findings);
        check_eight_bit(header, self.eight_bit, declared, &mut findings);
        findings
    }

    fn line_findings(&self) -> Vec<Finding> {
        [
            (self.bare_lf, "bare-lf", "A line ends with LF instead of CRLF (RFC 5321 section 2.3.8)"),
            (self.bare_cr, "bare-cr", "A CR is not followed by LF (RFC 5321 section 2.3.8)"),
            (self.nul, "nul", "The message contains a NUL octet (RFC 5322 section 2.2)"),
            (self.long, "long-line", "A line has more than 998 octets (RFC 5322 section 2.1.1)"),
        ]
        .into_iter()
        .filter_map(|(line, rule, text)| line.map(|line| Finding { line: Some(line), ..error(rule, text) }))
        .collect()
    }
}

fn error(rule: &str, text: impl Into<String>) -> Finding {
    Finding { rule: rule.to_owned(), is_error: true, text: text.into(), line: None }
}

fn warning(rule: &str, text: impl Into<String>) -> Finding {
    Finding { is_error: false, ..error(rule, text) }
}

fn check_fields(header: &[u8], findings: &mut Vec<Finding>) {
    let fields: Vec<_> = header::fields(header).collect();
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| field.value);
    if let Some(field) = fields.iter().find(|field| field.name.is_none()) {
        let line = String::from_utf8_lossy(&field.raw[..field.raw.len().min(60)]).trim().to_owned();
        findings
            .push(error("malformed-field", format!("`{line}` is not a header field (RFC 5322 section 2.2)")));
    }
    for name in UNIQUE_FIELDS {
        if fields.iter().filter(|field| field.is(name)).count() > 1 {
            findings.push(error(
                "repeated-field",
                format!("{name} occurs more than once (RFC 5322 section 3.6)"),
            ));
        }
    }
    match value("Date") {
        None => findings.push(error("missing-date", "Date is missing (RFC 5322 section 3.6)")),
        Some(date) if mime::date(&String::from_utf8_lossy(date)).is_none() => {
            findings.push(error("invalid-date", "Date is not a date (RFC 5322 section 3.3)"));
        }
        Some(_) => {}
    }
    check_from(value("From"), findings);
    if value("Message-ID").is_none() {
        findings.push(warning("missing-message-id", "Message-ID is missing (RFC 5322 section 3.6.4)"));
    }
    if ["To", "Cc", "Bcc"].iter().all(|name| value(name).is_none()) {
        findings.push(warning(
            "missing-recipient",
            "To, Cc and Bcc are missing; spam filters penalize such messages",
        ));
    }
    if value("Bcc").is_some_and(|bcc| !bcc.trim_ascii().is_empty()) {
        findings.push(warning("visible-bcc", "Bcc is in the message, so every recipient sees it"));
    }
    if value("Subject").is_none() {
        findings.push(warning("missing-subject", "Subject is missing"));
    }
    if value("Content-Type").is_some() && value("MIME-Version").is_none() {
        findings
            .push(warning("missing-mime-version", "Content-Type needs MIME-Version (RFC 2045 section 4)"));
    }
}

fn check_from(value: Option<&[u8]>, findings: &mut Vec<Finding>) {
    let Some(value) = value else {
        return findings.push(error("missing-from", "From is missing (RFC 5322 section 3.6)"));
    };
    let context = Context { charset: None, decode: Platform::NONE.decode_charset };
    let addresses = mime::addresses(value, &context);
    if addresses.is_empty() {
        findings.push(error("missing-from", "From has no address (RFC 5322 section 3.6.2)"));
    }
    for mailbox in addresses {
        let text =
            if mailbox.address.is_empty() { mailbox.name.unwrap_or_default() } else { mailbox.address };
        if !text.contains('@') {
            findings.push(error(
                "from-without-domain",
                format!("From has the address `{text}`, which has no domain"),
            ));
        } else if let Err(reason) = Address::parse(&text) {
            findings.push(error("invalid-from", format!("From has the address `{text}`: {reason}")));
        }
    }
}

fn check_eight_bit(header: &[u8], line: Option<u64>, declared: Declared, findings: &mut Vec<Finding>) {
    if !header.is_ascii() && !declared.utf8 {
        findings.push(error(
            "eight-bit-header",
            "The header has octets over 127, but MAIL did not declare SMTPUTF8 (RFC 6532)",
        ));
    }
    let header_lines = memchr::memchr_iter(b'\n', header).count() as u64;
    if let Some(line) = line.filter(|line| *line > header_lines)
        && !declared.eight_bit
        && !declared.utf8
    {
        let text = "The body has octets over 127, but MAIL did not declare BODY=8BITMIME (RFC 6152)";
        findings.push(Finding { line: Some(line), ..warning("eight-bit-body", text) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nFrom: A <a@a.example>\r\nTo: b@b.example\r\n\
        Message-ID: <1@a.example>\r\nSubject: s\r\n\r\nbody\r\n";

    fn rules(message: &[u8], declared: Declared, split: usize) -> Vec<(String, bool, Option<u64>)> {
        let mut linter = Linter::default();
        for chunk in message.chunks(split) {
            linter.push(&Bytes::copy_from_slice(chunk));
        }
        linter
            .finish(declared)
            .into_iter()
            .map(|finding| (finding.rule, finding.is_error, finding.line))
            .collect()
    }

    /// Findings are independent of how the message is split.
    #[track_caller]
    fn assert_rules(message: &[u8], declared: Declared, expected: &[(&str, bool, Option<u64>)]) {
        let expected: Vec<_> =
            expected.iter().map(|(rule, is_error, line)| ((*rule).to_owned(), *is_error, *line)).collect();
        for split in [1, 2, 7, message.len()] {
            assert_eq!(rules(message, declared, split), expected, "{}", message.escape_ascii());
        }
    }

    const PLAIN: Declared = Declared { eight_bit: false, utf8: false };

    #[test]
    fn ordinary_message_has_no_finding() {
        assert_rules(GOOD.as_bytes(), PLAIN, &[]);
    }

    #[test]
    fn line_defects_are_found_with_their_line() {
        for (from, to, rule) in [
            ("body\r\n", "body\nx\r\n", "bare-lf"),
            ("body\r\n", "bo\rdy\r\n", "bare-cr"),
            ("body\r\n", "body\r\r\n", "bare-cr"),
            ("body\r\n", "bo\0dy\r\n", "nul"),
            ("body\r\n", &"x".repeat(999), "long-line"),
        ] {
            assert_rules(GOOD.replace(from, to).as_bytes(), PLAIN, &[(rule, true, Some(7))]);
        }
        let longest = format!("{}\r\n", "x".repeat(998));
        assert_rules(GOOD.replace("body\r\n", &longest).as_bytes(), PLAIN, &[]);
    }

    #[test]
    fn field_defects_are_found() {
        for (from, to, rule, is_error) in [
            ("Date: Sun, 22 Nov 2026 20:15:06 +0100\r\n", "", "missing-date", true),
            ("Sun, 22 Nov 2026 20:15:06 +0100", "yesterday", "invalid-date", true),
            ("From: A <a@a.example>\r\n", "", "missing-from", true),
            ("A <a@a.example>", "", "missing-from", true),
            ("A <a@a.example>", "root", "from-without-domain", true),
            ("A <a@a.example>", "<a@a_b>", "invalid-from", true),
            ("To: b@b.example\r\n", "To: b@b.example\r\nTo: c@b.example\r\n", "repeated-field", true),
            ("Subject: s\r\n", "Subject: s\r\nno field\r\n", "malformed-field", true),
            ("Message-ID: <1@a.example>\r\n", "", "missing-message-id", false),
            ("To: b@b.example\r\n", "", "missing-recipient", false),
            ("Subject: s\r\n", "", "missing-subject", false),
            ("Subject: s\r\n", "Subject: s\r\nBcc: c@c.example\r\n", "visible-bcc", false),
            ("Subject: s\r\n", "Subject: s\r\nContent-Type: text/html\r\n", "missing-mime-version", false),
        ] {
            assert_rules(GOOD.replace(from, to).as_bytes(), PLAIN, &[(rule, is_error, None)]);
        }
    }

    #[test]
    fn octets_over_127_need_the_declaration_of_mail() {
        let header = GOOD.replace("Subject: s", "Subject: \u{e9}");
        assert_rules(header.as_bytes(), PLAIN, &[("eight-bit-header", true, None)]);
        assert_rules(header.as_bytes(), Declared { utf8: true, ..PLAIN }, &[]);
        let body = GOOD.replace("body", "\u{e9}");
        assert_rules(body.as_bytes(), PLAIN, &[("eight-bit-body", false, Some(7))]);
        assert_rules(body.as_bytes(), Declared { eight_bit: true, ..PLAIN }, &[]);
    }

    #[test]
    fn empty_message_has_findings() {
        assert_eq!(rules(b"", PLAIN, 1).len(), 5);
    }
}
