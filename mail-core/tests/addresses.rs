//! Address syntax: some cases of our own and, where there is a collection, those of Dominic Sayers' isemail, which say for
//! each address what RFC 5321 and RFC 5322 make of it. What an SMTP mailbox may be is what its RFC 5321 and better
//! categories hold.

#![cfg(not(target_arch = "wasm32"))]

#[allow(dead_code, reason = "each test file takes what it needs of it")]
mod mails;

use mail_core::message::address::Address;

/// Cases where this project differs on purpose, by their id.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "66",
    "an IPv6 address without its tag is a general address literal of RFC 5321 by its form; isemail knows no such tag",
)];

#[test]
fn some_of_our_own() {
    for right in [
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
        assert!(Address::parse(right).is_ok(), "{right}");
    }
    for wrong in [
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
        assert!(Address::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn isemail_cases() {
    let path = mails::collection().join("addresses/isemail-tests.xml");
    let Ok(xml) = std::fs::read_to_string(&path) else {
        eprintln!("there is no {}", path.display());
        return;
    };
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in xml.split("<test id=\"").skip(1) {
        let (id, _) = case.split_once('"').expect("the id is quoted");
        let text = address(element(case, "address").unwrap_or_default());
        let category = element(case, "category").expect("every case has a category");
        let expected = matches!(category, "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" | "ISEMAIL_RFC5321");
        let result = Address::parse(&text);
        if result.is_ok() {
            accepted += 1
        } else {
            refused += 1
        }
        if (result.is_ok() == expected) == EXCEPTIONS.iter().any(|(exception, _)| *exception == id) {
            wrong.push(format!("{id} {category} {text:?}: {result:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!((accepted, refused), (39, 125));
}

fn element<'a>(case: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = case.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// Resolves the file's character references; it writes control characters as their symbols, from U+2400 on.
fn address(content: &str) -> String {
    let mut text = String::new();
    let mut rest = content;
    while let Some((plain, after)) = rest.split_once('&') {
        let (reference, after) = after.split_once(';').expect("a reference ends with a semicolon");
        text.push_str(plain);
        text.push(match reference.strip_prefix("#x") {
            Some(hex) => {
                u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).expect("a character's number")
            }
            None => "amp& lt< gt> quot\""
                .split(' ')
                .find_map(|name| name.strip_prefix(reference)?.chars().next())
                .expect("XML's own entities only"),
        });
        rest = after;
    }
    text.push_str(rest);
    text.chars()
        .map(|c| if ('\u{2400}'..='\u{241f}').contains(&c) { char::from(c as u8) } else { c })
        .collect()
}
