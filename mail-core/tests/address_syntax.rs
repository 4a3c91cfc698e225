//! Address syntax: built-in cases and, if the mail collection contains it, Dominic Sayers' isemail test suite. An address is
//! valid for SMTP if its isemail category is RFC 5321 or stricter.

#![cfg(not(target_arch = "wasm32"))]

mod sample_mails;

use mail_core::message::address::Address;

/// Ids of the cases that are decided differently, with the reason.
const EXCEPTIONS: [(&str, &str); 1] =
    [("66", "RFC 5321 permits an IPv6 address without tag as a general address literal; isemail does not")];

#[test]
fn valid_addresses_are_accepted_and_invalid_ones_refused() {
    for valid in [
        "ag@iit.edu",
        "a@b",
        "a.b+c@iit.edu",
        "\"a b\"@iit.edu",
        "\"a\\\"b\"@iit.edu",
        "!#$%&'*+-/=?^_`{|}~@iit.edu",
        "ag@[127.0.0.1]",
        "ag@[IPv6:::1]",
        "ag@xn--bcher-kva.example",
        "käthe@bücher.example",
    ] {
        assert!(Address::parse(valid).is_ok(), "{valid}");
    }
    for invalid in [
        "",
        "@",
        "ag",
        "ag@",
        "@iit.edu",
        "a@b@c",
        ".a@iit.edu",
        "a.@iit.edu",
        "a..b@iit.edu",
        "a b@iit.edu",
        "a@-b.edu",
        "a@b-.edu",
        "a@b..edu",
        "\"a@iit.edu",
        "a@[127.0.0.256]",
        "a@[127.0.0.1",
        "a@b\r\n",
        "a\0@b",
        "(c)a@b",
        "A <a@b>",
    ] {
        assert!(Address::parse(invalid).is_err(), "{invalid}");
    }
}

#[test]
fn isemail_suite_agrees() {
    let path = sample_mails::collection_path().join("addresses/isemail-tests.xml");
    let Ok(xml) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} does not exist", path.display());
        return;
    };
    let (mut accepted, mut refused, mut mismatches) = (0, 0, Vec::new());
    for case in xml.split("<test id=\"").skip(1) {
        let (id, _) = case.split_once('"').expect("a quoted id");
        let text = decode(element(case, "address").unwrap_or_default());
        let category = element(case, "category").expect("every case has a category");
        let expected = matches!(category, "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" | "ISEMAIL_RFC5321");
        let result = Address::parse(&text);
        if result.is_ok() {
            accepted += 1
        } else {
            refused += 1
        }
        if (result.is_ok() == expected) == EXCEPTIONS.iter().any(|(exception, _)| *exception == id) {
            mismatches.push(format!("{id} {category} {text:?}: {result:?}"));
        }
    }
    assert_eq!(mismatches, [""; 0]);
    assert_eq!((accepted, refused), (39, 125));
}

fn element<'a>(case: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = case.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// Decodes XML character references, and the symbols from U+2400 that stand for control characters.
fn decode(content: &str) -> String {
    let mut text = String::new();
    let mut rest = content;
    while let Some((plain, after)) = rest.split_once('&') {
        let (reference, after) = after.split_once(';').expect("a reference ends with a semicolon");
        text.push_str(plain);
        text.push(match reference.strip_prefix("#x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).expect("a code point"),
            None => "amp& lt< gt> quot\""
                .split(' ')
                .find_map(|name| name.strip_prefix(reference)?.chars().next())
                .expect("a predefined XML entity"),
        });
        rest = after;
    }
    text.push_str(rest);
    text.chars()
        .map(|c| if ('\u{2400}'..='\u{241f}').contains(&c) { char::from(c as u8) } else { c })
        .collect()
}
