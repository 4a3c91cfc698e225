//! Selection of text, HTML and attachments.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{names, parse, text};

/// A multipart of this subtype with these parts, each from its first header field on.
fn multipart(subtype: &str, parts: &[&str]) -> String {
    let mut mail = format!("Content-Type: multipart/{subtype}; boundary=\"{subtype} b\"\n\n");
    for part in parts {
        mail.push_str(&format!("--{subtype} b\n{part}\n"));
    }
    mail + &format!("--{subtype} b--\n")
}

const PLAIN: &str = "Content-Type: text/plain\n\nplain words";
const HTML: &str = "Content-Type: text/html\n\n<p>html words</p>";
const IMAGE: &str =
    "Content-Type: image/png\nContent-ID: <pic@iit.edu>\nContent-Transfer-Encoding: base64\n\niVBORw==";

#[test]
fn mixed_texts_are_shown_in_order() {
    let parsed = parse(&multipart("mixed", &["\nfirst", IMAGE, "\nsecond"]));
    assert_eq!((text(&parsed).as_str(), names(&parsed)), ("first\nsecond", vec!["attachment.png"]));
}

#[test]
fn mixed_text_and_html_are_both_shown() {
    let footer = "Content-Type: text/plain\nContent-Disposition: inline\n\na < b\nlist footer";
    let parsed = parse(&multipart("mixed", &[HTML, footer]));
    assert_eq!(text(&parsed), "<p>html words</p>\na < b\nlist footer");
    let html = parsed.html.unwrap_or_default();
    assert!(html.starts_with("<p>html words</p>\n<div"), "{html}");
    assert!(html.contains("a &lt; b\r\nlist footer</div>"), "{html}");
}

#[test]
fn alternative_has_a_text_and_an_html_version() {
    let calendar = "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR";
    let amp = "Content-Type: text/x-amp-html\n\n<html amp4email>";
    let parsed = parse(&multipart("alternative", &[PLAIN, amp, HTML, calendar]));
    assert_eq!((text(&parsed).as_str(), parsed.html.as_deref()), ("plain words", Some("<p>html words</p>")));
    assert_eq!(
        (names(&parsed), &parsed.attachments[0].bytes[..]),
        (vec!["invitation.ics"], &b"BEGIN:VCALENDAR"[..])
    );
}

#[test]
fn alternative_may_contain_mixed_parts() {
    let html = multipart(
        "mixed",
        &[HTML, "Content-Type: application/pdf\n\nPDF", "Content-Type: text/html\n\n<p>end</p>"],
    );
    let parsed = parse(&multipart("alternative", &[PLAIN, &html]));
    assert_eq!(text(&parsed), "plain words");
    assert_eq!(parsed.html.as_deref(), Some("<p>html words</p>\n<p>end</p>"));
    assert_eq!(names(&parsed), ["attachment.pdf"]);
    let both = parse(&multipart("alternative", &[&multipart("mixed", &[PLAIN, HTML])]));
    assert_eq!(text(&both), "plain words\n<p>html words</p>");
}

#[test]
fn blank_text_gives_way_to_html() {
    let related = multipart("related", &[HTML, IMAGE]);
    let parsed = parse(&multipart("alternative", &["Content-Type: text/plain\n\n  ", &related]));
    assert_eq!((text(&parsed).as_str(), names(&parsed)), ("<p>html words</p>", vec!["attachment.png"]));
    assert_eq!(parsed.attachments[0].content_id.as_deref(), Some("pic@iit.edu"));
}

#[test]
fn related_shows_its_root() {
    let root = "Content-Type: text/html\nContent-ID: <root>\n\n<p>root</p>";
    let other = "Content-Type: text/html\nContent-ID: <other>\n\n<p>other</p>";
    let mail =
        multipart("related", &[IMAGE, other, root]).replacen("related; ", "related; start=\"<root>\"; ", 1);
    let parsed = parse(&mail);
    assert_eq!(parsed.html.as_deref(), Some("<p>root</p>"));
    assert_eq!(names(&parsed), ["attachment.png", "attachment.html"]);
    let parsed = parse(&multipart("related", &[IMAGE, HTML]));
    assert_eq!((parsed.html.as_deref(), names(&parsed)), (Some("<p>html words</p>"), vec!["attachment.png"]));
    let parsed = parse(&multipart("related", &[PLAIN, HTML, IMAGE]));
    assert_eq!(
        (text(&parsed).as_str(), names(&parsed)),
        ("plain words\n<p>html words</p>", vec!["attachment.png"])
    );
}

#[test]
fn report_shows_its_text_and_attaches_the_rest() {
    let status = "Content-Type: message/delivery-status\n\nAction: failed";
    let headers = "Content-Type: text/rfc822-headers\n\nSubject: lost";
    let original = "Content-Type: message/rfc822\n\nSubject: lost\n\nwords";
    let parsed = parse(&multipart("report", &[PLAIN, status, headers, original]));
    assert_eq!(text(&parsed), "plain words");
    assert_eq!(names(&parsed), ["delivery-status.txt", "headers.txt", "message.eml"]);
    assert_eq!(parsed.attachments[0].bytes, b"Action: failed");
}

#[test]
fn digest_consists_of_messages() {
    let parsed = parse(&multipart("digest", &["\nSubject: one\n\nwords", "\nSubject: two\n\nwords"]));
    assert_eq!(names(&parsed), ["message.eml", "message.eml"]);
    assert_eq!(parsed.attachments[1].bytes, b"Subject: two\r\n\r\nwords");
}

#[test]
fn signature_is_an_attachment() {
    let signature = "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----";
    let parsed = parse(&multipart("signed", &[PLAIN, signature]));
    assert_eq!((text(&parsed).as_str(), names(&parsed)), ("plain words", vec!["attachment.asc"]));
}

#[test]
fn disposition_and_name_make_an_attachment() {
    let attached = "Content-Type: text/plain\nContent-Disposition: attachment\n\nfile";
    let unknown = "Content-Type: text/plain\nContent-Disposition: x-unknown\n\nfile";
    let named = "Content-Type: text/plain; name=b.txt\n\nfile";
    let parsed = parse(&multipart("mixed", &[PLAIN, attached, unknown, named]));
    assert_eq!(text(&parsed), "plain words");
    assert_eq!(names(&parsed), ["attachment.txt", "attachment.txt", "b.txt"]);
    let only = parse("Content-Type: text/plain; name=a.txt\n\nwords\n");
    assert_eq!((text(&only).as_str(), only.attachments.len()), ("words", 0));
}

#[test]
fn message_of_another_type_is_an_attachment() {
    let parsed = parse("Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n");
    assert_eq!((text(&parsed).as_str(), names(&parsed)), ("", vec!["attachment.pdf"]));
    assert_eq!(parsed.attachments[0].bytes, b"%PDF");
}
