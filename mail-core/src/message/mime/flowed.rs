//! Text in format=flowed (RFC 3676): paragraphs whose lines the sender wrapped.

/// Joins the lines of each paragraph. `has_delsp`: the space before a line end is not part of the text (DelSp=yes).
#[must_use]
pub(super) fn unwrap(text: &str, has_delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // The quote depth of the paragraph that the next line continues.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let content = content.strip_suffix('\r').unwrap_or(content);
        let line_end = &line[content.len()..];
        let unquoted = content.trim_start_matches('>');
        let depth = content.len() - unquoted.len();
        let unstuffed = unquoted.strip_prefix(' ').unwrap_or(unquoted);
        let is_signature = unstuffed == "-- ";
        if open.is_some_and(|paragraph| paragraph != depth || is_signature) {
            out.push_str("\r\n");
            open = None;
        }
        if open.is_none() && depth > 0 {
            out.push_str(&content[..depth]);
            out.push(' ');
        }
        let is_flowed = unstuffed.ends_with(' ') && !is_signature && !line_end.is_empty();
        if is_flowed {
            out.push_str(if has_delsp { &unstuffed[..unstuffed.len() - 1] } else { unstuffed });
            open = Some(depth);
        } else {
            out.push_str(unstuffed);
            out.push_str(line_end);
            open = None;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn paragraphs_become_lines() {
        for (text, expected) in [
            ("a \r\nb \r\nc\r\n\r\nd\r\n", "a b c\r\n\r\nd\r\n"),
            (" From x\r\n >y\r\n", "From x\r\n>y\r\n"),
            (">> a \r\n>> b\r\n> c \r\nd\r\n", ">> a b\r\n> c \r\nd\r\n"),
            ("a \r\n-- \r\nsig\r\n", "a \r\n-- \r\nsig\r\n"),
            ("a \nb ", "a b "),
            ("", ""),
        ] {
            assert_eq!(unwrap(text, false), expected, "{text:?}");
        }
        assert_eq!(unwrap("https://a.b/c \r\nd\r\n日本 \r\n語\r\n", true), "https://a.b/cd\r\n日本語\r\n");
    }

    proptest! {
        #[test]
        fn characters_other_than_white_space_are_unchanged(text in "([a-z>é -]{0,6}\r?\n?){0,12}", has_delsp: bool) {
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '>').collect::<String>();
            prop_assert_eq!(visible(&unwrap(&text, has_delsp)), visible(&text));
        }
    }
}
