//! Completion of a submitted message before it leaves the host (RFC 6409 section 8).

use chrono::{DateTime, FixedOffset};

use super::date;
use super::header::{Field, fields};
use super::id::MessageId;

/// Appends the fields of a header to `out`: without Bcc and Resent-Bcc, and with Date and Message-ID if they are missing. Lines that are
/// not fields are left out, because some programs end the header there, so that a signature would not cover the fields after them.
///
/// `header` has CRLF line ends and does not include the empty line.
pub fn complete_header(
    header: &[u8],
    date: &DateTime<FixedOffset>,
    message_id: &MessageId,
    out: &mut Vec<u8>,
) {
    let (mut has_date, mut has_message_id) = (false, false);
    for field in fields(header) {
        has_date |= field.is("Date");
        has_message_id |= field.is("Message-ID");
        if field.name.is_some() && !is_bcc(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    if !has_date {
        out.extend_from_slice(format!("Date: {}\r\n", date::rfc5322(date)).as_bytes());
    }
    if !has_message_id {
        out.extend_from_slice(format!("Message-ID: {message_id}\r\n").as_bytes());
    }
}

/// The fields that a submission server removes.
pub const BCC_FIELDS: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// Appends the fields of a header to `out`, without those with one of the names.
pub fn remove_fields(names: &[&str], header: &[u8], out: &mut Vec<u8>) {
    for field in fields(header).filter(|field| !names.iter().any(|name| field.is(name))) {
        out.extend_from_slice(field.raw);
    }
}

fn is_bcc(field: &Field<'_>) -> bool {
    BCC_FIELDS.iter().any(|name| field.is(name))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn completed(header: &str) -> String {
        let date = FixedOffset::east_opt(0).unwrap().with_ymd_and_hms(2026, 11, 29, 17, 11, 49).unwrap();
        let mut out = Vec::new();
        complete_header(header.as_bytes(), &date, &MessageId::parse("1@iitkgp.edu").unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn missing_fields_are_added_and_bcc_is_removed() {
        assert_eq!(
            completed("From: <a@b>\r\nBCC: c@d,\r\n e@f\r\nResent-Bcc: g@h\r\nSubject: x\r\n"),
            "From: <a@b>\r\nSubject: x\r\nDate: Sun, 29 Nov 2026 17:11:49 +0000\r\nMessage-ID: <1@iitkgp.edu>\r\n"
        );
    }

    #[test]
    fn complete_header_is_unchanged() {
        let header = "message-id: <x@y>\r\nDATE: yesterday\r\nSubject: x\r\n folded\r\n";
        assert_eq!(completed(header), header);
        assert_eq!(completed(&header.replace("Subject", "not a field\r\n folded\r\nSubject")), header);
    }
}
