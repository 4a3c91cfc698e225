//! Quotations in plain text: lines that begin with `>` (RFC 3676 section 4.5).

/// Quotations of longer texts are not looked for, which bounds the number of elements.
pub(crate) const TEXT_OCTETS_MAX: usize = 256 * 1_024;
/// Deeper quotations look like this depth.
const DEPTH_MAX: usize = 5;
/// Longer quotations are folded wherever they are.
const LINES_SHOWN_MAX: usize = 12;

/// Consecutive lines with the same depth of quotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// 0 outside of quotations.
    pub(crate) depth: usize,
    /// Without the quotation marks.
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Quotation {
        passages: Vec<Passage>,
        /// It is hidden until the user asks for it.
        is_folded: bool,
    },
}

/// Splits a text into quotations and the text between them. A quotation is folded if it ends the text or is long, and if
/// the text has words of its own. `text` has at most [`TEXT_OCTETS_MAX`] octets.
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for passage in passages(text) {
        match (passage.depth, parts.last_mut()) {
            (0, _) => parts.push(Part::Text(passage.text)),
            (_, Some(Part::Quotation { passages, .. })) => passages.push(passage),
            _ => parts.push(Part::Quotation { passages: vec![passage], is_folded: false }),
        }
    }
    let is_own = |part: &Part| matches!(part, Part::Text(text) if !text.trim().is_empty());
    if !parts.iter().any(is_own) {
        return parts;
    }
    let last = parts.iter().rposition(|part| is_own(part) || matches!(part, Part::Quotation { .. }));
    for (at, part) in parts.iter_mut().enumerate() {
        if let Part::Quotation { passages, is_folded } = part {
            let lines: usize = passages.iter().map(|passage| passage.text.lines().count()).sum();
            *is_folded = Some(at) == last || lines > LINES_SHOWN_MAX;
        }
    }
    parts
}

fn passages(text: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    for line in text.split_inclusive('\n') {
        let (depth, rest) = quotation_depth(line);
        match passages.last_mut() {
            Some(last) if last.depth == depth => last.text.push_str(rest),
            _ => passages.push(Passage { depth, text: rest.to_owned() }),
        }
    }
    passages
}

/// The number of quotation marks of a line, and the line without them. Mail programs write `> > ` and `>> `.
fn quotation_depth(line: &str) -> (usize, &str) {
    let (mut depth, mut rest) = (0, line);
    while depth < DEPTH_MAX {
        let unspaced = if depth == 0 { rest } else { rest.strip_prefix(' ').unwrap_or(rest) };
        let Some(quoted) = unspaced.strip_prefix('>') else { break };
        depth += 1;
        rest = quoted;
    }
    if depth > 0 {
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    (depth, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn quotation(passages: &[(usize, &str)], is_folded: bool) -> Part {
        let passage = |(depth, text): &(usize, &str)| Passage { depth: *depth, text: (*text).to_owned() };
        Part::Quotation { passages: passages.iter().map(passage).collect(), is_folded }
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn depth_is_the_number_of_quotation_marks() {
        for (line, depth, rest) in [
            ("Hello", 0, "Hello"),
            ("> a", 1, "a"),
            (">a", 1, "a"),
            (">  a", 1, " a"),
            ("> > a", 2, "a"),
            (">> a", 2, "a"),
            (" > a", 0, " > a"),
            (">", 1, ""),
            (">>>>>> a", 5, "> a"),
        ] {
            assert_eq!(quotation_depth(line), (depth, rest), "{line}");
        }
    }

    #[test]
    fn quotation_at_the_end_is_folded_and_one_that_is_answered_is_not() {
        assert_eq!(
            parts("Yes.\n\nAg wrote:\n> See you?\n>> Where?\n> At five.\n\n"),
            [
                text("Yes.\n\nAg wrote:\n"),
                quotation(&[(1, "See you?\n"), (2, "Where?\n"), (1, "At five.\n")], true),
                text("\n"),
            ]
        );
        assert_eq!(
            parts("> See you?\nYes.\n> When?\nAt five.\n"),
            [
                quotation(&[(1, "See you?\n")], false),
                text("Yes.\n"),
                quotation(&[(1, "When?\n")], false),
                text("At five.\n")
            ]
        );
        let long = "> line\n".repeat(LINES_SHOWN_MAX + 1);
        assert!(matches!(&parts(&format!("{long}Yes."))[0], Part::Quotation { is_folded: true, .. }));
    }

    #[test]
    fn text_without_own_words_is_not_folded() {
        assert_eq!(parts("\n> all\n"), [text("\n"), quotation(&[(1, "all\n")], false)]);
        assert_eq!(parts(""), []);
    }
}
