//! The line that the servers log for each listener.

use std::net::SocketAddr;

/// The protocol and the address of `... listening protocol=smtp address=127.0.0.1:2525`. Fields may be quoted and in any order.
#[must_use]
pub fn parse_listening(line: &str) -> Option<(&str, SocketAddr)> {
    let field = |name: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name))?;
        Some(value.trim_matches('"'))
    };
    line.split_whitespace().any(|word| word == "listening").then_some(())?;
    Some((field("protocol=")?, field("address=")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_is_parsed_from_the_log() {
        let smtp = ("smtp", "127.0.0.1:2525".parse().expect("an address"));
        let line = "2026-11-22T19:15:06Z  INFO net::listener: listening protocol=smtp address=127.0.0.1:2525";
        assert_eq!(parse_listening(line), Some(smtp));
        assert_eq!(parse_listening("INFO listening address=127.0.0.1:2525 protocol=\"smtp\""), Some(smtp));
        assert_eq!(parse_listening("INFO accepted protocol=smtp address=127.0.0.1:2525"), None);
        assert_eq!(parse_listening("INFO listening protocol=smtp address=nowhere"), None);
    }
}
