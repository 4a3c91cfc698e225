//! Attachments: names, encodings and embedded files.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{names, parse, parse_bytes, text};

fn file(fields: &str, body: &str) -> (String, Vec<u8>) {
    let parsed = parse(&format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n{fields}\n\n{body}\n--b--\n"
    ));
    assert_eq!(text(&parsed), "text", "{fields}");
    let [file] = <[_; 1]>::try_from(parsed.attachments).expect("one attachment");
    (file.name, file.bytes)
}

#[test]
fn names_are_found_in_all_forms() {
    for (fields, name) in [
        ("Content-Disposition: attachment; filename=plan.pdf", "plan.pdf"),
        ("Content-Disposition: attachment; filename=the big plan.pdf", "the big plan.pdf"),
        ("Content-Disposition: attachment; filename=\n\t\"the plan.pdf\"", "the plan.pdf"),
        ("Content-Disposition: attachment; filename=\"____.pdf\"; filename*=utf-8''%D0%BF.pdf", "п.pdf"),
        ("Content-Disposition: attachment; filename*1*=%97.pdf; filename*0*=utf-8''%C4", "ė.pdf"),
        ("Content-Disposition: attachment; filename*0*=iso-8859-5''%BF; filename*1*=%BB.pdf", "ПЛ.pdf"),
        ("Content-Type: x/y; name=\"=?utf-8?Q?caf=C3?=\n =?utf-8?Q?=A9.pdf?=\"", "café.pdf"),
        ("Content-Type: x/y; name==?utf-8?B?w6k=?=\n =?utf-8?B?LnBkZg==?=", "é.pdf"),
        ("Content-Type: x/y; name=b.pdf\nContent-Disposition: attachment; filename=a.pdf", "a.pdf"),
        ("Content-Type: x/y; name=b.pdf\nContent-Disposition: attachment", "b.pdf"),
        ("Content-Type: x/y", "attachment"),
        ("Content-Type: application/vnd.oasis.opendocument.text", "attachment.odt"),
    ] {
        assert_eq!(file(fields, "x").0, name, "{fields}");
    }
}

#[test]
fn names_are_safe_to_show_and_to_save() {
    for (fields, name) in [
        ("Content-Disposition: attachment; filename=\"offer 24/7.eml\"", "offer 24_7.eml"),
        ("Content-Disposition: attachment; filename=\"../../.ssh/keys\"", "keys"),
        ("Content-Disposition: attachment; filename*=utf-8''a%E2%80%AEfdp.exe", "a_fdp.exe"),
        ("Content-Disposition: attachment; filename*=utf-8''a%0D%0Ab", "a__b"),
        ("Content-Type: image/jpg\nContent-Disposition: attachment; filename=\"..\"", "attachment.jpg"),
    ] {
        assert_eq!(file(fields, "x").0, name, "{fields}");
    }
}

#[test]
fn raw_octets_of_a_name_use_the_charset_of_the_message() {
    let mail = b"Content-Type: multipart/mixed; charset=koi8-r; boundary=b\n\n--b\nContent-Type: x/y; name=\"\xd0.txt\"\n\nx\n\
        --b\nContent-Type: x/y; name=\"\xc3\xa9.txt\"\n\nx\n--b\nContent-Type: text/x; charset=iso-8859-1; name=\"\xe9.txt\"\nContent-Disposition: attachment\n\nx\n--b--\n";
    assert_eq!(names(&parse_bytes(mail)), ["п.txt", "é.txt", "é.txt"]);
}

#[test]
fn encodings_are_decoded_leniently() {
    let base64 = "Content-Type: x/y\nContent-Transfer-Encoding: BASE64 (all of it)";
    let uuencode = "Content-Type: x/y\nContent-Transfer-Encoding: x-uuencode";
    for (fields, body, bytes) in [
        (base64, "SGVs\nbG8=", &b"Hello"[..]),
        (base64, "SGVs!bG8", b"Hello"),
        (base64, "SGVsbG8=\n-- \nsent by a gateway", b"Hello"),
        (uuencode, "begin 644 x\n#0V%T\n`\nend", b"Cat"),
        ("Content-Type: x/y\nContent-Transfer-Encoding: \"quoted-printable\"", "a==41=\nb =zz", b"a=Ab =zz"),
        ("Content-Type: x/y\nContent-Transfer-Encoding: 8-bit", "a=41", b"a=41"),
        ("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64", "QTogMQ==", b"A: 1"),
    ] {
        assert_eq!(file(fields, body).1, bytes, "{fields} {body}");
    }
}

#[test]
fn text_after_base64_is_shown() {
    let parsed = parse("Content-Transfer-Encoding: base64\n\nSGVsbG8gdGhlcmU=\n_____\nlist, for all of us\n");
    assert_eq!(text(&parsed), "Hello there\n_____\nlist, for all of us");
    let two = parse("Content-Transfer-Encoding: base64\n\nSGVsbG8=\nIHRoZXJl\n");
    assert_eq!(text(&two), "Hello there");
}

#[test]
fn uuencoded_file_in_a_text_is_an_attachment() {
    let parsed = parse("Subject: x\n\nLook:\nbegin 644 cat.txt\n#0V%T\n`\nend\nBye\n");
    assert_eq!((text(&parsed).as_str(), names(&parsed)), ("Look:\nBye", vec!["cat.txt"]));
    assert_eq!(parsed.attachments[0].bytes, b"Cat");
}

#[test]
fn content_id_is_decoded() {
    let parsed = parse(
        "Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=cid:a.b>\n--b\n\
         Content-Type: image/gif\nContent-ID: <=?us-ascii?Q?a?=\n =?us-ascii?Q?.b?=>\n\nGIF\n--b\n\
         Content-Type: image/gif\nContent-ID: c\n\nGIF\n--b--\n",
    );
    let ids: Vec<_> = parsed.attachments.iter().map(|file| file.content_id.as_deref()).collect();
    assert_eq!(ids, [Some("a.b"), Some("c")]);
}

#[test]
fn content_location_is_unfolded_and_decoded() {
    let parsed = parse(
        "Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=a.gif>\n--b\n\
         Content-Type: image/gif\nContent-Location: http://example.org/\n  pictures/a.gif\n\nGIF\n--b\n\
         Content-Type: image/gif\nContent-Location: =?utf-8?Q?b=C3=A9.gif?=\n\nGIF\n--b\n\
         Content-Type: image/gif\nContent-Location:\n\nGIF\n--b--\n",
    );
    let locations: Vec<_> = parsed.attachments.iter().map(|file| file.content_location.as_deref()).collect();
    assert_eq!(locations, [Some("http://example.org/pictures/a.gif"), Some("bé.gif"), None]);
}
