//! Settings for mail programs, served by the page's listener: autoconfig (Thunderbird, K-9 Mail, Evolution), Autodiscover in its
//! plain XML form (Outlook), and configuration profiles (Apple).
//!
//! | route | program |
//! |---|---|
//! | `GET /.well-known/autoconfig/mail/config-v1.1.xml`, `GET /mail/config-v1.1.xml` | autoconfig; `?emailaddress=` |
//! | `POST /autodiscover/autodiscover.xml` | Autodiscover; the address is in the request |
//! | `GET /mail.mobileconfig?email=` | a profile for iOS and macOS |
//!
//! The answers contain the name of this host and its ports, which are public, whether or not the address exists. Without a service
//! over TLS that other machines reach, and for foreign domains, they are 404.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use config::{Config, Tls};
use mail_core::message::address::{Address, Domain, Host};
use url::form_urlencoded;

use crate::dns::public_port;

/// Requests of Outlook have less than 1 KiB.
const BODY_BYTES_MAX: usize = 16 << 10;
const AUTOCONFIG: [&str; 2] = ["/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"];
const AUTODISCOVER: [&str; 3] =
    ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/Autodiscover/autodiscover.xml"];

/// The services that a mail program uses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MailServices {
    host: String,
    domains: Vec<Domain>,
    incoming: Service,
    outgoing: Service,
}

/// A service over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Service {
    port: u16,
    /// TLS from the first octet, else after STARTTLS or STLS.
    is_implicit: bool,
}

/// The routes.
pub(crate) fn router(config: &Config) -> Router {
    let services = Arc::new(MailServices::of(config));
    let autoconfig =
        AUTOCONFIG.into_iter().fold(Router::new(), |router, path| router.route(path, get(autoconfig)));
    AUTODISCOVER
        .into_iter()
        .fold(autoconfig, |router, path| router.route(path, post(autodiscover)))
        .route("/mail.mobileconfig", get(mobileconfig))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(services)
}

type Services = State<Arc<Option<MailServices>>>;

async fn autoconfig(State(services): Services, RawQuery(query): RawQuery) -> Response {
    let address = parameter(query.as_deref(), "emailaddress");
    let Some(services) = &*services else { return not_found() };
    let domain = match &address {
        Some(address) => match services.local_domain(address) {
            Some(domain) => domain,
            None => return not_found(),
        },
        None => &services.domains[0],
    };
    xml(services.autoconfig(domain))
}

async fn autodiscover(State(services): Services, body: Bytes) -> Response {
    let address = requested_address(&String::from_utf8_lossy(&body));
    match (&*services, address) {
        (Some(services), Some(address)) if services.local_domain(&address).is_some() => {
            xml(services.autodiscover(&address))
        }
        _ => not_found(),
    }
}

async fn mobileconfig(State(services): Services, RawQuery(query): RawQuery) -> Response {
    match (&*services, parameter(query.as_deref(), "email")) {
        (Some(services), Some(address)) if services.local_domain(&address).is_some() => {
            let headers = [
                (CONTENT_TYPE, "application/x-apple-aspen-config"),
                (CONTENT_DISPOSITION, "attachment; filename=\"mail.mobileconfig\""),
            ];
            (headers, services.mobileconfig(&address)).into_response()
        }
        _ => not_found(),
    }
}

fn xml(text: String) -> Response {
    ([(CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "no settings for this address\n").into_response()
}

fn parameter(query: Option<&str>, name: &str) -> Option<Address> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    let (_, value) = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Address::parse(&value).ok()
}

/// The address in a request of Autodiscover. No other part of it matters, so that the XML is not parsed.
fn requested_address(request: &str) -> Option<Address> {
    let (_, rest) = request.split_once("<EMailAddress>")?;
    let (text, _) = rest.split_once("</EMailAddress>")?;
    Address::parse(&unescape(text.trim())).ok()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl MailServices {
    /// `None` if other machines cannot send or read mail over TLS.
    fn of(config: &Config) -> Option<Self> {
        if matches!(config.tls, Tls::Off) {
            return None;
        }
        let (smtp, pop3) = (&config.smtp, &config.pop3);
        let service = |implicit, upgraded| {
            let implicit = public_port(implicit).map(|port| Service { port, is_implicit: true });
            implicit.or_else(|| public_port(upgraded).map(|port| Service { port, is_implicit: false }))
        };
        Some(Self {
            host: config.hostname.ascii().into_owned(),
            domains: config.domains.clone(),
            incoming: service(&pop3.tls_listen, &pop3.listen)?,
            outgoing: service(&smtp.submission_tls_listen, &smtp.submission_listen)?,
        })
    }

    fn local_domain(&self, address: &Address) -> Option<&Domain> {
        let Host::Domain(domain) = &address.host else { return None };
        self.domains.iter().find(|local| *local == domain)
    }

    /// <https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat>
    fn autoconfig(&self, domain: &Domain) -> String {
        let Self { host, incoming, outgoing, .. } = self;
        let domain = domain.ascii();
        let server = |element: &str, kind: &str, service: &Service, extra: &str| {
            let socket = if service.is_implicit { "SSL" } else { "STARTTLS" };
            format!(
                "    <{element} type=\"{kind}\">\n      <hostname>{host}</hostname>\n      <port>{}</port>\n      \
                 <socketType>{socket}</socketType>\n      <authentication>password-cleartext</authentication>\n      \
                 <username>%EMAILADDRESS%</username>\n{extra}    </{element}>\n",
                service.port
            )
        };
        let keep = "      <pop3><leaveMessagesOnServer>true</leaveMessagesOnServer></pop3>\n";
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{domain}\">\n    \
             <domain>{domain}</domain>\n    <displayName>{domain}</displayName>\n    \
             <displayShortName>{domain}</displayShortName>\n{}{}  </emailProvider>\n</clientConfig>\n",
            server("incomingServer", "pop3", incoming, keep),
            server("outgoingServer", "smtp", outgoing, ""),
        )
    }

    /// The response of MS-OXDSCLI section 2.2.4.
    fn autodiscover(&self, address: &Address) -> String {
        let Self { host, incoming, outgoing, .. } = self;
        let login = escape(&address.to_string());
        let protocol = |kind: &str, service: &Service| {
            let encryption = if service.is_implicit { "SSL" } else { "TLS" };
            format!(
                "      <Protocol>\n        <Type>{kind}</Type>\n        <Server>{host}</Server>\n        <Port>{}</Port>\n        \
                 <DomainRequired>off</DomainRequired>\n        <LoginName>{login}</LoginName>\n        <SPA>off</SPA>\n        \
                 <SSL>on</SSL>\n        <Encryption>{encryption}</Encryption>\n        <AuthRequired>on</AuthRequired>\n      </Protocol>\n",
                service.port
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n  \
             <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n    \
             <Account>\n      <AccountType>email</AccountType>\n      <Action>settings</Action>\n{}{}    </Account>\n  \
             </Response>\n</Autodiscover>\n",
            protocol("POP3", incoming),
            protocol("SMTP", outgoing),
        )
    }

    /// A profile with a payload of type `com.apple.mail.managed`.
    fn mobileconfig(&self, address: &Address) -> String {
        let Self { host, incoming, outgoing, .. } = self;
        let login = escape(&address.to_string());
        let string = |key: &str, value: &str| format!("<key>{key}</key><string>{value}</string>\n");
        let server = |prefix: &str, service: &Service| {
            format!(
                "{}<key>{prefix}MailServerPortNumber</key><integer>{}</integer>\n<key>{prefix}MailServerUseSSL</key><true/>\n{}{}",
                string(&format!("{prefix}MailServerHostName"), host),
                service.port,
                string(&format!("{prefix}MailServerUsername"), &login),
                string(&format!("{prefix}MailServerAuthentication"), "EmailAuthPassword"),
            )
        };
        let payload = |kind: &str, name: &str| {
            let identifier = format!("{host}.{name}.{login}");
            format!(
                "{}{}{}<key>PayloadVersion</key><integer>1</integer>\n{}",
                string("PayloadType", kind),
                string("PayloadIdentifier", &identifier),
                string("PayloadUUID", &uuid(&identifier)),
                string("PayloadDisplayName", &login),
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\"><dict>\n{}<key>PayloadContent</key><array><dict>\n{}{}{}{}{}</dict></array>\n</dict></plist>\n",
            payload("Configuration", "profile"),
            payload("com.apple.mail.managed", "mail"),
            string("EmailAccountType", "EmailTypePOP"),
            string("EmailAddress", &login),
            server("Incoming", incoming),
            server("Outgoing", outgoing),
        )
    }
}

/// A UUID derived from a text (RFC 9562 section 5.8), so that a second profile replaces the first.
fn uuid(text: &str) -> String {
    let half = |part: &str| {
        let mut hasher = DefaultHasher::new();
        (part, text).hash(&mut hasher);
        hasher.finish()
    };
    let (high, low) = (half("high"), half("low"));
    format!(
        "{:08X}-{:04X}-8{:03X}-{:04X}-{:012X}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pennypost.toml");
        let text = format!("hostname = 'mail.iit.edu'\ndomains = ['iit.edu', 'b\u{fc}ro.example']\n{text}");
        std::fs::write(&path, text).expect("the file is written");
        Config::read(&path).expect("a valid configuration")
    }

    fn services() -> MailServices {
        let text = "[tls]\nself_signed = true\n[smtp]\nsubmission_listen = ['127.0.0.1:1', '[::]:587']\n\
            [pop3]\nlisten = ['0.0.0.0:110']\ntls_listen = ['0.0.0.0:995']\n";
        MailServices::of(&config(text)).expect("there are services")
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn services_are_those_that_other_machines_reach_over_tls() {
        let services = services();
        assert_eq!(services.incoming, Service { port: 995, is_implicit: true });
        assert_eq!(services.outgoing, Service { port: 587, is_implicit: false });
        for text in [
            "[smtp]\nsubmission_listen = ['0.0.0.0:587']\n[pop3]\nlisten = ['0.0.0.0:110']\n",
            "[tls]\nself_signed = true\n[pop3]\ntls_listen = ['0.0.0.0:995']\n",
            "[tls]\nself_signed = true\n[smtp]\nsubmission_listen = ['0.0.0.0:587']\n",
        ] {
            assert_eq!(MailServices::of(&config(text)), None, "{text}");
        }
    }

    #[test]
    fn autoconfig_names_both_servers() {
        let xml = services().autoconfig(&Domain::parse("b\u{fc}ro.example").expect("a domain"));
        for part in [
            "<emailProvider id=\"xn--bro-hoa.example\">",
            "<incomingServer type=\"pop3\">\n      <hostname>mail.iit.edu</hostname>\n      <port>995</port>\n      <socketType>SSL</socketType>",
            "<outgoingServer type=\"smtp\">\n      <hostname>mail.iit.edu</hostname>\n      <port>587</port>\n      <socketType>STARTTLS</socketType>",
            "<username>%EMAILADDRESS%</username>",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
    }

    #[test]
    fn address_of_the_request_is_escaped_in_the_answer() {
        let request = |text: &str| {
            requested_address(&format!("<Request>\n<EMailAddress> {text} </EMailAddress></Request>"))
        };
        let found = request("a&amp;b@iit.edu").expect("an address");
        assert_eq!(found, address("a&b@iit.edu"));
        let services = services();
        for answer in [services.autodiscover(&found), services.mobileconfig(&found)] {
            assert!(answer.contains("a&amp;b@iit.edu") && !answer.contains("a&b"), "{answer}");
        }
        assert!(
            services.autodiscover(&found).contains(
                "<Type>POP3</Type>\n        <Server>mail.iit.edu</Server>\n        <Port>995</Port>"
            )
        );
        for text in ["", "a", "<a@iit.edu", "a@iit.edu</EMailAddress"] {
            assert!(request(text).is_none_or(|found| found == address("a@iit.edu")), "{text}");
        }
        assert!(services.local_domain(&address("a@elsewhere.example")).is_none());
    }

    #[test]
    fn profile_has_the_same_uuid_again_and_another_one_for_another_address() {
        let services = services();
        let uuids = |text: &str| -> Vec<String> {
            let profile = services.mobileconfig(&address(text));
            let parts = profile.split("<key>PayloadUUID</key><string>").skip(1);
            parts.map(|part| part[..36].to_owned()).collect()
        };
        let (ag, gb) = (uuids("ag@iit.edu"), uuids("gb@iit.edu"));
        assert!(ag.len() == 2 && ag[0] != ag[1] && ag == uuids("ag@iit.edu"), "{ag:?}");
        assert!(
            ag.iter()
                .all(|uuid| !gb.contains(uuid) && &uuid[14..15] == "8" && "89AB".contains(&uuid[19..20]))
        );
    }
}
