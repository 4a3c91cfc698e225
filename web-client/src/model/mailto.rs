//! `mailto` URLs (RFC 6068).

/// Octets of a URL that are read.
const URL_OCTETS_MAX: usize = 100_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mailto {
    /// Addresses, separated by commas.
    pub(crate) to: String,
    pub(crate) cc: String,
    pub(crate) bcc: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Mailto {
    /// `decode` is `decodeURIComponent` and returns `None` for malformed escapes. Unknown fields are ignored.
    pub(crate) fn parse(url: &str, decode: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once(':')?;
        if !scheme.eq_ignore_ascii_case("mailto") || rest.len() > URL_OCTETS_MAX {
            return None;
        }
        let decoded = |text: &str| decode(text).unwrap_or_else(|| text.to_owned());
        let (to, fields) = rest.split_once('?').unwrap_or((rest, ""));
        let mut mailto = Self { to: decoded(to), ..Self::default() };
        for (name, value) in fields.split('&').filter_map(|field| field.split_once('=')) {
            let value = decoded(value);
            let add = |list: &mut String, value: String| {
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(&value);
            };
            match decoded(name).to_ascii_lowercase().as_str() {
                "to" => add(&mut mailto.to, value),
                "cc" => add(&mut mailto.cc, value),
                "bcc" => add(&mut mailto.bcc, value),
                "subject" => mailto.subject = value.replace(char::is_control, " "),
                "body" => mailto.body = value.replace("\r\n", "\n"),
                _ => {}
            }
        }
        Some(mailto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn decode(text: &str) -> Option<String> {
        (!text.contains("%zz"))
            .then(|| text.replace("%20", " ").replace("%2C", ",").replace("%0D%0A", "\r\n"))
    }

    #[test]
    fn fields_are_decoded() {
        let mailto = Mailto::parse(
            "MAILTO:a@b.c%2Cd@e.f?subject=Hi%20you&CC=g@h.i&to=j@k.l&body=1%0D%0A2&x=y",
            decode,
        );
        assert_eq!(
            mailto,
            Some(Mailto {
                to: "a@b.c,d@e.f, j@k.l".to_owned(),
                cc: "g@h.i".to_owned(),
                bcc: String::new(),
                subject: "Hi you".to_owned(),
                body: "1\n2".to_owned(),
            })
        );
        assert_eq!(Mailto::parse("mailto:a%zz", decode).map(|mailto| mailto.to), Some("a%zz".to_owned()));
        assert_eq!(
            Mailto::parse("mailto:a?subject=%0D%0Ax", decode).map(|mailto| mailto.subject),
            Some("  x".to_owned())
        );
        assert_eq!(Mailto::parse("https://x", decode), None);
    }
}
