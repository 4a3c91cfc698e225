//! `pennypost dns`: the DNS records that mail to and from other hosts needs, as lines of a zone file (RFC 1035 section 5.1).

use std::fmt::Write as _;

use config::{Config, OutboundMode, Tls};
use mail_authentication::DkimKeys;
use mail_core::message::address::Domain;
use mail_core::mta_sts::PolicyId;
use mail_service::context::Clock as _;
use tls::{Certificate, IssuedFiles};

use crate::admin::print;
use crate::context::SystemClock;
use crate::privileges;

/// Longest string of a TXT record (RFC 1035 section 3.3). A longer text has several.
const TXT_STRING_OCTETS_MAX: usize = 255;

/// Prints the records of every local domain, each with its reason.
///
/// # Errors
/// A sentence: a DKIM key cannot be used, or the host has no name in the DNS.
pub(crate) fn print_records(config: &Config) -> Result<(), String> {
    if !config.hostname.as_str().contains('.') {
        return Err(format!(
            "`{}` is not a name in the DNS; set `hostname` to one, such as \"mail.example.org\"",
            config.hostname
        ));
    }
    privileges::become_owner_of(&config.data)?;
    let keys = match &config.outbound {
        // The keys of the first start, so that the records can be published before it.
        Some(_) => Some(DkimKeys::read_or_generate(&config.data, SystemClock.utc())?),
        None => DkimKeys::read(&config.data)?,
    };
    let key_digest = key_digest(config);
    print(Zone::of(config, keys.as_ref(), &key_digest).0.trim_end())
}

/// The digest of the certificate's key for a TLSA record; `None` without a certificate, and before an ACME directory has issued one.
///
/// # Errors
/// A sentence: the certificate cannot be read.
fn key_digest(config: &Config) -> Result<Option<String>, String> {
    if let Tls::Acme(acme) = &config.tls
        && !IssuedFiles::new(&config.data).is_issued_by(&acme.directory.to_string())
    {
        return Ok(None);
    }
    let certificate = Certificate::open(&config.tls, &config.data, &config.hostname.ascii())?;
    certificate.map(|certificate| certificate.public_key_digest()).transpose()
}

/// The text of a zone file.
struct Zone(String);

impl Zone {
    /// `key_digest` is that of the certificate's key.
    fn of(config: &Config, keys: Option<&DkimKeys>, key_digest: &Result<Option<String>, String>) -> Self {
        let host = config.hostname.ascii();
        let mut zone = Self(String::new());
        zone.comment(&format!(
            "Addresses: {host} needs an A record, and an AAAA record if it has an IPv6 address; the PTR record of each address must be {host}."
        ));
        match key_digest {
            Ok(Some(digest)) => {
                zone.comment("TLSA: other hosts verify this host's key (DANE). Only for a zone that is signed with DNSSEC; before the key changes, publish the new one as well.");
                zone.record(&format!("_25._tcp.{host}"), "TLSA", &format!("3 1 1 {digest}"));
            }
            Ok(None) => {}
            Err(sentence) => zone.comment(&format!("TLSA: no record: {}", sentence.replace('\n', " "))),
        }
        for domain in &config.domains {
            let name = domain.ascii();
            zone.comment(&format!("MX: other hosts deliver mail for {name} to {host}."));
            zone.record(&name, "MX", &format!("10 {host}."));
            if let Some(outbound) = &config.outbound {
                zone.add_spf(config, domain, outbound.mode);
            }
            for (name, text) in keys.map(|keys| keys.records(domain)).unwrap_or_default() {
                zone.comment("DKIM: other hosts verify the signature of this host's key.");
                zone.text(&name, &text);
            }
            if config.outbound.is_some() && !has_parent(domain, &config.domains) {
                zone.comment(&format!(
                    "DMARC: other hosts treat mail as spam that claims to be from {name} and passes neither SPF nor DKIM."
                ));
                zone.text(&format!("_dmarc.{name}"), "v=DMARC1; p=quarantine");
            }
            if let Some(policy) = config.mta_sts_policy() {
                zone.add_mta_sts(&name, &host, &PolicyId::of(&policy));
            }
        }
        zone
    }

    fn add_spf(&mut self, config: &Config, domain: &Domain, mode: OutboundMode) {
        let name = domain.ascii();
        let mechanism = if *domain == config.hostname { "a" } else { "mx" };
        match mode {
            OutboundMode::Direct => {
                self.comment(&format!("SPF: only this host sends mail from {name}."));
                self.text(&name, &format!("v=spf1 {mechanism} -all"));
            }
            OutboundMode::Smarthost => {
                self.comment(&format!(
                    "SPF: the smarthost sends mail from {name}; insert the `include:` that its provider documents before `~all`."
                ));
                self.text(&name, &format!("v=spf1 {mechanism} ~all"));
            }
        }
    }

    fn add_mta_sts(&mut self, name: &str, host: &str, id: &PolicyId) {
        self.comment(&format!(
            "MTA-STS: other hosts read the policy at https://mta-sts.{name}/.well-known/mta-sts.txt, and send mail over verified TLS only."
        ));
        self.record(&format!("mta-sts.{name}"), "CNAME", &format!("{host}."));
        self.text(&format!("_mta-sts.{name}"), &id.record());
        self.comment("TLS-RPT: other hosts report failures of TLS to the postmaster.");
        self.text(&format!("_smtp._tls.{name}"), &format!("v=TLSRPTv1; rua=mailto:postmaster@{name}"));
    }

    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.0, "; {text}");
    }

    fn record(&mut self, name: &str, kind: &str, data: &str) {
        let _ = writeln!(self.0, "{name}. 3600 IN {kind} {data}");
    }

    /// The text has neither quotes nor backslashes.
    fn text(&mut self, name: &str, text: &str) {
        let strings: Vec<String> = text
            .as_bytes()
            .chunks(TXT_STRING_OCTETS_MAX)
            .map(|string| format!("\"{}\"", String::from_utf8_lossy(string)))
            .collect();
        self.record(name, "TXT", &strings.join(" "));
    }
}

/// Whether a policy of another local domain applies to this one.
fn has_parent(domain: &Domain, domains: &[Domain]) -> bool {
    let is_below = |parent: &Domain| {
        domain.as_str().strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    domains.iter().any(is_below)
}
