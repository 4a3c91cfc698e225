//! Splits a list of recipients that a user has typed or pasted.
//!
//! Lists come from headers, other mail programs, spreadsheets and web pages: separated by commas, semicolons, line ends,
//! tabs or spaces, with or without names, with invisible characters. Names are dropped. Which text is an address is
//! decided by [`parse_address`](super::draft::parse_address) alone: whatever is not one remains visible to the user as it
//! was written.

use std::ops::Range;

use super::mime::{self, Context};

/// The entries of a list, in their order. An entry is a bare address, or text that is not a valid address. Of
/// `name <address>`, the address is returned. A name before an address without angle brackets is part of the entry,
/// because `john doe@example.org` may be a misspelt address.
#[must_use]
pub fn split_recipients(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let mut entries = Vec::new();
    // Parts of a name with unquoted commas: `Doe, John <john@example.org>`.
    let mut names: Vec<Range<usize>> = Vec::new();
    for (range, separator) in items(&text) {
        let range = trimmed(&text, range);
        let item = &text[range.clone()];
        if item.contains('<') {
            let start = names.first().map_or(range.start, |name| name.start);
            names.clear();
            entries.extend(with_brackets(&text[start..range.end]));
        } else if item.contains('@') {
            entries.extend(names.drain(..).map(|name| text[name].to_owned()));
            entries.extend(bare(item));
        } else if !item.is_empty() {
            names.push(range);
        }
        if separator != Some(',') {
            entries.extend(names.drain(..).map(|name| text[name].to_owned()));
        }
    }
    entries
}

/// Whether a list continues after this text: it ends inside a quoted name or inside angle brackets.
#[must_use]
pub fn is_open(text: &str) -> bool {
    let mut scan = Scan::default();
    text.chars().for_each(|c| scan.next(c));
    scan.is_quoted || scan.is_bracketed
}

/// Zero-width characters and directional marks, which programs add to copied text.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// The position inside quotes and angle brackets.
#[derive(Default)]
struct Scan {
    is_quoted: bool,
    is_escaped: bool,
    is_bracketed: bool,
}

impl Scan {
    fn next(&mut self, c: char) {
        if std::mem::take(&mut self.is_escaped) {
            return;
        }
        match c {
            '\\' => self.is_escaped = self.is_quoted,
            '"' => self.is_quoted = !self.is_quoted,
            '<' | '>' if !self.is_quoted => self.is_bracketed = c == '<',
            _ => {}
        }
    }
}

/// The ranges between separators outside quotes and angle brackets, with the separator. If a quote or a bracket is never
/// closed, only line ends separate.
fn items(text: &str) -> Vec<(Range<usize>, Option<char>)> {
    let ignores_quotes = is_open(text);
    let mut scan = Scan::default();
    let (mut items, mut start) = (Vec::new(), 0);
    for (at, c) in text.char_indices() {
        let is_inside = !ignores_quotes && (scan.is_quoted || scan.is_bracketed);
        scan.next(c);
        if matches!(c, ',' | ';' | '\n' | '\r' | '\t') && !is_inside {
            items.push((start..at, Some(c)));
            start = at + c.len_utf8();
        }
    }
    items.push((start..text.len(), None));
    items
}

/// A range without surrounding white space.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let start = range.end - text[range.clone()].trim_start().len();
    start..start + text[start..range.end].trim_end().len()
}

/// The addresses in angle brackets, read as in a header field.
fn with_brackets(item: &str) -> Vec<String> {
    let context = Context { charset: None, decode: |_, _| None };
    let mailboxes = mime::addresses(item.as_bytes(), &context).into_iter();
    let entries: Vec<_> =
        mailboxes.map(|mailbox| mailbox.address).filter(|address| !address.is_empty()).collect();
    match entries.as_slice() {
        [] => vec![item.to_owned()],
        _ => entries.iter().map(|address| without_scheme(address)).collect(),
    }
}

/// Addresses separated by white space. If a word is no address, the whole text is one entry.
fn bare(item: &str) -> Vec<String> {
    // The name of a header field or of a group.
    let item = match item.split_once(':') {
        Some((name, rest)) if !name.contains(['@', '"']) && !name.eq_ignore_ascii_case("mailto") => {
            rest.trim()
        }
        _ => item,
    };
    let words: Vec<_> = item.split_whitespace().collect();
    if item.contains('"') || !words.iter().all(|word| word.contains('@')) {
        return vec![item.to_owned()];
    }
    words.into_iter().map(without_scheme).collect()
}

/// Removes `mailto:` and the header fields after the address (RFC 6068).
fn without_scheme(address: &str) -> String {
    let scheme = address.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let Some(scheme) = scheme else { return address.to_owned() };
    let rest = &address[scheme.len()..];
    rest.split_once('?').map_or(rest, |(address, _)| address).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn split(text: &str) -> String {
        split_recipients(text).join(" | ")
    }

    #[test]
    fn lists_of_other_programs_are_split() {
        for (text, expected) in [
            ("a@b.c", "a@b.c"),
            ("Ann <a@b.c>, \"Doe, John\" <d@e.f>, g@h.i", "a@b.c | d@e.f | g@h.i"),
            ("a@b.c; d@e.f ;g@h.i;", "a@b.c | d@e.f | g@h.i"),
            ("a@b.c\nd@e.f\r\ng@h.i\n", "a@b.c | d@e.f | g@h.i"),
            ("a@b.c d@e.f", "a@b.c | d@e.f"),
            ("a@b.c\td@e.f", "a@b.c | d@e.f"),
            ("'Ann' <a@b.c>; Doe, John <d@e.f>", "a@b.c | d@e.f"),
            ("To: Ann <a@b.c>,\n Bob <d@e.f>", "a@b.c | d@e.f"),
            ("Team: a@b.c, d@e.f;", "a@b.c | d@e.f"),
            ("mailto:a@b.c", "a@b.c"),
            ("<MAILTO:a@b.c?subject=x>, mailto:d@e.f?cc=x@y.z", "a@b.c | d@e.f"),
            ("a@b.c, ", "a@b.c"),
            ("a@b.c\u{a0}", "a@b.c"),
            ("\u{200b}a@\u{feff}b.c\u{202c}", "a@b.c"),
            ("<\"x, y\"@b.c>, \"x; y\"@b.c", "\"x, y\"@b.c | \"x; y\"@b.c"),
            ("a@[IPv6:::1]", "a@[IPv6:::1]"),
            ("=?utf-8?q?Ann?= <a@b.c>", "a@b.c"),
            ("", ""),
            (" ,; \n", ""),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn text_that_is_no_address_remains_visible() {
        for (text, expected) in [
            ("nobody; at all", "nobody | at all"),
            ("john doe@e.f", "john doe@e.f"),
            ("Ann a@b.c, d@e.f", "Ann a@b.c | d@e.f"),
            ("Doe, John; a@b.c", "Doe | John | a@b.c"),
            ("Doe, a@b.c", "Doe | a@b.c"),
            ("Ann <>", "Ann <>"),
            ("\"Ann <a@b.c>, d@e.f", "a@b.c | d@e.f"),
            ("\"Ann\" a@b.c", "\"Ann\" a@b.c"),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn open_quotes_and_brackets_are_found() {
        for (text, expected) in [
            ("\"Doe, ", true),
            ("\"Doe\\\", ", true),
            ("\"Doe, John\" <j", true),
            ("\"Doe, John\" <j@x>,", false),
            ("a@b.c,", false),
            ("", false),
        ] {
            assert_eq!(is_open(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn entries_are_not_longer_than_the_list(text in "(a|@|b\\.c|,|;|:|<|>|\"|\\\\| |\\t|\\n|é|mailto:|\u{200b}){0,30}") {
            let length: usize = split_recipients(&text).iter().map(String::len).sum();
            prop_assert!(length <= 3 * text.len(), "{:?}", split_recipients(&text));
        }
    }
}
