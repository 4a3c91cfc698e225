//! The Authentication-Results field (RFC 8601): results of SPF, DKIM, DMARC and others, as a server adds them to a message.
//!
//! A reader may trust the field of its own server only, so a server removes fields in its own name from messages that arrive.

use std::borrow::Cow;
use std::fmt::{self, Display};

use super::address::Domain;
use super::header::{Field, fields};

/// Longest value of a property. Longer ones are truncated.
const VALUE_OCTETS_MAX: usize = 255;
const NAME: &str = "Authentication-Results";
/// Results that [`parse`] returns. A server adds one for each method and each DKIM signature.
const RESULTS_MAX: usize = 20;

/// The result of a method (`methodspec` and `propspec` of RFC 8601 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc`, `iprev`.
    pub method: &'static str,
    /// `pass`, `fail`, `none` and others (RFC 8601 section 2.7).
    pub result: &'static str,
    /// A property's type and name, such as `header.d`, and its value, which may come from the message.
    pub properties: Vec<(&'static str, String)>,
}

/// Formats the field with its CRLF. `authserv_id` is the name of the server.
#[must_use]
pub fn format(authserv_id: &str, results: &[MethodResult]) -> String {
    let mut field = format!("{NAME}: {authserv_id}");
    if results.is_empty() {
        field.push_str("; none");
    }
    for result in results {
        field.push_str(";\r\n\t");
        field.push_str(&result.to_string());
    }
    field + "\r\n"
}

impl Display for MethodResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.method, self.result)?;
        self.properties.iter().try_for_each(|(name, value)| write!(f, " {name}={}", property_value(value)))
    }
}

/// A value as a token, or else as a quoted string. A character that neither can contain becomes `?`.
fn property_value(value: &str) -> String {
    let end = value.floor_char_boundary(VALUE_OCTETS_MAX);
    let printable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let value: String = value[..end].chars().map(printable).collect();
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~@/:".contains(c);
    if !value.is_empty() && value.chars().all(is_token) {
        return value;
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The methods and results in the fields of `authserv_id`, in lower case. Fields of other servers may be forged. At most
/// 20.
#[must_use]
pub fn parse(header: &[u8], authserv_id: &str) -> Vec<(String, String)> {
    let own = fields(header).filter(|field| is_of(authserv_id, field));
    own.flat_map(|field| parts(field.value).skip(1).filter_map(method_result)).take(RESULTS_MAX).collect()
}

/// The parts of a field's value between semicolons. Those in quoted strings and comments, which hold text of the sender, do not count.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped, mut depth) = (false, false, 0_usize);
    value.split(move |octet| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        match octet {
            b'\\' => is_escaped = is_quoted || depth > 0,
            b'"' if depth == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => depth += 1,
            b')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        *octet == b';' && !is_quoted && depth == 0
    })
}

/// Method and result at the start of a part.
fn method_result(part: &[u8]) -> Option<(String, String)> {
    let rest = skip_comments(part)?;
    let end = rest.iter().position(|octet| octet.is_ascii_whitespace() || *octet == b'(');
    let (method, result) = str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()?.split_once('=')?;
    let is_keyword =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_keyword(method) && is_keyword(result))
        .then(|| (method.to_ascii_lowercase(), result.to_ascii_lowercase()))
}

/// Appends the fields of a header to `out`, without Authentication-Results fields in the name of `authserv_id` (RFC 8601
/// section 5).
pub fn remove(authserv_id: &str, header: &[u8], out: &mut Vec<u8>) {
    let kept = fields(header).filter(|field| !is_of(authserv_id, field));
    kept.for_each(|field| out.extend_from_slice(field.raw));
}

/// Whether a field has results in the name of `authserv_id`.
fn is_of(authserv_id: &str, field: &Field<'_>) -> bool {
    field.is(NAME) && claimed_id(field.value).is_some_and(|id| is_same_server(&id, authserv_id))
}

fn is_same_server(claimed: &str, authserv_id: &str) -> bool {
    let claimed = claimed.trim_end_matches('.');
    let ascii = Domain::parse(claimed).map(|domain| domain.ascii().into_owned());
    ascii.as_deref().unwrap_or(claimed).eq_ignore_ascii_case(authserv_id)
}

/// The authserv-id at the start of a field's value: a token or a quoted string, after comments.
fn claimed_id(value: &[u8]) -> Option<Cow<'_, str>> {
    let rest = skip_comments(value)?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let mut id = Vec::new();
        let mut octets = quoted.iter();
        while let Some(octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => id.extend(octets.next()),
                b'\r' | b'\n' => {}
                octet => id.push(*octet),
            }
        }
        return Some(String::from_utf8_lossy(&id).into_owned().into());
    }
    let end = rest
        .iter()
        .position(|octet| !octet.is_ascii_graphic() && octet.is_ascii() || matches!(octet, b';' | b'('));
    Some(String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]))
}

/// The text after white space and comments, which nest (RFC 5322 section 3.2.2). `None`: a comment has no end.
fn skip_comments(value: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(octet) = value.get(at) {
        match octet {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b'\\' if depth > 0 => at += 1,
            octet if depth == 0 && !octet.is_ascii_whitespace() => return Some(&value[at..]),
            _ => {}
        }
        at += 1;
    }
    (depth == 0).then_some(&[])
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn removed(header: &str) -> String {
        let mut out = Vec::new();
        remove("mx.iit.edu", header.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_in_the_name_of_this_server_are_removed() {
        for forged in [
            "Authentication-Results: mx.iit.edu; dmarc=pass\r\n",
            "authentication-results :mx.iit.edu;\r\n\tspf=pass\r\n",
            "Authentication-Results: MX.IIT.EDU. 1; none\r\n",
            "Authentication-Results:\r\n (a (nested \\) comment)) \"mx\\.iit.edu\" ; dkim=pass\r\n",
            "Authentication-Results: mx.iit.edu(comment); dkim=pass\r\n",
            "Authentication-Results: mx.iit.edu\r\n",
            "Authentication-Results: mx\u{ff0e}iit.edu; none\r\n",
        ] {
            let header = format!("A: b\r\n{forged}Subject: x\r\n");
            assert_eq!(removed(&header), "A: b\r\nSubject: x\r\n", "{forged}");
        }
    }

    #[test]
    fn other_fields_are_unchanged() {
        let header = "Authentication-Results: other.example; spf=pass\r\n\
            Authentication-Results: (mx.iit.edu) other.example; spf=pass\r\n\
            Authentication-Results: mx.iit.edu.example; spf=pass\r\nAuthentication-Results:\r\n\
            X-Authentication-Results: mx.iit.edu; spf=pass\r\nmx.iit.edu\r\n\tx\r\n";
        assert_eq!(removed(header), header);
    }

    #[test]
    fn values_of_the_sender_cannot_add_a_result_or_a_line() {
        let results = [MethodResult {
            method: "spf",
            result: "none",
            properties: vec![
                ("smtp.mailfrom", "ag@iit.edu".into()),
                ("smtp.helo", "a;\r\n dmarc=pass \"é\\".into()),
                ("header.d", "x".repeat(1_000)),
            ],
        }];
        assert_eq!(
            format("mx.iit.edu", &results),
            format!(
                "Authentication-Results: mx.iit.edu;\r\n\tspf=none smtp.mailfrom=ag@iit.edu \
                 smtp.helo=\"a;?? dmarc=pass \\\"?\\\\\" header.d={}\r\n",
                "x".repeat(255)
            )
        );
        assert_eq!(format("mx.iit.edu", &[]), "Authentication-Results: mx.iit.edu; none\r\n");
    }

    #[test]
    fn results_of_this_server_are_parsed() {
        let header = b"Authentication-Results: mx.iit.edu;\r\n\tspf=pass smtp.mailfrom=x@y.z;\r\n\tDKIM=Fail (bad) header.d=y.z; \
            dmarc=none\r\nAuthentication-Results: other.example; arc=pass\r\nSubject: x\r\n";
        let results = parse(header, "MX.iit.edu");
        let results: Vec<_> = results.iter().map(|(method, result)| format!("{method}={result}")).collect();
        assert_eq!(results, ["spf=pass", "dkim=fail", "dmarc=none"]);
        assert_eq!(parse(b"Authentication-Results: mx.iit.edu; none\r\n", "mx.iit.edu"), []);
        // Semicolons in quoted strings and comments separate nothing.
        let header =
            b"Authentication-Results: mx.iit.edu; spf=none smtp.mailfrom=\"\\\"; dmarc=pass x\"@y.z; \
            iprev=fail (; dkim=pass ) policy.iprev=192.0.2.1; (c) arc=none(c)\r\n";
        let results: Vec<_> =
            parse(header, "mx.iit.edu").into_iter().map(|(method, result)| method + "=" + &result).collect();
        assert_eq!(results, ["spf=none", "iprev=fail", "arc=none"]);
        let many = format!("Authentication-Results: a.b; {}\r\n", "spf=pass; ".repeat(100));
        assert_eq!(parse(many.as_bytes(), "a.b").len(), RESULTS_MAX);
    }
}
