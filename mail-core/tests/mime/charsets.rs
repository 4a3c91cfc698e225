//! Charsets of texts, format=flowed and quoted-printable.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{parse, parse_bytes, text};

fn body(content_type: &str, octets: &[u8]) -> String {
    let head = format!("Content-Type: {content_type}\nContent-Transfer-Encoding: 8bit\n\n");
    text(&parse_bytes(&[head.as_bytes(), octets].concat()))
}

#[test]
fn declared_charsets_and_their_aliases_are_decoded() {
    for (charset, octets, expected) in [
        ("utf-8", "žaló".as_bytes(), "žaló"),
        ("\"ISO-8859-1\"", b"it\x92s \x80 5", "it’s € 5"),
        ("iso-8859-2", b"\xbe", "ž"),
        ("cp1251", b"\xcf", "П"),
        ("koi8-r", b"\xf0", "П"),
        ("ms949", b"\xb0\xa1", "가"),
        ("cp932", b"\x82\xa0", "あ"),
        ("gb18030", b"\x95\x32\x82\x36", "𠀀"),
        ("big5-hkscs", b"\xa7\x41", "你"),
        ("iso-2022-jp", b"\x1b$BE7\x1b(B", "天"),
        ("utf-7", b"+AOk-", "é"),
        ("iso-8859-1 Content-Transfer-Encoding: 8bit", b"\xe9", "é"),
    ] {
        assert_eq!(body(&format!("text/plain; charset={charset}"), octets), expected, "{charset}");
    }
}

#[test]
fn undeclared_and_unknown_charsets_are_utf8_or_windows_1252() {
    for content_type in
        ["text/plain", "text/plain; charset=us-ascii", "text/plain; charset=x-unknown", "text"]
    {
        assert_eq!(body(content_type, "café".as_bytes()), "café", "{content_type}");
        assert_eq!(body(content_type, b"caf\xe9 \x93x\x94"), "café “x”", "{content_type}");
    }
}

#[test]
fn html_may_name_its_charset_itself() {
    let html = b"<head><META charset=\"koi8-r\"></head>\xf0";
    assert!(body("text/html", html).ends_with('П'));
    assert!(body("text/html; charset=windows-1251", html).ends_with('р'));
    assert!(body("text/html", b"<p>caf\xe9").ends_with("café"));
}

#[test]
fn flowed_text_is_unwrapped() {
    let flowed =
        |field: &str, text_: &str| text(&parse(&format!("Content-Type: text/plain; {field}\n\n{text_}")));
    assert_eq!(flowed("format=flowed", "one \ntwo\n\n> a \n> b\n-- \nag\n"), "one two\n\n> a b\n-- \nag");
    assert_eq!(flowed("format=Flowed; delsp=yes", "日 \n本\n"), "日本");
    assert_eq!(flowed("format=fixed", "one \ntwo\n"), "one \ntwo");
}

#[test]
fn quoted_printable_is_decoded_leniently() {
    let parsed = parse(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n\
         caf=C3=a9 http://iit.edu/?a=zz&b==41  \none=20=  \ntwo =",
    );
    assert_eq!(text(&parsed), "café http://iit.edu/?a=zz&b=A\none two");
}
