//! `pennypost dns --check`: compares the DNS with the records that this host needs.
//!
//! A record is present if it has the effect of the printed one: an MX record with any preference, an SPF record with more
//! mechanisms, a DMARC record with any policy. A missing TLSA record is reported, but is no error.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use config::Config;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::{Record, RecordData, records};
use crate::admin::{print, run_blocking};

const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of foreign text in a line.
const FOUND_CHARS_MAX: usize = 200;

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Present,
    Missing,
    /// The data that the DNS has instead.
    Wrong(String),
    /// The DNS does not answer.
    Unknown(String),
}

/// Prints a line for each record and for the addresses of this host. Returns whether all of them are present.
///
/// # Errors
/// A sentence: the records cannot be determined, or the DNS servers cannot be used.
pub(crate) fn check(config: &Config) -> Result<bool, String> {
    let records = records(config)?;
    let servers = config.outbound.as_ref().map_or(&[][..], |outbound| &outbound.resolver);
    run_blocking(async {
        let dns = Dns(mail_outbound::dns_resolver(servers, QUERY_TIMEOUT)?);
        let host = config.hostname.ascii().into_owned();
        let addresses = dns.addresses(&host).await;
        let mut is_complete = check_host(&dns, &host, &addresses).await?;
        for record in &records {
            let finding = dns.find(record, addresses.as_deref().unwrap_or_default()).await;
            let is_present = report(&finding, record)?;
            // Only a signed zone can have one that is of use.
            let is_optional = matches!(record.data, RecordData::Tlsa(_)) && finding == Finding::Missing;
            is_complete &= is_present || is_optional;
        }
        Ok(is_complete)
    })
}

/// Checks the addresses of the host, and that each leads back to it (RFC 1912 section 2.1).
async fn check_host(dns: &Dns, host: &str, addresses: &Result<Vec<IpAddr>, String>) -> Result<bool, String> {
    let name = format!("{host}. A or AAAA");
    let addresses = match addresses {
        Err(error) => return report(&Finding::Unknown(error.clone()), name),
        Ok(addresses) if addresses.is_empty() => return report(&Finding::Missing, name),
        Ok(addresses) => addresses,
    };
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let mut is_complete = report(&Finding::Present, format!("{name} {}", list.join(" ")))?;
    for address in addresses {
        is_complete &= report(&dns.reverse(*address, host).await, format!("PTR of {address} {host}."))?;
    }
    Ok(is_complete)
}

/// Prints a finding. Returns whether the record is present.
fn report(finding: &Finding, record: impl Display) -> Result<bool, String> {
    match finding {
        Finding::Present => print(&format!("present  {record}"))?,
        Finding::Missing => print(&format!("missing  {record}"))?,
        Finding::Wrong(found) => print(&format!("wrong    {record}; found: {found}"))?,
        Finding::Unknown(error) => print(&format!("unknown  {record}; {error}"))?,
    }
    Ok(*finding == Finding::Present)
}

struct Dns(TokioResolver);

impl Dns {
    async fn find(&self, Record { name, data, .. }: &Record, host: &[IpAddr]) -> Finding {
        let compared = match data {
            RecordData::Mx(exchange) => self.query(name, RecordType::MX).await.map(|found| {
                let exchanges = found.iter().filter_map(|data| match data {
                    RData::MX(mx) => Some(mx.exchange.to_ascii()),
                    _ => None,
                });
                find_name(exchanges, exchange)
            }),
            RecordData::Srv { port, target } => self.query(name, RecordType::SRV).await.map(|found| {
                let services = found.iter().filter_map(|data| match data {
                    RData::SRV(srv) => Some(format!("{} {}", srv.port, srv.target.to_ascii())),
                    _ => None,
                });
                find_name(services, &format!("{port} {target}"))
            }),
            RecordData::Txt(text) => self.query(name, RecordType::TXT).await.map(|found| {
                let texts: Vec<String> = found.iter().filter_map(text_of).collect();
                compare_text(text, &texts)
            }),
            RecordData::Tlsa(digest) => self.query(name, RecordType::TLSA).await.map(|found| {
                let digests = found.iter().filter_map(|data| match data {
                    RData::TLSA(tlsa) => Some(tlsa_text(tlsa)),
                    _ => None,
                });
                find_name(digests, &format!("3 1 1 {digest}"))
            }),
            // Any record that leads to the same host has the effect of a CNAME record.
            RecordData::Cname(_) => self.addresses(name).await.map(|found| match found {
                found if found.is_empty() => Finding::Missing,
                found if found.iter().all(|address| host.contains(address)) => Finding::Present,
                found => Finding::Wrong(excerpt(&format!("{found:?}"))),
            }),
        };
        compared.unwrap_or_else(Finding::Unknown)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let mut addresses = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            addresses.extend(self.query(host, kind).await?.iter().filter_map(RData::ip_addr));
        }
        Ok(addresses)
    }

    async fn reverse(&self, address: IpAddr, host: &str) -> Finding {
        let found = match self.0.reverse_lookup(address).await {
            Err(error) if error.is_no_records_found() => return Finding::Missing,
            Err(error) => return Finding::Unknown(excerpt(&error.to_string())),
            Ok(found) => found,
        };
        let names = found.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.to_ascii()),
            _ => None,
        });
        find_name(names, host)
    }

    /// The data of the records; none if there are none.
    async fn query(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, String> {
        match self.0.lookup(format!("{name}."), kind).await {
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            Err(error) => Err(excerpt(&error.to_string())),
            Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
        }
    }
}

/// Present if a name, without its final dot and in any case, is the expected one.
fn find_name(found: impl Iterator<Item = String>, expected: &str) -> Finding {
    let found: Vec<String> = found.map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
    match found.as_slice() {
        [] => Finding::Missing,
        found if found.iter().any(|name| name.eq_ignore_ascii_case(expected)) => Finding::Present,
        found => Finding::Wrong(excerpt(&found.join(", "))),
    }
}

/// As in [`RecordData::Tlsa`].
fn tlsa_text(tlsa: &TLSA) -> String {
    let digest = tlsa.cert_data.iter().fold(String::new(), |digest, octet| digest + &format!("{octet:02x}"));
    let [usage, selector, matching] =
        [u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching)];
    format!("{usage} {selector} {matching} {digest}")
}

fn text_of(data: &RData) -> Option<String> {
    let RData::TXT(text) = data else { return None };
    Some(text.txt_data.iter().map(|string| String::from_utf8_lossy(string)).collect())
}

/// Compares with the records of the same kind: those that begin with the same `v=`.
fn compare_text(expected: &str, found: &[String]) -> Finding {
    let version = version(expected);
    let found: Vec<&str> =
        found.iter().map(String::as_str).filter(|text| self::version(text) == version).collect();
    let is_right = match (version.as_str(), found.as_slice()) {
        (_, []) => return Finding::Missing,
        // More than one is an error (RFC 7208 section 4.5, RFC 7489 section 6.6.3).
        ("v=spf1", [text]) => has_mechanisms(text, expected),
        ("v=dmarc1", [text]) => tags(text).contains_key("p"),
        ("v=dkim1", [text]) => has_key(text, expected),
        ("v=tlsrptv1", [text]) => tags(text).contains_key("rua"),
        (_, found) => found == [expected],
    };
    if is_right { Finding::Present } else { Finding::Wrong(excerpt(&found.join(" and "))) }
}

fn version(text: &str) -> String {
    let end = text.find([';', ' ']).unwrap_or(text.len());
    text[..end].trim().to_ascii_lowercase()
}

/// Whether an SPF record has every mechanism of another one, whatever its policy for other hosts is.
fn has_mechanisms(text: &str, expected: &str) -> bool {
    let mechanisms = |text: &str| -> Vec<String> {
        text.split_ascii_whitespace().map(|term| term.trim_start_matches('+').to_ascii_lowercase()).collect()
    };
    let found = mechanisms(text);
    mechanisms(expected).iter().all(|term| term.ends_with("all") || found.contains(term))
}

fn has_key(text: &str, expected: &str) -> bool {
    let key = |text: &str| {
        let mut tags = tags(text);
        (tags.remove("k").unwrap_or_else(|| "rsa".to_owned()), tags.remove("p"))
    };
    key(text) == key(expected)
}

/// A tag list (RFC 6376 section 3.2), without white space in its values.
fn tags(text: &str) -> BTreeMap<String, String> {
    let tags = text.split(';').filter_map(|tag| tag.split_once('='));
    tags.map(|(name, value)| {
        (name.trim().to_ascii_lowercase(), value.split_ascii_whitespace().collect::<String>())
    })
    .collect()
}

/// Text of another host, bounded and without control characters.
fn excerpt(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut excerpt: String = printable.clone().take(FOUND_CHARS_MAX).collect();
    if printable.count() > FOUND_CHARS_MAX {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_with_the_effect_of_the_expected_one_is_present() {
        let dkim = "v=DKIM1; k=rsa; p=AAAA";
        for (expected, found, is_present) in [
            ("v=spf1 mx -all", "v=spf1 include:news.example +MX ~all", true),
            ("v=spf1 mx -all", "v=spf1 -all", false),
            ("v=spf1 a -all", "v=spf1 mx a:x -all", false),
            ("v=DMARC1; p=quarantine", "v=DMARC1;p=reject; rua=mailto:a@b.example", true),
            ("v=DMARC1; p=quarantine", "v=DMARC1", false),
            (dkim, "v=DKIM1; p=AA AA", true),
            (dkim, "v=DKIM1; h=sha256; k=rsa; p=AAAA;", true),
            (dkim, "v=DKIM1; k=rsa; p=BBBB", false),
            (dkim, "v=DKIM1; k=ed25519; p=AAAA", false),
        ] {
            let texts = ["other=1".to_owned(), found.to_owned()];
            let expected_finding =
                if is_present { Finding::Present } else { Finding::Wrong(found.to_owned()) };
            assert_eq!(compare_text(expected, &texts), expected_finding, "{expected} {found}");
            assert_eq!(compare_text(expected, &texts[..1]), Finding::Missing);
            let twice = [found.to_owned(), found.to_owned()];
            assert!(matches!(compare_text(expected, &twice), Finding::Wrong(_)), "{expected}");
        }
    }

    #[test]
    fn found_text_is_bounded_and_printable() {
        let found = ["v=spf1 \u{1b}[2J".to_owned() + &"x".repeat(1_000)];
        let Finding::Wrong(text) = compare_text("v=spf1 mx -all", &found) else { panic!("wrong") };
        assert!(text.starts_with("v=spf1 ?[2J") && text.chars().count() == FOUND_CHARS_MAX + 1, "{text}");
    }

    #[test]
    fn name_is_compared_without_case_and_final_dot() {
        let find = |found: &[&str]| find_name(found.iter().map(ToString::to_string), "mail.iit.edu");
        assert_eq!(find(&["x.example.", "MAIL.iit.edu."]), Finding::Present);
        assert_eq!(
            find(&["x.example.", "mail.iit.edu.example."]),
            Finding::Wrong("x.example, mail.iit.edu.example".into())
        );
        assert_eq!(find(&[]), Finding::Missing);
    }
}
