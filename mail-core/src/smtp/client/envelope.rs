//! The envelope parameters of a message.

use super::{Envelope, MissingCapability};
use crate::message::address::{ForwardPath, ReversePath};
use crate::message::header;
use crate::smtp::extension::Extensions;
use crate::smtp::parameter::Recipient;

impl Envelope {
    /// An envelope whose SIZE (RFC 1870), 8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531) parameters are derived from the
    /// message, without parameters of DSN and REQUIRETLS. `message` may have any line ends; the size counts each as CRLF, as [`Submission::body`] sends them.
    ///
    /// [`Submission::body`]: super::Submission::body
    #[must_use]
    pub fn for_message(reverse_path: ReversePath, recipients: Vec<ForwardPath>, message: &[u8]) -> Self {
        let (header, _) = header::split(message);
        Self {
            reverse_path,
            recipients: recipients.into_iter().map(Recipient::from).collect(),
            size: Some(octets_with_crlf(message)),
            eight_bit: !message.is_ascii(),
            // A header in a legacy 8-bit encoding is not UTF-8 (RFC 6532) and needs only 8BITMIME.
            utf8: !header.is_ascii() && str::from_utf8(header).is_ok(),
            ret: None,
            envid: None,
            require_tls: false,
        }
    }

    /// A capability that the message needs and a server with these extensions lacks.
    #[must_use]
    pub fn missing_capability(&self, extensions: &Extensions) -> Option<MissingCapability> {
        let size_max = extensions.size.filter(|size_max| *size_max > 0);
        match (self.size, size_max) {
            (Some(size), Some(size_max)) if size > size_max => Some(MissingCapability::Size(size_max)),
            _ if self.needs_utf8() && !extensions.utf8 => Some(MissingCapability::SmtpUtf8),
            _ if self.eight_bit && !extensions.eight_bit_mime => Some(MissingCapability::EightBitMime),
            _ if self.require_tls && !extensions.require_tls => Some(MissingCapability::RequireTls),
            _ => None,
        }
    }

    pub(super) fn needs_utf8(&self) -> bool {
        let ascii =
            self.reverse_path.is_ascii() && self.recipients.iter().all(|recipient| recipient.path.is_ascii());
        self.utf8 || !ascii
    }
}

/// Octets of a message with CRLF at the end of every line, including the last (RFC 1870 section 5).
fn octets_with_crlf(message: &[u8]) -> u64 {
    let mut octets = message.len() as u64;
    let mut previous = 0;
    for &byte in message {
        // A bare LF lacks its CR, a bare CR its LF.
        octets += u64::from((byte == b'\n') != (previous == b'\r'));
        previous = byte;
    }
    octets
        + match message.last() {
            None | Some(b'\n') => 0,
            Some(b'\r') => 1,
            Some(_) => 2,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::LineNormaliser;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn size_equals_the_normalised_message() {
        for text in ["", "a", "a\n", "a\r\n", "a\r", "\n\n", "\r\r", "a\r\rb\n\nc\r\n\r\n", "\n", "\r\n"] {
            let mut sent = Vec::new();
            LineNormaliser::default().normalise(text.as_bytes(), &mut sent);
            if !sent.is_empty() && !sent.ends_with(b"\r\n") {
                sent.extend_from_slice(b"\r\n");
            }
            assert_eq!(octets_with_crlf(text.as_bytes()), sent.len() as u64, "{text:?}");
        }
    }

    #[test]
    fn utf8_header_needs_smtputf8_and_other_eight_bit_data_only_8bitmime() {
        for (message, eight_bit, utf8) in [
            (&b"Subject: x\r\n\r\ntext\r\n"[..], false, false),
            (b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n", true, false),
            (b"Subject: caf\xc3\xa9\r\n\r\ntext\r\n", true, true),
            (b"Subject: caf\xe9\r\n\r\ntext\r\n", true, false),
        ] {
            let envelope = Envelope::for_message(ReversePath::Null, Vec::new(), message);
            assert_eq!((envelope.eight_bit, envelope.utf8), (eight_bit, utf8), "{}", message.escape_ascii());
            assert_eq!(envelope.size, Some(message.len() as u64));
        }
    }
}
