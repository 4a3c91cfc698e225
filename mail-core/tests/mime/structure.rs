//! Headers, multiparts and delimiters.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{names, parse, text};

#[test]
fn header_without_an_empty_line_ends_at_the_first_other_line() {
    let parsed = parse("Subject: lunch\nfrom: ag@iit.edu\nSee you at one, gb.\n\nBring a friend: yes\n");
    assert_eq!(parsed.subject, "lunch");
    assert_eq!(parsed.from[0].address, "ag@iit.edu");
    assert_eq!(text(&parsed), "See you at one, gb.\n\nBring a friend: yes");
}

#[test]
fn mbox_line_does_not_end_the_header() {
    let parsed = parse("Subject: kept\n>From ag@iit.edu Sun Nov 22 19:15:06 2026\nTo: gb@iit.edu\n\nbody\n");
    assert_eq!((parsed.to[0].address.as_str(), text(&parsed).as_str()), ("gb@iit.edu", "body"));
}

#[test]
fn folded_and_unindented_parameters_are_joined() {
    for field in [
        "multipart/mixed; boundary=\n\t\"x y\"",
        "multipart/mixed;\nboundary=\"x y\"",
        "multipart/mixed; boundary=\"x\n y\"",
        "multipart/mixed ; charset=utf-8;; boundary = \"x y\" ;",
        "multipart/mixed; boundary*0=\"x \"; boundary*1=y",
        "Multipart; boundary=\"x y\"",
    ] {
        let parsed = parse(&format!("Content-Type: {field}\n\n--x y\n\nfirst\n--x y\n\nsecond\n--x y--\n"));
        assert_eq!(text(&parsed), "first\nsecond", "{field}");
    }
}

#[test]
fn first_content_type_and_encoding_count() {
    let parsed = parse(
        "Content-Type: text/plain\nContent-Type: text/html\nContent-Transfer-Encoding: 7bit\n\
         Content-Transfer-Encoding: base64\n\nabcd\n",
    );
    assert_eq!((text(&parsed).as_str(), parsed.html), ("abcd", None));
}

#[test]
fn delimiters_count_at_line_starts_only() {
    let parsed = parse(
        "Content-Type: multipart/mixed; boundary=cut\n\npreamble\n--cut\n\na --cut b\n> --cut\n--cutter\n--cut-\n\
         --cut \t\n\nsecond\n--cut--\t\nepilogue\n--cut\nafter the end\n",
    );
    assert_eq!(text(&parsed), "a --cut b\n> --cut\n--cutter\n--cut-\nsecond");
    assert!(parsed.attachments.is_empty());
}

#[test]
fn outer_delimiter_closes_inner_multiparts() {
    let parsed = parse(
        "Content-Type: multipart/mixed; boundary=out\n\n--out\nContent-Type: multipart/alternative; boundary=out-in\n\n\
         --out-in\n\nwords\n--out-in\nContent-Type: text/html\n\n<b>words</b>\n--out\n\
         Content-Disposition: attachment; filename=a.txt\n\nfile\n--out--\n",
    );
    assert_eq!((text(&parsed).as_str(), parsed.html.as_deref()), ("words", Some("<b>words</b>")));
    assert_eq!(parsed.attachments[0].bytes, b"file");
}

#[test]
fn end_of_the_message_closes_all_parts() {
    let alternative = parse(
        "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nwords\n--b\nContent-Type: text/html\n\n<i>words</i>\n",
    );
    assert_eq!(
        (text(&alternative).as_str(), alternative.html.as_deref()),
        ("words", Some("<i>words</i>\r\n"))
    );
    let file =
        parse("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png; name=a.png\n\nPNG");
    assert_eq!((names(&file), &file.attachments[0].bytes[..]), (vec!["a.png"], &b"PNG"[..]));
}

#[test]
fn header_of_a_part_may_end_at_a_delimiter() {
    let parsed = parse(
        "Content-Type: multipart/alternative; boundary=b\n--b\nContent-Type: text/plain\n--b\n\
         Content-Type: text/html\n\n<p>html</p>\n--b--\n",
    );
    assert_eq!((text(&parsed).as_str(), parsed.attachments.len()), ("<p>html</p>", 0));
}

#[test]
fn part_without_a_header_is_text() {
    let parsed = parse("Content-Type: multipart/mixed; boundary=b\n\n--b\nno header here\n\nend\n--b--\n");
    assert_eq!(text(&parsed), "no header here\n\nend");
}

#[test]
fn unusable_types_and_structures_are_text() {
    for field in [
        "text",
        "plain",
        "nonsense",
        "",
        "text/markdown",
        "text/",
        "/plain",
        "multipart/mixed",
        "multipart/mixed; boundary=\"\"",
        "multipart/alternative; boundary=other",
        "multipart/mixed; boundary",
    ] {
        let parsed = parse(&format!("Subject: x\nContent-Type: {field}\n\n--b\nthe words\n"));
        assert_eq!((text(&parsed).as_str(), parsed.attachments.len()), ("--b\nthe words", 0), "{field}");
    }
}

#[test]
fn unusable_multipart_inside_another_is_text() {
    let parsed = parse(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/related\n\ninner words\n--b\n\n\
         outer words\n--b--\n",
    );
    assert_eq!((text(&parsed).as_str(), parsed.attachments.len()), ("inner words\nouter words", 0));
}

#[test]
fn empty_parts_are_harmless() {
    let parsed = parse("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\n--b\n\n\n--b--\n");
    assert_eq!((text(&parsed).as_str(), parsed.attachments.len()), ("", 0));
}

#[test]
fn many_parts_and_parameters_are_bounded() {
    let many =
        parse(&format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(20_000)));
    assert_eq!(many.text.unwrap_or_default().matches('x').count(), 20_000);
    let parameters =
        parse(&format!("Content-Type: text/plain{}; name=late\n\nwords\n", "; a=b".repeat(100_000)));
    assert_eq!(text(&parameters), "words");
}
