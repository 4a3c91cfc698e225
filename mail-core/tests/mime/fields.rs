//! Subjects, addresses, dates and identifiers.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{parse, parse_bytes};

fn subject(value: &str) -> String {
    parse(&format!("Subject: {value}\n\n")).subject
}

#[test]
fn subjects_are_decoded() {
    for (value, expected) in [
        ("=?utf-8?Q?Vilnius_ir_R=C5?=\n =?UTF-8?Q?=ABga?=", "Vilnius ir Rūga"),
        ("=?iso-2022-jp?B?GyRCRTcbKEI=?=\n =?ISO-2022-JP?B?GyRCNSQbKEI=?=", "天気"),
        ("=?gb2312?B?xOM=?= =?gb2312?B?usM=?=", "你好"),
        ("=?gb2312?B?xA==?= =?gb2312?B?47rD?=", "你好"),
        ("=?ks_c_5601-1987?B?sKE=?=", "가"),
        ("=?cp949?B?sKE=?=", "가"),
        ("=?ISO-8859-1?Q?it=92s_=80_5?=", "it’s € 5"),
        ("=?utf-7?Q?1_+IKw-?=", "1 €"),
        ("=?nonsense?Q?caf=E9?=", "café"),
        ("a\n  folded\n\tsubject ", "a folded subject"),
        ("first\nSubject: second", "first"),
    ] {
        assert_eq!(subject(value), expected, "{value}");
    }
}

#[test]
fn raw_octets_use_utf8_then_the_charset_of_the_message_then_windows_1252() {
    for (mail, expected) in [
        (&b"Subject: caf\xc3\xa9\nContent-Type: text/plain; charset=koi8-r\n\n"[..], "café"),
        (b"Subject: \xf0\xd2\nContent-Type: text/plain; charset=koi8-r\n\n", "Пр"),
        (b"Subject: \xf0\xd2\nContent-Type: multipart/mixed; charset=koi8-r; boundary=b\n\n", "Пр"),
        (b"Subject: caf\xe9 \x80\n\n", "café €"),
        (b"Subject: \x1b$BE7\x1b(B\nContent-Type: text/plain; charset=iso-2022-jp\n\n", "天"),
    ] {
        assert_eq!(parse_bytes(mail).subject, expected, "{mail:?}");
    }
}

#[test]
fn addresses_are_read() {
    let parsed = parse(
        "From: =?utf-8?Q?Mitra=2C_Ag?= <ag@iit.edu>\nTo: Banerjee, Gita <gb@iit.edu>; Team: c@iit.edu (Chris),\n \
         \"D. E.\" <de(x)@iit.edu>;\nCc: undisclosed-recipients:;\nReply-To: ag@iit.edu <ag@iit.edu>\n\n",
    );
    let shown = |list: &[mail_core::message::parsed::NamedAddress]| {
        let one = |one: &mail_core::message::parsed::NamedAddress| {
            format!("{} <{}>", one.name.as_deref().unwrap_or("-"), one.address)
        };
        list.iter().map(one).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(shown(&parsed.from), "Mitra, Ag <ag@iit.edu>");
    assert_eq!(shown(&parsed.to), "Banerjee, Gita <gb@iit.edu> | Chris <c@iit.edu> | D. E. <de@iit.edu>");
    assert_eq!(shown(&parsed.cc), "");
    assert_eq!(shown(&parsed.reply_to), "ag@iit.edu <ag@iit.edu>");
}

#[test]
fn sender_without_an_address_has_a_name() {
    for (value, name, address) in [
        ("Mail System", Some("Mail System"), ""),
        ("daemon", Some("daemon"), ""),
        ("Print Room <>", Some("Print Room"), ""),
        ("a!b@iit.edu (Ag)", Some("Ag"), "a!b@iit.edu"),
    ] {
        let parsed = parse(&format!("From: {value}\n\n"));
        assert_eq!(
            (parsed.from[0].name.as_deref(), parsed.from[0].address.as_str()),
            (name, address),
            "{value}"
        );
    }
    assert_eq!(parse("From: <>\n\n").from, []);
}

#[test]
fn dates_are_read() {
    for (value, expected) in [
        ("Sun, 22 Nov 2026 19:15:06 GMT+0200", "2026-11-22T19:15:06+02:00"),
        ("Sun Nov 22 19:15:06 2026", "2026-11-22T19:15:06+00:00"),
        ("22 Nov 26 19:15 EST", "2026-11-22T19:15:00-05:00"),
        ("Sun, 22 Nov 126 19:15:06 +0000", "2026-11-22T19:15:06+00:00"),
        ("Sun,\n 22 (the 22nd) Nov 2026 19.15.06 +01:00", "2026-11-22T19:15:06+01:00"),
    ] {
        let date = parse(&format!("Date: {value}\n\n")).date;
        assert_eq!(date.map(|date| date.to_rfc3339()).as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn identifiers_are_found_among_words() {
    let parsed = parse(
        "Message-ID: 1@iit.edu\nIn-Reply-To: Your message of \"Sun, 22 Nov\" <2@iit.edu>\n\
         References: <3@iit.edu><4@iit.edu>\n <5 @iit.edu>\n\n",
    );
    let ids = |list: &[mail_core::message::id::MessageId]| {
        list.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(parsed.message_id.map(|id| id.as_str().to_owned()).as_deref(), Some("1@iit.edu"));
    assert_eq!(ids(&parsed.in_reply_to), "2@iit.edu");
    assert_eq!(ids(&parsed.references), "3@iit.edu 4@iit.edu 5@iit.edu");
}

#[test]
fn long_fields_are_bounded() {
    let list = (0..20_000).map(|n| format!("Name {n} <n{n}@iit.edu>,\n ")).collect::<String>();
    assert_eq!(parse(&format!("To: {list}\n\n")).to.len(), 10_000);
    for part in ["=?utf-8?Q?x", "(", "\"", "<", "a,", "=?a?b?=?", "\\"] {
        let parsed = parse(&format!("From: {0}\nSubject: {0}\nDate: {0}\n\nwords", part.repeat(100_000)));
        assert!(parsed.subject.len() <= 1_500_000, "{part}");
    }
}
