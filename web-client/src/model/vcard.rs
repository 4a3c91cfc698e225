//! The address book as vCard (RFC 6350). Cards of versions 2.1 and 3.0 are read as well, those of version 2.1 with values in
//! quoted-printable (RFC 2045 section 6.7) in UTF-8.

use std::borrow::Cow;

pub(crate) use super::content_lines::LINES_MAX;
use super::content_lines::{self, ContentLine, escape};
use super::people::Person;

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Names and addresses.
    pub(crate) people: Vec<(String, String)>,
    /// The file has more than [`LINES_MAX`] lines; the rest was not read.
    pub(crate) is_cut: bool,
}

pub(crate) fn read(text: &str) -> Contacts {
    let text = join_soft_breaks(text);
    Contacts { people: people(&text), is_cut: content_lines::is_cut(&text) }
}

fn people(text: &str) -> Vec<(String, String)> {
    let mut people = Vec::new();
    let mut name = String::new();
    let mut addresses: Vec<String> = Vec::new();
    for line in content_lines::parse(text) {
        match line.name.as_str() {
            "BEGIN" => {
                name.clear();
                addresses.clear();
            }
            "FN" => name = value(&line).trim().to_owned(),
            // For cards without FN: family name; given name.
            "N" if name.is_empty() => {
                let text = if is_quoted_printable(&line) { value(&line) } else { line.value.clone() };
                let mut parts = text.split(';');
                let (family, given) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                name = format!("{given} {family}").trim().to_owned();
            }
            "EMAIL" => addresses.push(value(&line).trim().to_owned()),
            "END" => people.extend(addresses.drain(..).map(|address| (name.clone(), address))),
            _ => {}
        }
    }
    people
}

/// Joins the lines of values in quoted-printable, which end with `=` where the value continues.
fn join_soft_breaks(text: &str) -> Cow<'_, str> {
    if !text.to_ascii_uppercase().contains("QUOTED-PRINTABLE") {
        return text.into();
    }
    let mut joined = String::with_capacity(text.len());
    let mut is_encoded = false;
    for line in text.lines() {
        is_encoded |=
            line.split(':').next().is_some_and(|name| name.to_ascii_uppercase().contains("QUOTED-PRINTABLE"));
        match line.strip_suffix('=').filter(|_| is_encoded) {
            Some(start) => joined.push_str(start),
            None => {
                joined.push_str(line);
                joined.push('\n');
                is_encoded = false;
            }
        }
    }
    joined.into()
}

/// The parameter may have no name in version 2.1.
fn is_quoted_printable(line: &ContentLine) -> bool {
    line.parameters.iter().any(|(_, value)| value.eq_ignore_ascii_case("QUOTED-PRINTABLE"))
}

fn value(line: &ContentLine) -> String {
    if is_quoted_printable(line) {
        String::from_utf8_lossy(&decode(&line.value)).into_owned()
    } else {
        line.text()
    }
}

/// Decodes quoted-printable without soft line breaks. An invalid escape stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|hex| *first == b'=' && hex.iter().all(u8::is_ascii_hexdigit));
        let octet = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { &after[2..] } else { after };
    }
    decoded
}

/// One card for each person.
pub(crate) fn write(people: &[Person]) -> String {
    let mut out = String::new();
    for person in people {
        let name = if person.name.is_empty() { &person.address } else { &person.name };
        for (property, value) in [
            ("BEGIN", "VCARD"),
            ("VERSION", "4.0"),
            ("FN", &escape(name)),
            ("EMAIL", &escape(&person.address)),
            ("END", "VCARD"),
        ] {
            content_lines::write(&mut out, property, value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn people_round_trip() {
        let person = |name: &str, address: &str| Person {
            address: address.to_owned(),
            name: name.to_owned(),
            sent_count: 0,
            last_used: DateTime::UNIX_EPOCH,
        };
        let people = [person("Doe, John; \\ é", "john@iit.edu"), person("", "ag@iit.edu")];
        let written = write(&people);
        assert_eq!(
            read(&written).people,
            [
                ("Doe, John; \\ é".to_owned(), "john@iit.edu".to_owned()),
                ("ag@iit.edu".to_owned(), "ag@iit.edu".to_owned())
            ]
        );
    }

    #[test]
    fn cards_of_other_programs_are_read() {
        let text = "BEGIN:VCARD\nVERSION:2.1\nN:Mitra;Ag\nEMAIL;INTERNET:ag@iit.edu\nitem1.EMAIL:a2@iit.edu\nEND:VCARD\nBEGIN:VCARD\nFN:Nobody\nEND:VCARD\n";
        let people = [("Ag Mitra", "ag@iit.edu"), ("Ag Mitra", "a2@iit.edu")];
        assert_eq!(read(text).people, people.map(|(name, address)| (name.to_owned(), address.to_owned())));
    }

    #[test]
    fn values_of_version_2_1_are_decoded() {
        let text = "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller=\n-Lang;J=\n=C3=B6rg;;;\n\
            EMAIL;INTERNET:j@iit.edu\nEND:VCARD\n\
            BEGIN:VCARD\nVERSION:2.1\nFN;QUOTED-PRINTABLE:50=25 =ZZ=\n\nEMAIL:z@iit.edu\nEND:VCARD\n";
        let people = [("Jörg Müller-Lang", "j@iit.edu"), ("50% =ZZ", "z@iit.edu")];
        assert_eq!(read(text).people, people.map(|(name, address)| (name.to_owned(), address.to_owned())));
    }

    #[test]
    fn file_with_too_many_lines_is_cut() {
        let card = "BEGIN:VCARD\nFN:a\nEMAIL:a@iit.edu\nEND:VCARD\n";
        let contacts = read(&card.repeat(LINES_MAX / 4 + 1));
        assert_eq!((contacts.people.len(), contacts.is_cut), (LINES_MAX / 4, true));
        assert!(!read(card).is_cut);
    }
}
