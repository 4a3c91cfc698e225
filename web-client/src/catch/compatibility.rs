//! Some HTML and CSS that widely used mail programs do not support. The list is not complete.
//!
//! The HTML is searched as text, so a feature inside a comment is found, too.

/// A feature, the texts that it contains, and the programs without support.
struct Feature {
    name: &'static str,
    /// In lower case, without white space.
    texts: &'static [&'static str],
    unsupported: &'static str,
}

const fn feature(name: &'static str, texts: &'static [&'static str], unsupported: &'static str) -> Feature {
    Feature { name, texts, unsupported }
}

const OUTLOOK: &str = "Outlook for Windows (classic)";
const OUTLOOK_AND_GMAIL: &str = "Outlook for Windows (classic), Gmail";

const FEATURES: &[Feature] = &[
    feature("<script>", &["<script"], "every mail program"),
    feature("<form>", &["<form"], "Outlook for Windows (classic); others warn or block the submission"),
    feature("<iframe>", &["<iframe"], "nearly every mail program"),
    feature("<video>, <audio>", &["<video", "<audio"], OUTLOOK_AND_GMAIL),
    feature("<svg> in the HTML", &["<svg"], OUTLOOK_AND_GMAIL),
    feature(
        "style sheet by <link>",
        &["rel=stylesheet", "rel=\"stylesheet\"", "rel='stylesheet'"],
        OUTLOOK_AND_GMAIL,
    ),
    feature(
        "<style> in the HTML",
        &["<style"],
        "Gmail with accounts of other providers; Gmail drops it over 16 KB",
    ),
    feature(
        "@media queries",
        &["@media"],
        "Outlook for Windows (classic), Gmail with accounts of other providers",
    ),
    feature("web fonts (@font-face)", &["@font-face"], OUTLOOK_AND_GMAIL),
    feature("@import", &["@import"], OUTLOOK_AND_GMAIL),
    feature("display: flex", &["display:flex", "display:inline-flex"], OUTLOOK),
    feature("display: grid", &["display:grid", "display:inline-grid"], OUTLOOK_AND_GMAIL),
    feature(
        "position",
        &["position:absolute", "position:relative", "position:fixed", "position:sticky"],
        OUTLOOK_AND_GMAIL,
    ),
    feature("background images", &["background-image:url(", "background:url("], OUTLOOK),
    feature("CSS variables", &["var(--"], OUTLOOK_AND_GMAIL),
    feature("border-radius", &["border-radius:"], OUTLOOK),
    feature("box-shadow", &["box-shadow:"], OUTLOOK),
    feature("max-width", &["max-width:"], OUTLOOK),
    feature("transform, animation", &["transform:", "animation:", "@keyframes"], OUTLOOK_AND_GMAIL),
    feature("WebP images", &[".webp", "data:image/webp"], OUTLOOK),
    feature("images as data: URLs", &["src=\"data:", "src='data:", "src=data:"], OUTLOOK_AND_GMAIL),
];

/// The features that HTML uses, each with the programs that do not support it.
pub(crate) fn gaps(html: &str) -> Vec<(&'static str, &'static str)> {
    let html: String = html.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let used = FEATURES.iter().filter(|feature| feature.texts.iter().any(|text| contains(&html, text)));
    used.map(|feature| (feature.name, feature.unsupported)).collect()
}

/// A property must not be the end of another one, such as `transform:` in `text-transform:`.
fn contains(html: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let starts_word = text.starts_with(is_word) && text.contains(':');
    html.match_indices(text).any(|(at, _)| !starts_word || !html[..at].ends_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn used_features_are_named_once() {
        let names = |html: &str| gaps(html).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("<p style=\"color: red\">Hello</p>"), [""; 0]);
        assert_eq!(
            names(
                "<STYLE>p { Display : FLEX; display:flex } @media print {}</STYLE><div style='background: url(x)'>"
            ),
            ["<style> in the HTML", "@media queries", "display: flex", "background images"]
        );
        assert_eq!(names("<p style='text-transform: uppercase'>"), [""; 0]);
        assert_eq!(names("<p style='a:b;transform: none'>"), ["transform, animation"]);
        assert_eq!(names("<link rel=stylesheet href=x>"), ["style sheet by <link>"]);
    }
}
