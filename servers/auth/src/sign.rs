//! DKIM signatures of outgoing messages (RFC 6376, RFC 8463).
//!
//! The signature covers the whole body and, with relaxed canonicalization, the fields below. A field that occurs n times is
//! oversigned: named n + 1 times, so that an added field breaks the signature.

use std::io;
use std::sync::Arc;

use mail_auth::common::crypto::{Algorithm, DkimKey, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter as _, Writable};
use mail_auth::dkim::{DkimSigner, Done};
use mail_core::message::address::{Address, Domain, Host, ReversePath};
use mail_core::message::header;
use mail_core::message::parsed::Summary;
use mail_outbound::{ReadBody, Signer};

use crate::keys::DkimKeys;

/// RFC 6376 section 5.4.1. None may be added after the message was signed.
const OVERSIGNED: [&str; 11] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
];

/// Signed if they are present. A mailing list may add them.
const SIGNED: [&str; 11] = [
    "Sender",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
];

/// Signs the messages of this host's users with every key.
#[derive(Debug)]
pub struct MessageSigner {
    keys: DkimKeys,
    domains: Vec<Domain>,
}

/// A key whose clones share its memory.
struct SharedKey(Arc<DkimKey>);

impl SigningKey for SharedKey {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        self.0.sign(input)
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl MessageSigner {
    /// Signs for the local domains `domains`.
    #[must_use]
    pub const fn new(keys: DkimKeys, domains: Vec<Domain>) -> Self {
        Self { keys, domains }
    }

    /// The domain of the first From address if it is local, else that of the sender.
    fn domain(&self, reverse_path: &ReversePath, header: &[u8]) -> Option<String> {
        let from = Summary::parse(header).from;
        let from = from.first().and_then(|from| from.parsed_address());
        let local = |address: &Address| match &address.host {
            Host::Domain(domain) => self.domains.contains(domain).then(|| domain.ascii().into_owned()),
            _ => None,
        };
        from.as_ref().and_then(local).or_else(|| reverse_path.address().and_then(local))
    }

    fn signers(&self, domain: &str, header: &[u8]) -> Vec<DkimSigner<SharedKey, Done>> {
        let twice = OVERSIGNED.iter().flat_map(|name| [*name; 2]);
        let present = SIGNED.iter().copied().filter(|name| header::first(header, name).is_some());
        let names: Vec<&str> = twice.chain(present).collect();
        let DkimKeys(keys) = &self.keys;
        keys.iter()
            .map(|key| {
                DkimSigner::from_key(SharedKey(Arc::clone(&key.key)))
                    .domain(domain)
                    .selector(&key.selector)
                    .headers(names.iter().copied())
            })
            .collect()
    }
}

impl Signer for MessageSigner {
    fn sign(&self, reverse_path: &ReversePath, header: &[u8], body: &ReadBody<'_>) -> io::Result<Vec<u8>> {
        let Some(domain) = self.domain(reverse_path, header) else { return Ok(Vec::new()) };
        let signers = self.signers(&domain, header);
        let mut streams: Vec<_> = signers.iter().map(DkimSigner::sign_streaming).collect();
        streams.iter_mut().for_each(|stream| stream.write(header));
        body(&mut |piece| {
            streams.iter_mut().for_each(|stream| stream.write(piece));
            Ok(())
        })?;
        let mut fields = Vec::new();
        for stream in streams {
            stream.finish().map_err(io::Error::other)?.write_header(&mut fields);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Borrow;
    use std::collections::HashMap;
    use std::hash::Hash;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use chrono::DateTime;
    use mail_auth::common::parse::TxtRecordParser as _;
    use mail_auth::common::verify::DomainKey;
    use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
    use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};

    use super::*;

    const HEADER: &str = "From: AG <ag@iit.edu>\r\nTo: x@example.net\r\nSubject:  two \t words\r\n\
        Date: Sun, 22 Nov 2026 19:15:07 +0000\r\nList-Id: <list.iit.edu>\r\n";

    /// DNS records.
    #[derive(Default)]
    struct Records(Mutex<HashMap<Box<str>, Txt>>);

    impl ResolverCache<Box<str>, Txt> for Records {
        fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
        where
            Box<str>: Borrow<Q>,
        {
            self.0.lock().unwrap().get(name).cloned()
        }

        fn remove<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
        where
            Box<str>: Borrow<Q>,
        {
            self.0.lock().unwrap().remove(name)
        }

        fn insert(&self, name: Box<str>, record: Txt, _valid_until: Instant) {
            self.0.lock().unwrap().insert(name, record);
        }
    }

    struct Fixture {
        _data: tempfile::TempDir,
        signer: MessageSigner,
        records: Records,
    }

    fn fixture() -> Fixture {
        let data = tempfile::tempdir().unwrap();
        let keys = DkimKeys::read_or_generate(data.path(), DateTime::UNIX_EPOCH).unwrap();
        let domains = ["iit.edu", "b\u{fc}ro.example"].map(|domain| Domain::parse(domain).unwrap());
        let records = Records::default();
        for (name, text) in domains.iter().flat_map(|domain| keys.records(domain)) {
            let key = DomainKey::parse(text.as_bytes()).unwrap();
            let valid_until = Instant::now() + Duration::from_secs(3_600);
            records.insert(format!("{name}.").into(), Txt::DomainKey(Arc::new(key)), valid_until);
        }
        Fixture { _data: data, signer: MessageSigner::new(keys, domains.to_vec()), records }
    }

    impl Fixture {
        /// The signed message. The signer reads the body in pieces of `step` octets.
        fn signed(&self, header: &str, body: &str, step: usize) -> String {
            let rest = format!("\r\n{body}");
            let path = ReversePath::Address(Address::parse("gb@iit.edu").unwrap());
            let read: &ReadBody<'_> = &|put| rest.as_bytes().chunks(step).try_for_each(&mut *put);
            let fields = self.signer.sign(&path, header.as_bytes(), read).unwrap();
            String::from_utf8(fields).unwrap() + header + &rest
        }

        /// The result of each signature.
        fn results(&self, message: &str) -> Vec<bool> {
            let dns = MessageAuthenticator::new(
                ResolverConfig::from_name_servers(Vec::new()),
                ResolverOpts::default(),
            )
            .unwrap();
            let message = AuthenticatedMessage::parse(message.as_bytes()).unwrap();
            let parameters = Parameters::new(&message).with_txt_cache(&self.records);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let outputs = runtime.block_on(dns.verify_dkim(parameters));
            outputs.iter().map(|output| *output.result() == DkimResult::Pass).collect()
        }
    }

    #[test]
    fn both_signatures_verify_for_any_body() {
        let fixture = fixture();
        let long = "x".repeat(100_000);
        for body in
            ["", "text", "text\r\n", "text\r\n\r\n\r\n", " \t\r\n", "Gr\u{fc}\u{df}e  \r\n.dot \r\n", &long]
        {
            for step in [1, 3, 65_536] {
                let message = fixture.signed(HEADER, body, step);
                assert_eq!(fixture.results(&message), [true, true], "{body:.20} in steps of {step}");
            }
        }
    }

    #[test]
    fn changed_body_or_header_fails() {
        let fixture = fixture();
        let message = fixture.signed(HEADER, "text\r\n", 100);
        for (part, changed) in [
            ("text\r\n", "texT\r\n"),
            ("text\r\n", "text\r\nmore\r\n"),
            ("two", "three"),
            ("AG <ag@iit.edu>", "AG <gb@iit.edu>"),
            ("<list.iit.edu>", "<other.iit.edu>"),
            ("To: x@example.net\r\n", ""),
            ("To: x", "Cc: y@example.net\r\nTo: x"),
            ("To: x", "From: gb@iit.edu\r\nTo: x"),
            ("To: x", "Subject: again\r\nTo: x"),
            ("To: x", "Content-Type: text/html\r\nTo: x"),
        ] {
            assert_eq!(
                fixture.results(&message.replace(part, changed)),
                [false, false],
                "{part} -> {changed}"
            );
        }
        for (part, changed) in [
            ("Subject:  two \t words", "SUBJECT: two\r\n  words"),
            ("text\r\n", "text \t\r\n\r\n"),
            ("From: AG", "Received: from a by b\r\nFrom: AG"),
            ("To: x", "List-Post: <mailto:list@iit.edu>\r\nTo: x"),
        ] {
            assert_eq!(fixture.results(&message.replace(part, changed)), [true, true], "{part} -> {changed}");
        }
    }

    #[test]
    fn domain_is_that_of_a_local_author_or_else_of_the_sender() {
        let fixture = fixture();
        for (from, domain) in [
            ("ag@iit.edu", "iit.edu"),
            ("ag@b\u{fc}ro.example", "xn--bro-hoa.example"),
            ("x@gmail.com", "iit.edu"),
            ("nobody", "iit.edu"),
        ] {
            let message = fixture.signed(&HEADER.replace("ag@iit.edu", from), "text\r\n", 100);
            assert_eq!(message.matches(&format!("; d={domain};")).count(), 2, "{message}");
            assert_eq!(fixture.results(&message), [true, true], "{message}");
        }
        let unsigned =
            fixture.signer.sign(&ReversePath::Null, b"From: x@gmail.com\r\n", &|_| Ok(())).unwrap();
        assert!(unsigned.is_empty());
    }
}
