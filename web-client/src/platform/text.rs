//! Text comparison that ignores case and accents.

use js_sys::JsString;

/// The text without case and accents: compatibility decomposition (NFKD) without combining marks, in lower case, with `ss`
/// for `ß`.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let decomposed = String::from(JsString::from(text).normalize("NFKD"));
    let mut folded = String::with_capacity(decomposed.len());
    let letters = decomposed.chars().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    for c in letters {
        match c {
            'ß' => folded.push_str("ss"),
            c => folded.push(c),
        }
    }
    folded
}

/// The blocks of combining diacritical marks of Unicode.
const fn is_combining_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// `normalize` exists on WebAssembly only.
#[cfg(all(test, target_arch = "wasm32"))]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn fold_ignores_case_accents_and_compatibility_forms() {
        for (text, folded) in [
            ("Hello", "hello"),
            ("Élève", "eleve"),
            ("e\u{301}le\u{300}ve", "eleve"),
            ("STRASSE Straße ẞ", "strasse strasse ss"),
            ("Ünïcöde", "unicode"),
            ("Привіт, Йосип", "привіт, иосип"),
            ("ﬁne ①", "fine 1"),
            ("日本語", "日本語"),
        ] {
            // Both sides are folded, so the result only has to be the same.
            assert_eq!(fold(text), fold(folded), "{text}");
        }
        assert_eq!(fold("Élève Straße"), "eleve strasse");
    }
}
