//! The address book as vCard (RFC 6350), also of versions 2.1 and 3.0.

use super::content_lines::{self, escape};
use super::people::Person;

/// Names and addresses of a file.
pub(crate) fn read(text: &str) -> Vec<(String, String)> {
    let mut people = Vec::new();
    let mut name = String::new();
    let mut addresses: Vec<String> = Vec::new();
    for line in content_lines::parse(text) {
        match line.name.as_str() {
            "BEGIN" => {
                name.clear();
                addresses.clear();
            }
            "FN" => name = line.text().trim().to_owned(),
            // For cards without FN: family name; given name.
            "N" if name.is_empty() => {
                let mut parts = line.value.split(';');
                let (family, given) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                name = format!("{given} {family}").trim().to_owned();
            }
            "EMAIL" => addresses.push(line.text().trim().to_owned()),
            "END" => people.extend(addresses.drain(..).map(|address| (name.clone(), address))),
            _ => {}
        }
    }
    people
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
            read(&written),
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
        assert_eq!(read(text), people.map(|(name, address)| (name.to_owned(), address.to_owned())));
    }
}
