//! File names of attachments: safe to show and to save, and never empty.

use super::limits::FILE_NAME_CHARS_MAX;
use crate::message::printable::{is_bidi_control, is_line_separator};

/// Cleans a name from a message. The folders of a path are removed; slashes in other names, control characters and
/// bidirectional controls become `_`. `None` if nothing is left.
pub(super) fn clean(name: &str) -> Option<String> {
    let name = name.trim();
    let is_path = name.starts_with(['/', '.', '~']) || name.contains('\\') || name.contains("/../");
    let name = if is_path { name.rsplit(['/', '\\']).next().unwrap_or_default() } else { name };
    let is_replaced =
        |c: char| c.is_control() || is_line_separator(c) || is_bidi_control(c) || matches!(c, '/' | '\\');
    let name = name.replace(is_replaced, "_");
    let name = name.trim().trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    (!name.is_empty()).then(|| shorten(name))
}

/// A name for a part without one, with the extension of its media type.
pub(super) fn default_name(media_type: &str) -> String {
    let stem = match media_type {
        "message/rfc822" | "message/global" => "message",
        "message/delivery-status" | "message/global-delivery-status" => "delivery-status",
        "message/disposition-notification" | "message/global-disposition-notification" => {
            "disposition-notification"
        }
        "text/rfc822-headers" | "message/global-headers" => "headers",
        "application/ms-tnef" | "application/vnd.ms-tnef" => "winmail",
        "text/calendar" => "invitation",
        _ => "attachment",
    };
    extension(media_type).map_or_else(|| stem.to_owned(), |extension| format!("{stem}.{extension}"))
}

fn extension(media_type: &str) -> Option<&'static str> {
    let (_, extension) = EXTENSIONS.iter().find(|(own, _)| *own == media_type)?;
    Some(extension)
}

/// Truncates a long name, but not its extension.
fn shorten(name: &str) -> String {
    let count = name.chars().count();
    if count <= FILE_NAME_CHARS_MAX {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if extension.is_empty() || extension.chars().count() > 10 {
        return name.chars().take(FILE_NAME_CHARS_MAX).collect();
    }
    let stem = FILE_NAME_CHARS_MAX - extension.chars().count() - 1;
    format!("{}.{extension}", name.chars().take(stem).collect::<String>())
}

/// Media types of the IANA registry that mail carries, with their usual extensions.
const EXTENSIONS: &[(&str, &str)] = &[
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/ms-tnef", "dat"),
    ("application/msword", "doc"),
    ("application/octet-stream", "bin"),
    ("application/pdf", "pdf"),
    ("application/pgp-encrypted", "asc"),
    ("application/pgp-keys", "asc"),
    ("application/pgp-signature", "asc"),
    ("application/pkcs7-mime", "p7m"),
    ("application/pkcs7-signature", "p7s"),
    ("application/postscript", "ps"),
    ("application/rtf", "rtf"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.ms-tnef", "dat"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/x-gzip", "gz"),
    ("application/x-pkcs7-mime", "p7m"),
    ("application/x-pkcs7-signature", "p7s"),
    ("application/x-tar", "tar"),
    ("application/x-zip-compressed", "zip"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/pjpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif"),
    ("image/webp", "webp"),
    ("image/x-png", "png"),
    ("message/delivery-status", "txt"),
    ("message/disposition-notification", "txt"),
    ("message/global", "eml"),
    ("message/global-delivery-status", "txt"),
    ("message/global-disposition-notification", "txt"),
    ("message/global-headers", "txt"),
    ("message/rfc822", "eml"),
    ("text/calendar", "ics"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/directory", "vcf"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/rfc822-headers", "txt"),
    ("text/rtf", "rtf"),
    ("text/vcard", "vcf"),
    ("text/x-diff", "diff"),
    ("text/x-patch", "patch"),
    ("text/x-vcard", "vcf"),
    ("text/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpg"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_cleaned() {
        for (name, expected) in [
            ("a b.pdf", "a b.pdf"),
            ("GZ 4/15 Plan 2/2.pdf", "GZ 4_15 Plan 2_2.pdf"),
            ("..\\..\\.evil\\n.txt", "n.txt"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            (".profile", "profile"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("a\r\nb\u{7}.txt", "a__b_.txt"),
        ] {
            assert_eq!(clean(name).as_deref(), Some(expected), "{name:?}");
        }
        for name in ["", " ", "..", "a\\", "/"] {
            assert_eq!(clean(name), None, "{name:?}");
        }
        let long = clean(&format!("{}.pdf", "é".repeat(300))).unwrap();
        assert!(long.ends_with("é.pdf") && long.chars().count() == FILE_NAME_CHARS_MAX);
    }

    #[test]
    fn unnamed_parts_get_an_extension() {
        assert_eq!(default_name("application/msword"), "attachment.doc");
        assert_eq!(default_name("message/rfc822"), "message.eml");
        assert_eq!(default_name("text/calendar"), "invitation.ics");
        assert_eq!(default_name("application/ms-tnef"), "winmail.dat");
        assert_eq!(default_name("x/y"), "attachment");
        assert!(EXTENSIONS.is_sorted());
    }

    proptest! {
        #[test]
        fn cleaning_a_clean_name_changes_nothing(name in "\\PC{0,40}|[a-z./\\\\~\u{202e}\n ]{0,20}") {
            if let Some(name) = clean(&name) {
                let forbidden = ['/', '\\', '\n', '\u{202e}'];
                prop_assert!(!name.contains(forbidden) && !name.starts_with('.'));
                prop_assert_eq!(clean(&name), Some(name.clone()));
            }
        }
    }
}
