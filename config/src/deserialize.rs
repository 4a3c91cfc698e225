//! `deserialize_with` functions for types of mail-core.

use mail_core::message::address::Domain;
use mail_core::users::Username;
use serde::Deserialize as _;
use serde::de::{Deserializer, Error as _};

pub(crate) fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Domain, D::Error> {
    parse_domain(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(crate) fn domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Domain>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_domain(text).map_err(D::Error::custom)).collect()
}

pub(crate) fn username<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Username>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Username::parse(&text)
        .map(Some)
        .map_err(|error| D::Error::custom(format!("`{text}` is not a user name: {error}")))
}

fn parse_domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| format!("`{text}` is not a domain name: {error}"))
}
