//! Selection of a charset, and its conversion to Unicode.
//!
//! UTF-8, windows-1252 and UTF-7 (RFC 2152) are built in. All other tables belong to the platform: `encoding_rs`
//! natively, `TextDecoder` in the page. Labels follow the WHATWG Encoding Standard, which treats ISO-8859-1 as
//! windows-1252; [`canonical`] adds the aliases that mail programs use.

use std::borrow::Cow;

use base64::Engine as _;

use super::limits::META_BYTES_MAX;
use crate::message::platform::CharsetDecoder;

/// Decodes bytes in their declared charset. If none is declared or it is unknown, [`detect`] selects one.
pub(super) fn decode(label: Option<&[u8]>, bytes: Cow<'_, [u8]>, platform: CharsetDecoder) -> String {
    let label = label.map(canonical).unwrap_or_default();
    match label.as_str() {
        "" => detect(bytes),
        "utf-8" => utf8(bytes),
        "windows-1252" => windows_1252(&bytes),
        "utf-7" => utf7(&bytes),
        "iso-2022-jp" => platform(&label, &without_empty_runs(&bytes)).unwrap_or_else(|| detect(bytes)),
        other => platform(other, &bytes).unwrap_or_else(|| detect(bytes)),
    }
}

/// Decodes an HTML text in its declared charset, or else in that of its `<meta>` element.
pub(super) fn decode_html(label: Option<&[u8]>, bytes: Cow<'_, [u8]>, platform: CharsetDecoder) -> String {
    let declared = label.map(canonical).filter(|label| !label.is_empty());
    let label = declared.or_else(|| meta_charset(&bytes));
    decode(label.as_ref().map(String::as_bytes), bytes, platform)
}

/// Decodes raw octets of a header field, which RFC 5322 does not allow: as UTF-8, in the charset of the message, or as
/// windows-1252.
pub(super) fn decode_raw(bytes: &[u8], message_charset: Option<&[u8]>, platform: CharsetDecoder) -> String {
    let has_escapes = || bytes.contains(&b'\x1b');
    let is_7bit = |label: &[u8]| label.len() > 8 && label[..8].eq_ignore_ascii_case(b"iso-2022");
    match (str::from_utf8(bytes), message_charset) {
        (Ok(_), Some(label)) if is_7bit(label) && has_escapes() => {
            decode(Some(label), bytes.into(), platform)
        }
        (Ok(text), _) => text.to_owned(),
        (Err(_), Some(label)) if canonical(label) != "utf-8" => decode(Some(label), bytes.into(), platform),
        (Err(_), _) => windows_1252(bytes),
    }
}

/// Removes an ISO-2022-JP escape sequence directly followed by another, as between joined encoded words: decoders treat
/// it as an error.
fn without_empty_runs(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let is_empty_run = matches!(rest, [b'\x1b', b'(' | b'$', _, b'\x1b', ..]);
        if is_empty_run {
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// UTF-8 if the bytes are valid, else windows-1252.
fn detect(bytes: Cow<'_, [u8]>) -> String {
    if str::from_utf8(&bytes).is_ok() { utf8(bytes) } else { windows_1252(&bytes) }
}

/// The label of the Encoding Standard; empty for US-ASCII, because such text is often not ASCII, and for labels that
/// are not charsets.
fn canonical(label: &[u8]) -> String {
    let is_end = |byte: u8| matches!(byte, b' ' | b'\t' | b'(' | b'*' | b';' | b',');
    let label = label.trim_ascii();
    let label = &label[..label.iter().position(|byte| is_end(*byte)).unwrap_or(label.len())];
    let label: String = label
        .iter()
        .filter(|byte| byte.is_ascii_graphic() && !b"\"'<>".contains(byte))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    if let Some(page) = code_page(&label) {
        return page;
    }
    match label.as_str() {
        "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso646-us" | "iso-ir-6" | "unknown-8bit" | "x-unknown"
        | "unknown" | "8bit" | "default" | "none" => "",
        "utf8" | "utf-8" | "unicode-1-1-utf-8" | "x-utf-8" | "utf-8-mac" => "utf-8",
        "utf7" | "utf-7" | "unicode-1-1-utf-7" | "x-unicode-2-0-utf-7" => "utf-7",
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "iso88591" | "8859-1" | "latin1" | "latin-1" | "l1"
        | "cp819" | "ibm819" | "x-cp1252" | "x-ansi" | "ansi" => "windows-1252",
        "ks_c_5601" | "ks_c_5601_1987" | "ks-c-5601-1987" | "ksc_5601_1987" | "uhc" | "euckr"
        | "x-euc-kr" => "euc-kr",
        "shift-jis" | "sjis" | "x-shift-jis" | "windows-31j" => "shift_jis",
        "eucjp" | "x-eucjp" | "ujis" => "euc-jp",
        "iso-2022-jp-1" | "iso-2022-jp-2" | "iso-2022-jp-3" | "iso-2022-jp-ms" | "cp50220" | "cp50221" => {
            "iso-2022-jp"
        }
        "gb_2312" | "gb2312-80" | "gb-2312" | "euc-cn" | "euccn" | "x-euc-cn" | "cn-gb" => "gbk",
        "big5hkscs" | "big-5" | "x-big5" | "cn-big5" => "big5",
        "tis620" => "windows-874",
        "koi8" | "koi" | "koi8r" => "koi8-r",
        "mac" | "macroman" | "mac-roman" | "x-macroman" => "macintosh",
        _ => return label,
    }
    .to_owned()
}

/// The label for `cp949`, `ms949`, `windows949`, `win-1251` and the like.
fn code_page(label: &str) -> Option<String> {
    let digits = label.trim_start_matches(|c: char| !c.is_ascii_digit());
    let prefix = label[..label.len() - digits.len()].trim_end_matches(['-', '_']);
    if !matches!(prefix, "cp" | "ms" | "win" | "windows" | "x-windows" | "x-ms-cp" | "x-cp" | "ansi" | "") {
        return None;
    }
    let label = match digits {
        "932" | "943" => "shift_jis",
        "936" => "gbk",
        "949" => "euc-kr",
        "950" => "big5",
        "874" => "windows-874",
        "866" => "ibm866",
        "65001" => "utf-8",
        "65000" => "utf-7",
        "20866" => "koi8-r",
        "28591" => "windows-1252",
        "1250" | "1251" | "1252" | "1253" | "1254" | "1255" | "1256" | "1257" | "1258" => {
            return Some(format!("windows-{digits}"));
        }
        _ => return None,
    };
    Some(label.to_owned())
}

/// The charset of `<meta charset="...">` or `<meta content="text/html; charset=...">`.
fn meta_charset(html: &[u8]) -> Option<String> {
    let start = html[..html.len().min(META_BYTES_MAX)].to_ascii_lowercase();
    let mut rest = start.as_slice();
    while let Some(at) = memchr::memmem::find(rest, b"<meta") {
        rest = &rest[at + 5..];
        let tag = &rest[..memchr::memchr(b'>', rest)?];
        if let Some(at) = memchr::memmem::find(tag, b"charset") {
            let value = tag[at + 7..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
            let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
            let end = value.iter().position(|byte| b"\"' ;/\t\r\n".contains(byte)).unwrap_or(value.len());
            return Some(canonical(&value[..end])).filter(|label| !label.starts_with("utf-16"));
        }
    }
    None
}

/// UTF-8 without its byte order mark; invalid sequences become U+FFFD.
fn utf8(bytes: Cow<'_, [u8]>) -> String {
    let mut text = match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    };
    if text.starts_with('\u{feff}') {
        text.drain(..3);
    }
    text
}

fn windows_1252(bytes: &[u8]) -> String {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let character = |byte: &u8| match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(*byte),
    };
    bytes.iter().map(character).collect()
}

/// `+` base64 `-` holds UTF-16; `+-` is a plus sign.
fn utf7(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'+', rest) {
        text.push_str(&windows_1252(&rest[..at]));
        rest = &rest[at + 1..];
        let length =
            rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/'));
        let (encoded, tail) = rest.split_at(length.unwrap_or(rest.len()));
        rest = tail.strip_prefix(b"-").unwrap_or(tail);
        if encoded.is_empty() {
            text.push('+');
            continue;
        }
        let octets = UTF7_BASE64.decode(&encoded[..encoded.len() - usize::from(encoded.len() % 4 == 1)]);
        let octets = octets.unwrap_or_default();
        let units = octets.as_chunks().0.iter().map(|unit| u16::from_be_bytes(*unit));
        text.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    text.push_str(&windows_1252(rest));
    text
}

const UTF7_BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A fake platform decoder: a text in any other charset becomes the label.
    fn platform(label: &str, _: &[u8]) -> Option<String> {
        (!label.starts_with("x-")).then(|| label.to_owned())
    }

    fn decoded(label: &str, bytes: &[u8]) -> String {
        decode(Some(label.as_bytes()), bytes.into(), platform)
    }

    #[test]
    fn aliases_have_the_label_of_the_encoding_standard() {
        for (label, expected) in [
            ("cp949", "euc-kr"),
            ("MS949", "euc-kr"),
            ("x-windows-949", "euc-kr"),
            ("ks_c_5601", "euc-kr"),
            ("cp932", "shift_jis"),
            ("Windows-31J", "shift_jis"),
            ("cp-936", "gbk"),
            ("cp1251", "windows-1251"),
            ("\"Win1251\"", "windows-1251"),
            ("koi8-r (Cyrillic)", "koi8-r"),
            ("ISO-2022-JP-MS", "iso-2022-jp"),
            ("iso-8859-15", "iso-8859-15"),
        ] {
            assert_eq!(decoded(label, b"\xff"), expected, "{label}");
        }
    }

    #[test]
    fn undeclared_text_is_utf8_or_windows_1252() {
        for label in ["us-ascii", "unknown-8bit", "", "x-none"] {
            assert_eq!(decoded(label, "é".as_bytes()), "é", "{label}");
            assert_eq!(decoded(label, b"5\x80 \xe9"), "5€ é", "{label}");
        }
        assert_eq!(decoded("ISO-8859-1", b"it\x92s"), "it’s");
        assert_eq!(decoded("utf8", b"\xef\xbb\xbfa\xff"), "a\u{fffd}");
    }

    #[test]
    fn html_names_its_charset() {
        let html = |text: &str| decode_html(None, text.as_bytes().into(), platform);
        for (text, expected) in [
            ("<html><META http-equiv=x content=\"text/html; charset=KOI8-R\">", "koi8-r"),
            ("<meta name=x><meta charset = 'big5'/>", "big5"),
            ("<meta charset>", "<meta charset>"),
            ("charset=big5", "charset=big5"),
        ] {
            assert_eq!(html(text), expected);
        }
        assert_eq!(
            decode_html(Some(b"iso-8859-2"), b"<meta charset=big5>".as_slice().into(), platform),
            "iso-8859-2"
        );
    }

    #[test]
    fn utf7_is_decoded() {
        assert_eq!(decoded("utf-7", b"Hi +AOkA6Q-! 1 +- 1, +2D3eAA"), "Hi éé! 1 + 1, \u{1f600}");
        assert_eq!(decoded("utf-7", b"+A+AAAAA"), "\u{3e0}\0");
    }

    #[test]
    fn iso_2022_jp_has_no_empty_runs() {
        assert_eq!(without_empty_runs(b"\x1b$BE7\x1b(B\x1b$B5$\x1b(Ba"), b"\x1b$BE7\x1b$B5$\x1b(Ba");
    }

    #[test]
    fn raw_header_octets_use_the_charset_of_the_message() {
        let raw = |bytes, charset| decode_raw(bytes, charset, platform);
        assert_eq!(raw("é".as_bytes(), Some(b"koi8-r")), "é");
        assert_eq!(raw(b"\xe9", Some(b"koi8-r")), "koi8-r");
        assert_eq!(raw(b"\xe9", Some(b"utf-8")), "é");
        assert_eq!(raw(b"\xe9", None), "é");
        assert_eq!(raw(b"\x1b$B", Some(b"ISO-2022-JP")), "iso-2022-jp");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(label in "(cp|utf-|iso-)?[a-z0-9*_-]{0,9}", bytes in any::<Vec<u8>>(), text in "(\\+|-|[A-Za-z/0-9]{0,5}|<meta |charset=|>){0,9}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                for label in [label.as_bytes(), b"utf-7"] {
                    let _ = decode(Some(label), bytes.into(), platform);
                    let _ = decode_html(None, bytes.into(), platform);
                }
            }
        }
    }
}
