//! `pennypost dns`: the DNS records that mail to and from other hosts, and the configuration of mail programs, need: as lines of a
//! zone file (RFC 1035 section 5.1), or compared with the DNS.

mod check;

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use config::{Config, OutboundMode, Tls};
use mail_authentication::DkimKeys;
use mail_core::message::address::Domain;
use mail_core::mta_sts::PolicyId;
use mail_service::context::Clock as _;
use tls::{Certificate, IssuedFiles};

use crate::admin::print;
use crate::context::SystemClock;
use crate::privileges;

pub(crate) use check::check;

/// Longest string of a TXT record (RFC 1035 section 3.3). A longer text has several.
const TXT_STRING_OCTETS_MAX: usize = 255;
const TTL_SECONDS: u32 = 3_600;

/// A record that this host needs. Names are in ASCII form, without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    reason: String,
    name: String,
    data: RecordData,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RecordData {
    /// The preference is a suggestion.
    Mx(String),
    /// Has neither quotes nor backslashes.
    Txt(String),
    Srv {
        port: u16,
        target: String,
    },
    Cname(String),
    /// `3 1 1` with the digest of a key in hexadecimal digits (RFC 6698 section 2.1).
    Tlsa(String),
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, data, .. } = self;
        write!(f, "{name}. {TTL_SECONDS} IN {data}")
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(host) => write!(f, "MX 10 {host}."),
            Self::Srv { port, target } => write!(f, "SRV 0 1 {port} {target}."),
            Self::Cname(target) => write!(f, "CNAME {target}."),
            Self::Tlsa(digest) => write!(f, "TLSA 3 1 1 {digest}"),
            Self::Txt(text) => {
                f.write_str("TXT")?;
                let strings = text.as_bytes().chunks(TXT_STRING_OCTETS_MAX);
                strings.map(String::from_utf8_lossy).try_for_each(|string| write!(f, " \"{string}\""))
            }
        }
    }
}

/// Prints the records of every local domain, each with its reason.
///
/// # Errors
/// A sentence: a DKIM key cannot be used, or the host has no name in the DNS.
pub(crate) fn print_records(config: &Config) -> Result<(), String> {
    let records = records(config)?;
    let host = config.hostname.ascii();
    let mut zone = format!(
        "; Addresses: {host} needs an A record, and an AAAA record if it has an IPv6 address; the PTR record of each address must be {host}.\n"
    );
    for record in records {
        let _ = writeln!(zone, "; {}\n{record}", record.reason);
    }
    print(zone.trim_end())
}

/// # Errors
/// As [`print_records`].
fn records(config: &Config) -> Result<Vec<Record>, String> {
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
    let mut zone = Zone { config, records: Vec::new() };
    zone.add_key(key_digest(config)?);
    for domain in &config.domains {
        zone.add_mail(domain, keys.as_ref());
        zone.add_services(domain);
    }
    Ok(zone.records)
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

/// Collects the records.
struct Zone<'a> {
    config: &'a Config,
    records: Vec<Record>,
}

impl Zone<'_> {
    fn add_mail(&mut self, domain: &Domain, keys: Option<&DkimKeys>) {
        let (host, name) = (self.config.hostname.ascii().into_owned(), domain.ascii().into_owned());
        self.add(format!("MX: other hosts deliver mail for {name} to {host}."), &name, RecordData::Mx(host));
        if let Some(outbound) = &self.config.outbound {
            self.add_spf(domain, outbound.mode);
        }
        for (name, text) in keys.map(|keys| keys.records(domain)).unwrap_or_default() {
            let reason = "DKIM: other hosts verify the signature of this host's key.".to_owned();
            self.add(reason, &name, RecordData::Txt(text));
        }
        if let Some(policy) = self.config.mta_sts_policy() {
            self.add_mta_sts(domain, &PolicyId::of(&policy));
        }
        if self.config.outbound.is_some() && !has_parent(domain, &self.config.domains) {
            self.add(
                format!("DMARC: other hosts treat mail as spam that claims to be from {name} and passes neither SPF nor DKIM."),
                &format!("_dmarc.{name}"),
                RecordData::Txt("v=DMARC1; p=quarantine".to_owned()),
            );
        }
    }

    /// The key of this host's certificate, if there is one.
    fn add_key(&mut self, digest: Option<String>) {
        let Some(digest) = digest else { return };
        let reason = "TLSA: other hosts verify this host's key (DANE). Only for a zone that is signed with DNSSEC; before the key changes, publish the new one as well.";
        let name = format!("_25._tcp.{}", self.config.hostname.ascii());
        self.add(reason.to_owned(), &name, RecordData::Tlsa(digest));
    }

    fn add_mta_sts(&mut self, domain: &Domain, id: &PolicyId) {
        let (host, name) = (self.config.hostname.ascii().into_owned(), domain.ascii());
        let reason = format!(
            "MTA-STS: other hosts read the policy at https://mta-sts.{name}/.well-known/mta-sts.txt, and send mail over verified TLS only."
        );
        self.add(reason.clone(), &format!("mta-sts.{name}"), RecordData::Cname(host));
        self.add(reason, &format!("_mta-sts.{name}"), RecordData::Txt(id.record()));
        self.add(
            "TLS-RPT: other hosts report failures of TLS to the postmaster.".to_owned(),
            &format!("_smtp._tls.{name}"),
            RecordData::Txt(format!("v=TLSRPTv1; rua=mailto:postmaster@{name}")),
        );
    }

    fn add_spf(&mut self, domain: &Domain, mode: OutboundMode) {
        let name = domain.ascii();
        let mechanism = if *domain == self.config.hostname { "a" } else { "mx" };
        let (reason, policy) = match mode {
            OutboundMode::Direct => (format!("SPF: only this host sends mail from {name}."), "-all"),
            OutboundMode::Smarthost => (
                format!(
                    "SPF: the smarthost sends mail from {name}; insert the `include:` that its provider documents before `~all`."
                ),
                "~all",
            ),
        };
        self.add(reason, &name, RecordData::Txt(format!("v=spf1 {mechanism} {policy}")));
    }

    /// The services that mail programs look for (RFC 6186, RFC 8314 section 5.1), as far as other machines reach them.
    fn add_services(&mut self, domain: &Domain) {
        let Config { smtp, pop3, web, tls, .. } = self.config;
        let has_tls = !matches!(tls, Tls::Off);
        let (host, name) = (self.config.hostname.ascii().into_owned(), domain.ascii().into_owned());
        for (service, listen) in [
            ("_submissions", &smtp.submission_tls_listen),
            ("_submission", &smtp.submission_listen),
            ("_pop3s", &pop3.tls_listen),
            ("_pop3", &pop3.listen),
        ] {
            if let Some(port) = public_port(listen)
                && has_tls
            {
                let protocol = service.trim_start_matches('_');
                self.add(
                    format!("SRV: mail programs with an address at {name} find the {protocol} service."),
                    &format!("{service}._tcp.{name}"),
                    RecordData::Srv { port, target: host.clone() },
                );
            }
        }
        if let Some(address) = web.listen.address()
            && let Some(port) = public_port(&[address])
        {
            self.add(
                format!("SRV: Outlook finds the settings for addresses at {name}."),
                &format!("_autodiscover._tcp.{name}"),
                RecordData::Srv { port, target: host.clone() },
            );
        }
        let autoconfig = format!("autoconfig.{name}");
        if web.names.iter().any(|own| own.ascii() == autoconfig) {
            self.add(
                format!("Thunderbird and K-9 Mail find the settings for addresses at {name}."),
                &autoconfig,
                RecordData::Cname(host),
            );
        }
    }

    fn add(&mut self, reason: String, name: &str, data: RecordData) {
        self.records.push(Record { reason, name: name.to_owned(), data });
    }
}

/// The port of the first address that other machines reach.
pub(crate) fn public_port(listen: &[SocketAddr]) -> Option<u16> {
    listen.iter().find(|address| !address.ip().is_loopback()).map(SocketAddr::port).filter(|port| *port != 0)
}

/// Whether a policy of another local domain applies to this one.
fn has_parent(domain: &Domain, domains: &[Domain]) -> bool {
    let is_below = |parent: &Domain| {
        domain.as_str().strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    domains.iter().any(is_below)
}
