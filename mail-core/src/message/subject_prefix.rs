//! Prefixes of the subjects of replies and forwarded messages.
//!
//! RFC 5322 section 3.6.5 knows `Re: ` only. Mail programs use the words of their languages, counters and other colons:
//! `AW: `, `Re[2]: `, `Re : `, `回复：`. A subject has one prefix after each answer, so the known prefixes at its start are
//! replaced.

/// Words for a reply, in lower case: the languages of widespread mail programs. Words that also begin ordinary subjects,
/// such as `R` and `REF`, are omitted.
const REPLY: &[&str] = &[
    "re",
    "aw",
    "antw",
    "antwort",
    "atb",
    "bls",
    "odp",
    "res",
    "rif",
    "sv",
    "vs",
    "vá",
    "ynt",
    "απ",
    "σχετ",
    "отв",
    "תגובה",
    "رد",
    "回复",
    "回覆",
    "答复",
    "答覆",
    "返信",
];

/// Words for a forwarded message, in lower case.
const FORWARD: &[&str] = &[
    "fwd",
    "fw",
    "doorst",
    "enc",
    "i̇lt",
    "ilt",
    "pd",
    "rv",
    "tr",
    "vb",
    "vl",
    "vs",
    "wg",
    "πρθ",
    "пер",
    "הועבר",
    "إعادة توجيه",
    "转发",
    "轉寄",
    "轉發",
    "転送",
];

/// The subject of a reply: `Re: `, then the subject without its reply prefixes.
pub(super) fn reply(subject: &str) -> String {
    format!("Re: {}", strip(subject, REPLY))
}

/// The subject of a forwarded message: `Fwd: `, then the subject without its forward prefixes.
pub(super) fn forward(subject: &str) -> String {
    format!("Fwd: {}", strip(subject, FORWARD))
}

fn strip<'a>(subject: &'a str, words: &[&str]) -> &'a str {
    let mut rest = subject.trim();
    while let Some(shorter) = strip_one(rest, words) {
        rest = shorter.trim_start();
    }
    rest
}

/// ```abnf
/// prefix  = word *WSP [counter] *WSP ( ":" / "：" )
/// counter = "[" 1*DIGIT "]" / "(" 1*DIGIT ")" / "^" 1*DIGIT / "*" 1*DIGIT
/// ```
fn strip_one<'a>(subject: &'a str, words: &[&str]) -> Option<&'a str> {
    let colon = subject.find([':', '：'])?;
    let (prefix, rest) = subject.split_at(colon);
    let word = without_counter(prefix.trim_end()).trim_end().to_lowercase();
    let mut rest = rest.chars();
    rest.next();
    words.contains(&word.as_str()).then_some(rest.as_str())
}

fn without_counter(prefix: &str) -> &str {
    let digits = prefix.strip_suffix([']', ')']).unwrap_or(prefix);
    let before = digits.trim_end_matches(|c: char| c.is_ascii_digit());
    if before.len() == digits.len() {
        return prefix;
    }
    let openings: &[char] = match prefix.chars().next_back() {
        Some(']') => &['['],
        Some(')') => &['('],
        _ => &['^', '*'],
    };
    before.strip_suffix(openings).unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn reply_has_one_prefix() {
        for subject in [
            "offer",
            "Re: offer",
            "RE:offer",
            "re : offer",
            "Re[2]: offer",
            "Re (3): offer",
            "Re^4: offer",
            "RE*5: offer",
            "AW: offer",
            "Antw: offer",
            "SV: RE: offer",
            "回复：offer",
            "回覆: Re：offer",
            "  Odp:  Re:  offer ",
            "Re:\u{a0}offer",
            "ΑΠ: offer",
        ] {
            assert_eq!(reply(subject), "Re: offer", "{subject}");
        }
    }

    #[test]
    fn forwarded_message_has_one_prefix() {
        for subject in [
            "offer",
            "Fwd: offer",
            "FW: Fw : offer",
            "WG: offer",
            "TR: WG[2]: offer",
            "转发：offer",
            "İLT: offer",
        ] {
            assert_eq!(forward(subject), "Fwd: offer", "{subject}");
        }
    }

    #[test]
    fn other_words_and_the_other_prefix_remain() {
        for (subject, expected) in [
            ("FW: offer", "Re: FW: offer"),
            ("Re: Fwd: Re: offer", "Re: Fwd: Re: offer"),
            ("Release: 1.0", "Re: Release: 1.0"),
            ("Re[x]: offer", "Re: Re[x]: offer"),
            ("Re[2): offer", "Re: Re[2): offer"),
            ("REF: 12", "Re: REF: 12"),
            ("Re", "Re: Re"),
            ("12:30", "Re: 12:30"),
            ("", "Re: "),
            ("Re:", "Re: "),
        ] {
            assert_eq!(reply(subject), expected, "{subject}");
        }
        assert_eq!(forward("Re: offer"), "Fwd: Re: offer");
    }

    proptest! {
        #[test]
        fn answer_to_an_answer_has_the_same_subject(subject in "((re|AW|回复|Fwd)(\\[[0-9]\\])? ?[:：]){0,3}\\PC{0,20}") {
            prop_assert_eq!(reply(&reply(&subject)), reply(&subject));
            prop_assert_eq!(forward(&forward(&subject)), forward(&subject));
        }
    }
}
