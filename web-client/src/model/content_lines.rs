//! Content lines of vCard (RFC 6350 section 3.3) and iCalendar (RFC 5545 section 3.1): `NAME;PARAMETER=VALUE:value`.

/// Lines of a file that are read.
pub(crate) const LINES_MAX: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentLine {
    /// In upper case, without a group.
    pub(crate) name: String,
    /// Names in upper case.
    pub(crate) parameters: Vec<(String, String)>,
    /// As written, with its escapes.
    pub(crate) value: String,
}

impl ContentLine {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value as text.
    pub(crate) fn text(&self) -> String {
        unescape(&self.value)
    }
}

/// The lines of a file. Lines that are none are skipped.
pub(crate) fn parse(text: &str) -> Vec<ContentLine> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix([' ', '\t']) {
            Some(rest) if !lines.is_empty() => lines.last_mut().expect("it is not empty").push_str(rest),
            _ if lines.len() < LINES_MAX => lines.push(line.to_owned()),
            _ => break,
        }
    }
    lines.iter().filter_map(|line| content_line(line)).collect()
}

/// Whether [`parse`] omits lines of this text.
pub(crate) fn is_cut(text: &str) -> bool {
    text.lines().filter(|line| !line.starts_with([' ', '\t'])).nth(LINES_MAX).is_some()
}

/// Writes a line with its folds and its end.
pub(crate) fn write(out: &mut String, name: &str, value: &str) {
    let line = format!("{name}:{value}");
    let mut octets = 0;
    for c in line.chars() {
        // 75 octets, without the line end.
        if octets + c.len_utf8() > 75 {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(c);
        octets += c.len_utf8();
    }
    out.push_str("\r\n");
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace(['\r', '\n'], "\\n")
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            c => text.push(c),
        }
    }
    text
}

fn content_line(line: &str) -> Option<ContentLine> {
    let mut is_quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        is_quoted ^= *c == '"';
        *c == ':' && !is_quoted
    })?;
    let (head, value) = (&line[..colon.0], &line[colon.0 + 1..]);
    let mut parts = split_unquoted(head, ';').into_iter();
    let name = parts.next()?.rsplit('.').next()?.trim().to_uppercase();
    if name.is_empty() {
        return None;
    }
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or(("TYPE", part));
        (name.trim().to_uppercase(), value.trim_matches('"').to_owned())
    };
    Some(ContentLine { name, parameters: parts.map(parameter).collect(), value: value.to_owned() })
}

fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lines_are_unfolded_and_split() {
        let lines = parse("item1.EMAIL;TYPE=\"a:b\";PREF:x@\r\n y.z\r\nno line\r\nNOTE:a\\nb\\, c\\\\d\r\n");
        assert_eq!((lines[0].name.as_str(), lines[0].value.as_str()), ("EMAIL", "x@y.z"));
        assert_eq!(lines[0].parameter("TYPE"), Some("a:b"));
        assert_eq!((lines.len(), lines[1].text().as_str()), (2, "a\nb, c\\d"));
    }

    #[test]
    fn written_lines_are_folded_and_read_back() {
        let text = "Jörg; \"the\" man, with a name that is longer than a line of seventy-five octets \\ ß";
        let mut out = String::new();
        write(&mut out, "FN", &escape(text));
        assert!(out.lines().count() > 1 && out.lines().all(|line| line.len() <= 75), "{out}");
        assert_eq!(parse(&out)[0].text(), text);
    }
}
