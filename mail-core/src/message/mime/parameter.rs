//! Parameters of Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2231).
//!
//! Values are unfolded already. Tolerated: unquoted values with spaces, missing closing quotes, missing and doubled
//! semicolons, spaces around the equals sign, encoded words, and text without `=`.

use std::borrow::Cow;

use super::charset;
use super::encoded_word::Context;
use super::limits::PARAMETERS_MAX;

/// The value of a parameter as octets, for tokens such as `boundary` and `charset`.
pub(super) fn token<'a>(field: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let found = Found::new(field, name);
    if let Some(plain) = found.plain {
        return Some(plain);
    }
    found.extended().map(|(_, octets)| Cow::Owned(octets))
}

/// The decoded value of a parameter, for file names. RFC 2231 forms are preferred.
pub(super) fn text(field: &[u8], name: &str, context: &Context<'_>) -> Option<String> {
    let found = Found::new(field, name);
    match found.extended() {
        Some((Some(charset), octets)) => {
            Some(charset::decode(Some(&charset), Cow::Owned(octets), context.decode))
        }
        Some((None, octets)) => Some(context.text(&octets)),
        None => found.plain.map(|value| context.text(&value)),
    }
}

/// All values of one parameter.
struct Found<'a> {
    plain: Option<Cow<'a, [u8]>>,
    /// `name*0`, `name*1*` and so on, each with whether it is percent-encoded; `name*` is segment 0.
    segments: Vec<(u32, bool, Cow<'a, [u8]>)>,
    /// Whether there is `name*`, which wins over segments.
    is_single: bool,
}

impl<'a> Found<'a> {
    fn new(field: &'a [u8], name: &str) -> Self {
        let mut found = Self { plain: None, segments: Vec::new(), is_single: false };
        for (own, value) in Parameters::new(field) {
            let Some((own, rest)) = own.split_at_checked(name.len()) else { continue };
            if !own.eq_ignore_ascii_case(name.as_bytes()) {
                continue;
            }
            match rest {
                b"" => found.plain = found.plain.or(Some(value)),
                b"*" if !found.is_single => {
                    found.is_single = true;
                    found.segments.clear();
                    found.segments.push((0, true, value));
                }
                [b'*', index @ ..] if !found.is_single => {
                    let (index, is_encoded) =
                        index.strip_suffix(b"*").map_or((index, false), |index| (index, true));
                    if let Some(index) = str::from_utf8(index).ok().and_then(|index| index.parse().ok()) {
                        found.segments.push((index, is_encoded, value));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The joined segments, with the charset of the first one if any is percent-encoded.
    fn extended(&self) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
        let mut order: Vec<_> = self.segments.iter().collect();
        order.sort_by_key(|(index, ..)| *index);
        order.dedup_by_key(|(index, ..)| *index);
        let (_, is_encoded, first) = order.first()?;
        let mut charset = order.iter().any(|(_, is_encoded, _)| *is_encoded).then(Vec::new);
        let mut octets = Vec::new();
        let mut first = first.as_ref();
        // extended-initial-value = [charset] "'" [language] "'" extended-other-values
        let mut fields = first.splitn(3, |byte| *byte == b'\'');
        if let (true, Some(name), Some(_), Some(value)) =
            (*is_encoded, fields.next(), fields.next(), fields.next())
        {
            charset = Some(name.to_vec());
            first = value;
        }
        append(first, *is_encoded, &mut octets);
        for (_, is_encoded, value) in &order[1..] {
            append(value, *is_encoded, &mut octets);
        }
        Some((charset, octets))
    }
}

/// Appends a segment; percent sequences of an encoded one become octets.
fn append(value: &[u8], is_encoded: bool, octets: &mut Vec<u8>) {
    if !is_encoded {
        octets.extend_from_slice(value);
        return;
    }
    let hex = |digit: Option<&u8>| char::from(*digit?).to_digit(16);
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, hex(tail.first()), hex(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                octets.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            _ => octets.push(*first),
        }
    }
}

/// Iterates over names and values.
struct Parameters<'a> {
    rest: &'a [u8],
    remaining: usize,
}

impl<'a> Parameters<'a> {
    /// `field` starts with a media type or a disposition, which has no `=`.
    fn new(field: &'a [u8]) -> Self {
        let start = field.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t' | b'='));
        // A field that starts with a parameter has no type.
        let start = start.map_or(field.len(), |at| if field[at] == b'=' { 0 } else { at });
        Self { rest: &field[start..], remaining: PARAMETERS_MAX }
    }

    /// A quoted string, without its quotes and backslashes. A backslash before another character is literal: some
    /// programs quote paths without escaping them.
    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let text = &self.rest[1..];
        let mut value = Vec::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
            at += found;
            if text[at] == b'"' {
                self.rest = &text[at + 1..];
                if copied == 0 {
                    return Cow::Borrowed(&text[..at]);
                }
                value.extend_from_slice(&text[copied..at]);
                return Cow::Owned(value);
            }
            if matches!(text.get(at + 1), Some(b'"' | b'\\')) {
                value.extend_from_slice(&text[copied..at]);
                copied = at + 1;
                at += 1;
            }
            at += 1;
        }
        // Without a closing quote, the value ends like an unquoted one.
        self.rest = text;
        self.unquoted()
    }

    fn unquoted(&mut self) -> Cow<'a, [u8]> {
        let end = memchr::memchr(b';', self.rest).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        Cow::Borrowed(value.trim_ascii())
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.remaining > 0 {
            self.remaining -= 1;
            let start = self.rest.iter().position(|byte| !matches!(byte, b';' | b' ' | b'\t'))?;
            self.rest = &self.rest[start..];
            let end = memchr::memchr2(b'=', b';', self.rest)?;
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            if rest[0] == b';' {
                continue;
            }
            self.rest = rest[1..].trim_ascii_start();
            let value = if self.rest.first() == Some(&b'"') { self.quoted() } else { self.unquoted() };
            // In `text/plain charset=x` and after a missing semicolon, the name is the last word.
            let name = name.trim_ascii_end();
            let name = name.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or(name);
            return Some((name, value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const CONTEXT: Context<'_> = Context { charset: None, decode: |_, _| None };

    fn name(field: &str) -> String {
        text(field.as_bytes(), "name", &CONTEXT).unwrap_or_else(|| "-".to_owned())
    }

    #[test]
    fn values_are_read_leniently() {
        for (field, expected) in [
            ("x/y; name=a.pdf", "a.pdf"),
            ("x/y; NAME = \"a b.pdf\" ; z=1", "a b.pdf"),
            ("x/y;;name=my last report.pdf;", "my last report.pdf"),
            ("x/y; name=\"a\\\"b\\\\c\"", "a\"b\\c"),
            ("x/y; name=\"C:\\temp\\new.txt\"", "C:\\temp\\new.txt"),
            ("x/y; name=\"open; z=1", "open"),
            ("x/y; name=\"open", "open"),
            ("x/y; z=\"1\" name=a", "a"),
            ("x/y name=a", "a"),
            ("name=a; name=b", "a"),
            ("x/y; name=\"a\" Other: b", "a"),
            ("x/y; z=\"; name=b\"; name=a", "a"),
            ("x/y; name=\"=?utf-8?q?=C3=A9?= =?utf-8?q?.pdf?=\"", "é.pdf"),
            ("x/y; name==?utf-8?q?=C3=A9?= =?utf-8?q?.pdf?=", "é.pdf"),
            ("x/y; filename=a", "-"),
            ("x/y; name", "-"),
            ("", "-"),
        ] {
            assert_eq!(name(field), expected, "{field}");
        }
    }

    #[test]
    fn rfc_2231_forms_are_joined_and_preferred() {
        for (field, expected) in [
            ("x/y; name*=utf-8'en'caf%C3%A9.pdf; name=cafe.pdf", "café.pdf"),
            (
                "x/y; name*0*=iso-8859-1''Fran%E7ois%20; name*1*=arriv%E9; name*2=\" ok%20\"",
                "François arrivé ok%20",
            ),
            ("x/y; name*1=\"b\"; name*0=\"a\"", "ab"),
            ("x/y; name*0*=utf-8''%C4; name*1*=%97.pdf", "ė.pdf"),
            ("x/y; name*=caf%C3%A9", "café"),
            ("x/y; name*=utf-8''50%", "50%"),
            ("x/y; name*0=\"=?utf-8?q?a=C3\"; name*1=\"=A9?=\"", "aé"),
        ] {
            assert_eq!(name(field), expected, "{field}");
        }
        assert_eq!(token(b"x/y; boundary*0=a; boundary*1=b", "boundary").as_deref(), Some(&b"ab"[..]));
    }

    proptest! {
        #[test]
        fn values_are_never_longer_than_three_times_the_field(field in "(x/y|;| |=|name|\\*|[0-3]|utf-8''|%C3|\"|\\\\|é){0,24}") {
            if let Some(value) = text(field.as_bytes(), "name", &CONTEXT) {
                prop_assert!(value.len() <= 3 * field.len());
            }
            prop_assert!(token(field.as_bytes(), "name").is_none_or(|value| value.len() <= field.len()));
        }
    }
}
