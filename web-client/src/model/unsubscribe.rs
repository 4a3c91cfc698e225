//! The way out of a mailing list: List-Unsubscribe (RFC 2369) and one-click unsubscribing (RFC 8058).

use mail_core::message::header;

/// Octets of the field that are read.
const FIELD_OCTETS_MAX: usize = 8 * 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsubscribe {
    /// A request without another question, by POST.
    OneClick(String),
    /// A `mailto` URL.
    Mail(String),
    /// A web page.
    Page(String),
}

impl Unsubscribe {
    /// The best way that the header offers.
    pub(crate) fn find(header: &[u8]) -> Option<Self> {
        let value = |name| {
            let field = header::first(header, name)?;
            let value = &field.value[..field.value.len().min(FIELD_OCTETS_MAX)];
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let list = value("List-Unsubscribe")?;
        let urls: Vec<String> = list
            .split('<')
            .skip(1)
            .filter_map(|part| part.split_once('>'))
            .map(|(url, _)| url.split_whitespace().collect())
            .collect();
        let find = |scheme: &str| {
            let has_scheme =
                |url: &&String| url.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
            urls.iter().find(has_scheme).cloned()
        };
        let is_one_click = value("List-Unsubscribe-Post")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("List-Unsubscribe=One-Click"));
        let page = find("https:");
        match (page, find("mailto:")) {
            (Some(page), _) if is_one_click => Some(Self::OneClick(page)),
            (_, Some(mail)) => Some(Self::Mail(mail)),
            (Some(page), None) => Some(Self::Page(page)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn best_way_is_found() {
        use Unsubscribe::{Mail, OneClick, Page};
        let find = |header: &str| Unsubscribe::find(header.as_bytes());
        let both = "List-Unsubscribe: <mailto:out@x.y?subject=z>,\r\n <HTTPS://x.y/\r\n out>\r\n";
        assert_eq!(find(both), Some(Mail("mailto:out@x.y?subject=z".to_owned())));
        let one_click = format!("{both}List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
        assert_eq!(find(&one_click), Some(OneClick("HTTPS://x.y/out".to_owned())));
        assert_eq!(find("List-Unsubscribe: <https://x.y>\r\n"), Some(Page("https://x.y".to_owned())));
        for header in
            ["", "List-Unsubscribe: <http://x.y>, <javascript:x>\r\n", "List-Unsubscribe: https://x.y\r\n"]
        {
            assert_eq!(find(header), None, "{header}");
        }
    }
}
