//! The tree of MIME parts.

use mail_core::message::mime::Message;
use mail_core::message::platform::Platform;
use mail_core::message::printable::printable_line;

/// Parts that are listed.
const PARTS_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRow {
    /// 0 for the message itself.
    pub(crate) depth: usize,
    pub(crate) media_type: String,
    pub(crate) file_name: String,
    /// Octets without the transfer encoding; `None` for a part with parts.
    pub(crate) octets: Option<u64>,
}

/// The parts of a message in their order, at most 500.
pub(crate) fn part_rows(message: &[u8], platform: Platform) -> Vec<PartRow> {
    let message = Message::parse(message, platform.decode_charset);
    let parts = message.parts();
    let mut depths: Vec<usize> = Vec::new();
    let mut rows = Vec::new();
    // A parent precedes its parts.
    for part in parts.iter().take(PARTS_MAX) {
        let depth = part.parent().map_or(0, |parent| depths[parent] + 1);
        depths.push(depth);
        rows.push(PartRow {
            depth,
            media_type: printable_line(&part.media_type()).into_owned(),
            file_name: printable_line(&message.file_name(part)).into_owned(),
            octets: (!part.is_multipart()).then(|| part.bytes().len() as u64),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn rows_have_the_depth_and_the_decoded_size_of_their_parts() {
        let message = b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
            --a\r\n\r\nabc\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>\r\n--a--\r\n\
            --m\r\nContent-Type: image/gif; name=x.gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--m--\r\n";
        let rows = part_rows(message, Platform::NONE);
        let described: Vec<_> =
            rows.iter().map(|row| (row.depth, row.media_type.as_str(), row.octets)).collect();
        assert_eq!(
            described,
            [
                (0, "multipart/mixed", None),
                (1, "multipart/alternative", None),
                (2, "text/plain", Some(3)),
                (2, "text/html", Some(3)),
                (1, "image/gif", Some(3)),
            ]
        );
        assert_eq!(rows.last().map(|row| row.file_name.as_str()), Some("x.gif"));
        assert_eq!(part_rows(b"Subject: x\r\n\r\nbody", Platform::NONE).len(), 1);
    }
}
