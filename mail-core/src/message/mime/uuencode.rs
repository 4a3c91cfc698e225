//! Files in uuencode: in a text between `begin` and `end` lines, or as a part with the encoding x-uuencode.

use memchr::memmem;

use super::field::line_end;

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File<'a> {
    /// The name in the `begin` line.
    pub(super) name: &'a [u8],
    pub(super) bytes: Vec<u8>,
    /// The position of the `begin` line.
    start: usize,
    /// The octet after the `end` line.
    end: usize,
}

/// The first complete file.
pub(super) fn first(text: &[u8]) -> Option<File<'_>> {
    find(text, 0)
}

/// Removes all complete files from a text; `None` if there are none.
pub(super) fn extract(text: &[u8]) -> Option<(Vec<u8>, Vec<File<'_>>)> {
    let (mut remaining, mut files, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(file) = find(text, at) {
        remaining.extend_from_slice(&text[at..file.start]);
        at = file.end;
        files.push(file);
    }
    remaining.extend_from_slice(&text[at..]);
    (!files.is_empty()).then_some((remaining, files))
}

/// A `begin` line is not a data line, so no octet is decoded twice and the search is linear.
fn find(text: &[u8], from: usize) -> Option<File<'_>> {
    let mut at = from;
    while let Some(found) = memmem::find(&text[at..], b"begin ") {
        let start = at + found;
        at = start + 1;
        if start > from && text[start - 1] != b'\n' {
            continue;
        }
        let data = line_end(text, start);
        let Some(name) = file_name(&text[start..data]) else { continue };
        if let Some((bytes, end)) = decode(text, data) {
            return Some(File { name, bytes, start, end });
        }
    }
    None
}

/// The name in `begin mode name`; the mode has three or four octal digits.
fn file_name(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"begin ")?.trim_ascii();
    let mode = rest.iter().position(|byte| !matches!(byte, b'0'..=b'7'))?;
    let name = rest[mode..].trim_ascii();
    ((3..=4).contains(&mode) && rest[mode] == b' ' && !name.is_empty()).then_some(name)
}

/// The data from `start` and the octet after the `end` line.
fn decode(text: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::new();
    let mut at = start;
    while at < text.len() {
        let end = line_end(text, at);
        let line = &text[at..end];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at = end;
        if line.trim_ascii_end() == b"end" {
            return Some((bytes, at));
        }
        decode_line(line, &mut bytes)?;
    }
    None
}

/// A line: its length in octets, then four characters for three octets. Spaces at its end may be missing, and a
/// checksum may follow.
fn decode_line(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let value = |byte: u8| matches!(byte, b' '..=b'`').then(|| (byte - b' ') & 63);
    let Some((length, data)) = line.split_first() else { return Some(()) };
    let length = usize::from(value(*length)?);
    if data.len() > length.div_ceil(3) * 4 + 2 {
        return None;
    }
    let end = out.len() + length;
    for group in data.chunks(4) {
        let mut bits = 0;
        for i in 0..4 {
            bits = bits << 6 | u32::from(value(group.get(i).copied().unwrap_or(b' '))?);
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    out.resize(end, 0);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn complete_files_are_extracted() {
        let text = b"Hi\r\nbegin 644 a b.txt\r\n#0V%T\r\n`\r\nend\r\nbye\nbegin 0755 c\n#0V%T\n \nend\n";
        let (remaining, files) = extract(text).unwrap();
        assert_eq!(remaining, b"Hi\r\nbye\n");
        let files: Vec<_> = files.iter().map(|file| (file.name, file.bytes.as_slice())).collect();
        assert_eq!(files, [(&b"a b.txt"[..], &b"Cat"[..]), (b"c", b"Cat")]);
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in [
            &b"begin 644 a.txt\n#0V%T\n`\n"[..],
            b"we begin 644 a.txt\n#0V%T\n`\nend\n",
            b"begin with words\nend\n",
            b"begin 644 a.txt\nThis is a sentence.\nend\n",
            b"",
        ] {
            assert_eq!(extract(text), None);
        }
    }

    proptest! {
        #[test]
        fn files_are_no_longer_than_their_text(text in "(begin 644 a\n|#0V%T\n|M[ -`]{0,61}\n|`\n|end\n|[a-z ]{0,9}\n){0,12}") {
            if let Some((remaining, files)) = extract(text.as_bytes()) {
                let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
                prop_assert!(remaining.len() < text.len() && bytes <= 64 * text.len());
            }
        }
    }
}
