//! Header fields of a message or of a part (RFC 5322 section 2.2), parsed leniently.
//!
//! A header ends at the first empty line or at the first line that is not a field; that line then belongs to the body.
//! Two kinds of such lines do not end it: mbox's `From ` and `>From `, which are skipped, and the unindented
//! continuation of a parameter list (`boundary="x"` after a line that ends with `;`).

use std::borrow::Cow;

use memchr::memchr;

use super::limits::HEADER_BYTES_MAX;

/// A header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without white space after it.
    pub name: &'a [u8],
    /// The value: everything after the colon, still folded.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether the field has this name, in any case.
    #[must_use]
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header as `header_end` delimits it; other lines are skipped.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// Iterates over the fields of a header; fields after the first mebibyte are ignored.
#[must_use]
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: &header[..header.len().min(HEADER_BYTES_MAX)] }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while !self.rest.is_empty() {
            let mut end = line_end(self.rest, 0);
            let colon = name_and_colon(&self.rest[..end]);
            while end < self.rest.len() && continues(&self.rest[..end], &self.rest[end..]) {
                end = line_end(self.rest, end);
            }
            let (raw, rest) = self.rest.split_at(end);
            self.rest = rest;
            if let Some((name, colon)) = colon {
                return Some(Field { name: &raw[..name], value: &raw[colon + 1..] });
            }
        }
        None
    }
}

/// The end of the header that starts at `start`, and the start of the body, in octets from the start of `bytes`.
///
/// `is_boundary` returns whether a line that begins with `--` is a delimiter of an enclosing multipart; a delimiter
/// ends the header.
pub(super) fn header_end(bytes: &[u8], start: usize, is_boundary: impl Fn(&[u8]) -> bool) -> (usize, usize) {
    let mut at = start;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = &bytes[at..end];
        let is_blank = line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if is_blank && (at == start || !matches!(line[0], b' ' | b'\t')) {
            return (at, end);
        }
        if line.starts_with(b"--") && is_boundary(line) {
            return (at, at);
        }
        let belongs = name_and_colon(line).is_some()
            || is_mbox_line(line)
            || (at > start && continues(&bytes[start..at], &bytes[at..]));
        if !belongs {
            return (at, at);
        }
        at = end;
    }
    (at, at)
}

/// A field value without its line ends; its white space is unchanged.
#[must_use]
pub(super) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect())
}

/// An unstructured field value: every fold, with the white space after it, becomes one space.
#[must_use]
pub fn unfold_text(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut text = Vec::with_capacity(value.len());
    for (i, line) in value.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if i > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(if i > 0 { line.trim_ascii_start() } else { line });
    }
    Cow::Owned(text)
}

/// The length of the field name and the position of its colon, if the line starts a field.
fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    // ftext = %d33-57 / %d59-126 (RFC 5322 section 3.6.8)
    let name = line.iter().position(|byte| !matches!(byte, 33..=57 | 59..=126)).filter(|len| *len > 0)?;
    let colon = name + line[name..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    (line[colon] == b':').then_some((name, colon))
}

fn is_mbox_line(line: &[u8]) -> bool {
    line.strip_prefix(b">").unwrap_or(line).starts_with(b"From ")
}

/// Whether `next` continues the field that `before` ends with: it is indented, or it is a parameter after a semicolon.
fn continues(before: &[u8], next: &[u8]) -> bool {
    if matches!(next.first(), Some(b' ' | b'\t')) {
        return true;
    }
    let name = next.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'*'));
    let is_parameter = name.is_some_and(|len| len > 0 && next[len] == b'=');
    is_parameter && before.trim_ascii_end().ends_with(b";")
}

/// The octet after the line end of the line that contains `from`.
pub(super) fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn split(message: &str) -> (&str, &str) {
        let (header, body) = header_end(message.as_bytes(), 0, |line| line.starts_with(b"--b"));
        (&message[..header], &message[body..])
    }

    #[test]
    fn header_ends_at_an_empty_line_or_a_line_that_is_not_a_field() {
        for (message, header, body) in [
            ("A: 1\r\n\r\nbody", "A: 1\r\n", "body"),
            ("A: 1\n\nbody", "A: 1\n", "body"),
            ("A: 1\n", "A: 1\n", ""),
            ("A: 1", "A: 1", ""),
            ("", "", ""),
            ("\r\nbody", "", "body"),
            ("  \nA: 1\n", "", "A: 1\n"),
            (" body\n\nrest", "", " body\n\nrest"),
            ("A: 1\nHello Bob,\n\nBye", "A: 1\n", "Hello Bob,\n\nBye"),
            ("A: 1\n \nB: 2\n\nbody", "A: 1\n \nB: 2\n", "body"),
            ("A: 1\n>From a Mon\nB: 2\n\nbody", "A: 1\n>From a Mon\nB: 2\n", "body"),
            ("From a Mon\nA: 1\n\nbody", "From a Mon\nA: 1\n", "body"),
            ("A: x;\nboundary=\"b\"\n\nbody", "A: x;\nboundary=\"b\"\n", "body"),
            ("A: x\nboundary=\"b\"\n\nbody", "A: x\n", "boundary=\"b\"\n\nbody"),
            ("A: 1\n--b\nB: 2", "A: 1\n", "--b\nB: 2"),
            ("A: 1\n--c: 2\n\nbody", "A: 1\n--c: 2\n", "body"),
        ] {
            assert_eq!(split(message), (header, body), "{message:?}");
        }
    }

    #[test]
    fn fields_have_their_continuations() {
        let header = b"From a Mon\nA : 1\r\n\t2\r\nB:x;\nname=y\r\nC:";
        let all: Vec<_> = fields(header).map(|field| (field.name, field.value)).collect();
        assert_eq!(all, [(&b"A"[..], &b" 1\r\n\t2\r\n"[..]), (b"B", b"x;\nname=y\r\n"), (b"C", b"")]);
        assert_eq!(*unfold(all[0].1), *b"1\t2");
        assert_eq!(*unfold_text(b" a\r\n  b\n\tc d \r\n"), *b"a b c d");
    }
}
