//! Parameters of a query string, and JSON bodies.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::ApiError;
use crate::options::parse_duration;
use crate::query::Query;
use crate::store::{Field, Files, Message};

/// The longest wait.
const TIMEOUT_MAX: Duration = Duration::from_mins(5);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Messages of a list, as in Mailpit.
const LIMIT_DEFAULT: usize = 50;

/// The parameters of a query string. Of repeated names the first is used.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Rejects unknown parameters, which are probably misspelt.
    pub(super) fn allow(&self, names: &[&str]) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::invalid(name, format!("unknown parameter; use {}", names.join(", "))))
            }
        }
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| ApiError::invalid(name, format!("`{text}` is not a non-negative integer")))
    }

    /// `start` and `limit` of a list; a limit of 0 is none.
    pub(super) fn page(&self) -> Result<(usize, usize), ApiError> {
        let limit = self.number("limit", LIMIT_DEFAULT)?;
        Ok((self.number("start", 0)?, if limit == 0 { usize::MAX } else { limit }))
    }

    /// A search. A missing or empty parameter selects all messages.
    pub(super) fn search(&self, name: &str) -> Result<Query, ApiError> {
        if let Some(zone) = self.get("tz")
            && !["", "UTC", "Etc/UTC", "Z"].contains(&zone)
        {
            return Err(ApiError::invalid(
                "tz",
                format!("`{zone}`: dates are UTC; write other times with an offset"),
            ));
        }
        Query::parse(self.get(name).unwrap_or_default()).map_err(|reason| ApiError::invalid(name, reason))
    }

    pub(super) fn timeout(&self) -> Result<Duration, ApiError> {
        let Some(text) = self.get("timeout") else { return Ok(TIMEOUT_DEFAULT) };
        parse_duration(text).filter(|timeout| *timeout <= TIMEOUT_MAX).ok_or_else(|| {
            ApiError::invalid(
                "timeout",
                format!("`{text}` is not a time of at most 5 minutes, such as 500ms or 10s"),
            )
        })
    }
}

/// Selects messages by exact addresses and parts of the subject.
#[derive(Debug, Default)]
pub(super) struct Filter {
    to: Option<String>,
    from: Option<String>,
    subject: Option<String>,
    query: Query,
    /// Only messages that were stored after this one.
    pub(super) after: Option<String>,
}

impl Filter {
    pub(super) const NAMES: [&str; 5] = ["to", "from", "subject", "query", "after"];

    pub(super) fn parse(params: &Params) -> Result<Self, ApiError> {
        let text = |name: &str| params.get(name).filter(|value| !value.is_empty()).map(str::to_lowercase);
        for name in ["to", "from"] {
            if text(name).is_some_and(|address| !address.contains('@')) {
                return Err(ApiError::invalid(
                    name,
                    "not an address; `query` searches for parts of addresses",
                ));
            }
        }
        let after = params.get("after").filter(|id| !id.is_empty());
        if let Some(id) = after
            && ulid::Ulid::from_string(id).is_err()
        {
            return Err(ApiError::invalid("after", format!("`{id}` is not the id of a message")));
        }
        Ok(Self {
            to: text("to"),
            from: text("from"),
            subject: text("subject"),
            query: params.search("query")?,
            after: after.map(str::to_owned),
        })
    }

    /// Whether the comparison with a message may read its file.
    pub(super) fn may_read_files(&self) -> bool {
        self.query.searches_text()
    }

    pub(super) fn matches(&self, message: &Message, files: &Files) -> bool {
        let is = |address: &str, wanted: &str| address.to_lowercase() == wanted;
        let to = |wanted: &String| message.envelope.to.iter().any(|address| is(address, wanted));
        let from = |wanted: &String| {
            let author = message.summary.from.iter().map(|contact| contact.address.as_str());
            author.chain([message.envelope.from.as_str()]).any(|address| is(address, wanted))
        };
        self.to.as_ref().is_none_or(to)
            && self.from.as_ref().is_none_or(from)
            && self
                .subject
                .as_ref()
                .is_none_or(|wanted| message.search.field(Field::Subject).contains(wanted.as_str()))
            && self.query.matches(message, files)
    }
}

/// A JSON object with case-insensitive keys, as in Mailpit's decoder.
#[derive(Debug, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Parses a body: JSON, or a form, which some clients send. An empty body is an empty object.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if media_type.starts_with(b"application/x-www-form-urlencoded") {
            return Ok(Self::from_form(body));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => {
                Ok(Self(object.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect()))
            }
            Ok(_) => Err(ApiError::invalid("body", "it is not a JSON object")),
            Err(error) => Err(ApiError::invalid("body", format!("it is not JSON: {error}"))),
        }
    }

    /// Repeated names become arrays; `true` and `false` become booleans.
    fn from_form(body: &[u8]) -> Self {
        let mut object = Map::new();
        for (name, value) in form_urlencoded::parse(body) {
            let name = name.to_lowercase();
            let value = match (&*name, value.to_lowercase().as_str()) {
                ("read", "true") => Value::Bool(true),
                ("read", "false") => Value::Bool(false),
                _ => Value::String(value.into_owned()),
            };
            if name == "ids" || name == "tags" {
                let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut().expect("it was inserted as a list").push(value);
            } else {
                object.insert(name, value);
            }
        }
        Self(object)
    }

    /// `name` is in lower case.
    pub(super) fn strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let not_strings = || ApiError::invalid(name, "it is not a list of strings");
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(not_strings)).collect()
            }
            Some(_) => Err(not_strings()),
        }
    }

    pub(super) fn string(&self, name: &str) -> Result<String, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(ApiError::invalid(name, "it is not a string")),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(ApiError::invalid(name, "it is neither true nor false")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(error: ApiError) -> String {
        match error {
            ApiError::Invalid { field, .. } => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn invalid_parameter_is_named() {
        for (query, name) in [
            ("timeout=soon", "timeout"),
            ("timeout=6m", "timeout"),
            ("to=bob", "to"),
            ("after=x", "after"),
            ("query=before:x", "query"),
            ("tz=Mars", "tz"),
            ("limit=-1", "limit"),
            ("subjct=x", "subjct"),
        ] {
            let params = Params::parse(Some(query));
            let parsed = params
                .allow(&[&Filter::NAMES[..], &["timeout", "limit", "start", "tz"]].concat())
                .and_then(|()| params.timeout())
                .and_then(|_| params.page())
                .and_then(|_| Filter::parse(&params));
            assert_eq!(field(parsed.expect_err(query)), name, "{query}");
        }
    }

    #[test]
    fn object_is_json_with_keys_in_any_case_or_a_form() {
        let json = Object::parse(&HeaderMap::new(), br#"{"IDs":["a","b"],"Read":true}"#).expect("JSON");
        assert_eq!(
            (json.strings("ids").expect("strings"), json.boolean("read").expect("a truth value")),
            (vec!["a".to_owned(), "b".to_owned()], true)
        );
        let headers = HeaderMap::from_iter([(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded".parse().expect("a value"),
        )]);
        let form = Object::parse(&headers, b"ids=a&ids=b&Read=True").expect("a form");
        assert_eq!(
            (form.strings("ids").expect("strings"), form.boolean("read").expect("a truth value")),
            (vec!["a".to_owned(), "b".to_owned()], true)
        );
        assert_eq!(
            Object::parse(&HeaderMap::new(), b" ").expect("empty").strings("ids").expect("none"),
            [""; 0]
        );
        for (body, name) in
            [(&b"{"[..], "body"), (b"[]", "body"), (br#"{"ids":"a"}"#, "ids"), (br#"{"ids":[1]}"#, "ids")]
        {
            let parsed = Object::parse(&HeaderMap::new(), body).and_then(|object| object.strings("ids"));
            assert_eq!(field(parsed.expect_err("invalid")), name);
        }
    }
}
