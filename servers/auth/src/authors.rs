//! The authors of a message, whose domain DMARC protects, and the identities that can speak for it.

use mail_auth::AuthenticatedMessage;
use mail_core::message::address::{Domain, Host};
use mail_core::message::header;
use mail_core::message::parsed::Summary;

/// The domain of the authors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authors {
    /// The header has no From field.
    None,
    /// In ASCII form.
    Domain(String),
    /// Several From fields, addresses of several domains, or none that can be read. Mail programs show one of them, and DMARC may
    /// have verified another (RFC 7489 section 6.6.1).
    Unclear,
}

impl Authors {
    /// `header` is what `message` was parsed from. Both parsers count, since they may understand a malformed field differently.
    pub(crate) fn of(message: &AuthenticatedMessage<'_>, header: &[u8]) -> Self {
        let fields = header::fields(header).filter(|field| field.is("From")).count();
        if fields == 0 {
            return Self::None;
        }
        let shown = Summary::parse(header).from;
        let shown = shown.iter().filter_map(|author| match author.parsed_address()?.host {
            Host::Domain(domain) => Some(domain.ascii().into_owned()),
            Host::Literal(_) => None,
        });
        let verified = message.froms().iter().map(|author| {
            let domain = author.rsplit_once('@').map_or("", |(_, domain)| domain);
            Domain::parse(domain)
                .map_or_else(|_| domain.to_ascii_lowercase(), |domain| domain.ascii().into_owned())
        });
        let mut domains: Vec<String> = shown.chain(verified).collect();
        domains.sort_unstable();
        domains.dedup();
        match <[String; 1]>::try_from(domains) {
            Ok([domain]) if fields == 1 && !domain.is_empty() => Self::Domain(domain),
            _ => Self::Unclear,
        }
    }

    /// Whether the DNS of `identity` belongs to the authors' domain, so that a failure of it says something about them.
    pub(crate) fn own(&self, identity: &str) -> bool {
        let Self::Domain(author) = self else { return false };
        let identity = identity.trim_end_matches('.').to_ascii_lowercase();
        let is_below = |domain: &str, parent: &str| {
            domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        !identity.is_empty() && (is_below(author, &identity) || is_below(&identity, author))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(header: &str) -> Authors {
        let header = format!("{header}\r\n");
        Authors::of(&AuthenticatedMessage::parse(header.as_bytes()).unwrap_or_default(), header.as_bytes())
    }

    #[test]
    fn authors_of_one_domain_in_one_field_are_clear() {
        let domain = Authors::Domain("bank.example".to_owned());
        for header in [
            "From: ag@bank.example\r\n",
            "FROM: AG <ag@Bank.example>, \"x@evil.example\" <gb@BANK.EXAMPLE>\r\n",
            "From : (x@evil.example) ag@bank.example\r\nReply-To: x@evil.example\r\n",
        ] {
            assert_eq!(authors(header), domain, "{header}");
        }
        let domain = Authors::Domain("xn--bcher-kva.example".to_owned());
        assert_eq!(authors("From: ag@b\u{fc}cher.example\r\n"), domain);
        assert_eq!(authors("Subject: From: x@y\r\n"), Authors::None);
    }

    #[test]
    fn several_fields_or_domains_are_unclear() {
        for header in [
            "From: ag@evil.example\r\nFrom: ag@bank.example\r\n",
            "From: ag@bank.example\r\nfrom: ag@bank.example\r\n",
            "From: ag@evil.example, ag@bank.example\r\n",
            "From: group: ag@evil.example, ag@bank.example;\r\n",
            "From: nobody\r\n",
            "From:\r\n",
        ] {
            assert_eq!(authors(header), Authors::Unclear, "{header}");
        }
    }

    #[test]
    fn parents_and_children_speak_for_a_domain() {
        let authors = Authors::Domain("mail.bank.example".to_owned());
        for (identity, is_own) in [
            ("mail.bank.example", true),
            ("BANK.example.", true),
            ("x.mail.bank.example", true),
            ("xmail.bank.example", false),
            ("evil.example", false),
            ("ank.example", false),
            ("", false),
        ] {
            assert_eq!(authors.own(identity), is_own, "{identity}");
        }
        assert!(!Authors::Unclear.own("bank.example"));
    }
}
