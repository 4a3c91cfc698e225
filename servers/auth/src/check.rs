//! Verification of a message from an unauthenticated client: SPF (RFC 7208) of HELO and MAIL FROM, DKIM (RFC 6376), ARC (RFC 8617),
//! DMARC (RFC 7489, with the tree walk of its successor, RFC 9989) and iprev (RFC 8601 section 3).
//!
//! SPF and iprev run while the message arrives. The body is hashed as it passes and not kept. Every step has a timeout, after which
//! its result is `temperror`; DMARC rejects a message only if no result for the authors' domain is.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use config::{DmarcMode, NameServer, SpamFilter};
use mail_auth::common::crypto::{HashAlgorithm, HashContext as _, HashImpl, Sha1, Sha256};
use mail_auth::dkim::canonicalize::BodyHasher;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DmarcOutput, DmarcResult, MessageAuthenticator as Dns, SpfOutput,
    SpfResult,
};
use mail_core::message::address::Domain;
use mail_core::message::authentication_results::{self, MethodResult};
use mail_core::message::header;
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::replies;
use mail_service::authentication::{MessageAuthenticator, MessageCheck, Sender, Verdict};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::authors::Authors;
use crate::results;
use crate::rspamd::{self, MESSAGE_OCTETS_MAX, Spam, SpamMetrics};

/// Time for SPF and iprev, which begin with the message.
const SENDER_TIMEOUT: Duration = Duration::from_secs(6);
/// Time for all signatures after the end of the message.
const DKIM_TIMEOUT: Duration = Duration::from_secs(6);
const DMARC_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for one attempt of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Signatures that are verified. Each costs a query and a public-key operation.
const SIGNATURES_MAX: usize = 8;
/// ARC sets that are verified (RFC 8617 section 4.2.1 permits 50). Each costs a query and a public-key operation.
const ARC_SETS_MAX: usize = 8;
/// Fields that a signature may cover. Each is searched in the header.
const SIGNED_FIELDS_MAX: usize = 200;
/// Fields of a header whose signatures are verified.
const FIELDS_MAX: usize = 1_000;
/// Octets of a header that are verified. Real headers are much shorter.
const HEADER_OCTETS_MAX: usize = 256 << 10;

type Digest = <Sha256 as HashImpl>::Context;

/// Verifies messages through the DNS.
#[derive(Clone)]
pub struct Authenticator(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    dns: Dns,
    hostname: String,
    dmarc: DmarcMode,
    rspamd: Option<(SpamFilter, SpamMetrics)>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("hostname", &self.0.hostname).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// `servers` are the DNS servers; if there are none, those of the system are used.
    ///
    /// # Errors
    /// A sentence: the configuration of the system is unreadable.
    pub fn new(hostname: &Domain, servers: &[NameServer], dmarc: DmarcMode) -> Result<Self, String> {
        let dns = Dns(mail_outbound::dns_resolver(servers, QUERY_TIMEOUT)?);
        let hostname = hostname.ascii().into_owned();
        Ok(Self(Arc::new(Shared { dns, hostname, dmarc, rspamd: None })))
    }

    /// Passes messages to a spam filter, too.
    #[must_use]
    pub fn with_rspamd(self, filter: SpamFilter, metrics: SpamMetrics) -> Self {
        let shared = Shared::clone(&self.0);
        Self(Arc::new(Shared { rspamd: Some((filter, metrics)), ..shared }))
    }
}

impl MessageAuthenticator for Authenticator {
    fn authserv_id(&self) -> &str {
        &self.0.hostname
    }

    fn own_fields(&self) -> &'static [&'static str] {
        if self.0.rspamd.is_some() { &rspamd::FIELDS } else { &[] }
    }

    fn begin(&self, sender: Sender) -> Box<dyn MessageCheck> {
        let mut sender_check = JoinSet::new();
        let (shared, identity) = (Arc::clone(&self.0), Identity::of(&sender));
        let checked = identity.clone();
        sender_check.spawn(async move { shared.check_sender(&checked).await });
        Box::new(Check {
            shared: Arc::clone(&self.0),
            identity,
            sender,
            sender_check,
            message: self.0.rspamd.is_some().then(Vec::new),
            header: Vec::new(),
            body_hashes: Vec::new(),
        })
    }
}

/// The identities that a client claims.
#[derive(Debug, Clone)]
struct Identity {
    address: IpAddr,
    hello: String,
    /// Empty for the null reverse-path.
    mail_from: String,
}

impl Identity {
    fn of(sender: &Sender) -> Self {
        let mail_from = sender.reverse_path.address().map(ToString::to_string).unwrap_or_default();
        Self { address: sender.address, hello: sender.hello.clone(), mail_from }
    }

    /// The domain that SPF verifies for MAIL FROM (RFC 7208 section 2.4).
    fn mail_from_domain(&self) -> &str {
        self.mail_from.rsplit_once('@').map_or(&self.hello, |(_, domain)| domain)
    }
}

/// Results that do not need the message.
struct SenderResults {
    hello: SpfOutput,
    mail_from: SpfOutput,
    iprev: &'static str,
}

impl Shared {
    async fn check_sender(&self, identity: &Identity) -> SenderResults {
        let Identity { address, hello, mail_from } = identity;
        let by_hello = SpfParameters::verify_ehlo(*address, hello, &self.hostname);
        let by_mail_from = SpfParameters::verify_mail_from(*address, hello, &self.hostname, mail_from);
        let (hello, mail_from, iprev) = tokio::join!(
            timeout(SENDER_TIMEOUT, self.dns.verify_spf(by_hello)),
            timeout(SENDER_TIMEOUT, self.dns.verify_spf(by_mail_from)),
            timeout(SENDER_TIMEOUT, self.dns.verify_iprev(*address)),
        );
        let unknown = |_| SpfOutput::default().with_result(SpfResult::TempError);
        SenderResults {
            hello: hello.unwrap_or_else(unknown),
            mail_from: mail_from.unwrap_or_else(unknown),
            iprev: iprev.map_or(results::TEMPORARY_ERROR, |iprev| results::iprev(iprev.result())),
        }
    }

    /// The result for all identities if one passes. Otherwise that for the identities of the authors' domain: others could only hide it,
    /// with DNS servers that do not answer.
    async fn check_authors(
        &self,
        message: &AuthenticatedMessage<'_>,
        authors: &Authors,
        own_signatures: &[DkimOutput<'_>],
        signatures: &[DkimOutput<'_>],
        identity: &Identity,
        spf: &SpfOutput,
    ) -> DmarcOutput {
        let unknown = SpfOutput::default();
        let own_spf = if authors.own(identity.mail_from_domain()) { spf } else { &unknown };
        let (all, own) = tokio::join!(
            self.check_dmarc(message, signatures, identity, spf),
            self.check_dmarc(message, own_signatures, identity, own_spf),
        );
        if matches!(all.result(), DmarcResult::TempError(_)) && must_reject(&own) { own } else { all }
    }

    async fn check_dmarc(
        &self,
        message: &AuthenticatedMessage<'_>,
        signatures: &[DkimOutput<'_>],
        identity: &Identity,
        spf: &SpfOutput,
    ) -> DmarcOutput {
        let parameters = DmarcParameters {
            message,
            dkim_output: signatures,
            dkim2_output: None,
            rfc5321_mail_from_domain: identity.mail_from_domain(),
            spf_output: spf,
        };
        match timeout(DMARC_TIMEOUT, self.dns.verify_dmarc(parameters)).await {
            Ok(output) => output,
            Err(_) => {
                let domain = message.from().rsplit_once('@').map_or("", |(_, domain)| domain);
                let result = DmarcResult::TempError(results::timed_out());
                DmarcOutput::new(domain.to_owned()).with_spf_result(result)
            }
        }
    }
}

/// The verification of one message.
struct Check {
    shared: Arc<Shared>,
    identity: Identity,
    sender: Sender,
    /// The message for the spam filter; `None` without one, and for a large message.
    message: Option<Vec<u8>>,
    /// One task, which ends when this is dropped.
    sender_check: JoinSet<SenderResults>,
    /// With the empty line.
    header: Vec<u8>,
    /// One for each combination of algorithms that a signature uses, in the order of [`AuthenticatedMessage::body_hashes`].
    body_hashes: Vec<BodyHasher<Digest>>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Parses a header without its body. Signatures that would take much time are left out.
fn parse(header: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    let mut message = AuthenticatedMessage::parse(header)?;
    if message.headers.len() > FIELDS_MAX {
        message.dkim_headers.clear();
    }
    message.dkim_headers.retain(|signature| signature.header.h.len() <= SIGNED_FIELDS_MAX);
    if message.headers.len() > FIELDS_MAX
        || message.as_headers.len() > ARC_SETS_MAX
        || message.ams_headers.iter().any(|signature| signature.header.h.len() > SIGNED_FIELDS_MAX)
    {
        message.as_headers.clear();
        message.ams_headers.clear();
        message.aar_headers.clear();
    }
    message.dkim_headers.truncate(SIGNATURES_MAX);
    message.errors.truncate(SIGNATURES_MAX);
    Some(message)
}

impl MessageCheck for Check {
    fn header(&mut self, header: &[u8]) {
        self.record(header);
        self.record(b"\r\n");
        // mail-auth ends the header at a line that is not a field. Mail programs do not, so the sender could hide a From from it.
        let fields = header::fields(header).filter(|field| field.name.is_some()).take(FIELDS_MAX);
        self.header = fields.flat_map(|field| field.raw).copied().take(HEADER_OCTETS_MAX).collect();
        self.header.extend_from_slice(b"\r\n");
        let Some(message) = parse(&self.header) else { return };
        let hashes = message.body_hashes.iter().map(|(canonicalization, algorithm, ..)| {
            let digest = match algorithm {
                HashAlgorithm::Sha1 => Sha1::hasher(),
                HashAlgorithm::Sha256 => Sha256::hasher(),
            };
            BodyHasher::new(digest, *canonicalization, 0)
        });
        self.body_hashes = hashes.collect();
    }

    fn body(&mut self, chunk: &[u8]) {
        self.record(chunk);
        self.body_hashes.iter_mut().for_each(|hash| hash.write(chunk));
    }

    fn memory(&self) -> usize {
        self.header.capacity() + self.message.as_ref().map_or(0, Vec::capacity)
    }

    fn finish(self: Box<Self>) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
        Box::pin(self.complete())
    }
}

/// The results of a message.
struct Results {
    methods: Vec<MethodResult>,
    rejection: Option<Reply>,
}

impl Check {
    /// Keeps a part of the message for the spam filter.
    fn record(&mut self, part: &[u8]) {
        match &mut self.message {
            Some(message) if message.len() + part.len() <= MESSAGE_OCTETS_MAX => {
                message.extend_from_slice(part)
            }
            message => *message = None,
        }
    }

    async fn complete(mut self: Box<Self>) -> Verdict {
        let message = self.message.take();
        let (results, spam) = tokio::join!(
            authenticate(
                &self.shared,
                &self.identity,
                &self.header,
                std::mem::take(&mut self.body_hashes),
                &mut self.sender_check,
            ),
            filter(&self.shared, &self.sender, message),
        );
        let field = authentication_results::format(&self.shared.hostname, &results.methods);
        match (results.rejection, spam) {
            (Some(reply), _) | (None, Spam::Rejected(reply)) => Verdict { field, rejection: Some(reply) },
            (None, Spam::Accepted(fields)) => Verdict { field: field + &fields, rejection: None },
        }
    }
}

/// The verdict of the spam filter. One that fails accepts the message.
async fn filter(shared: &Shared, sender: &Sender, message: Option<Vec<u8>>) -> Spam {
    let (Some((filter, metrics)), Some(message)) = (&shared.rspamd, message) else {
        return Spam::Accepted(String::new());
    };
    let result = rspamd::check(filter, sender, &shared.hostname, message).await;
    metrics.count(&result);
    result.unwrap_or_else(|reason| {
        warn!(reason, "the spam filter does not work; the message is accepted");
        Spam::Accepted(String::new())
    })
}

async fn authenticate(
    shared: &Shared,
    identity: &Identity,
    header: &[u8],
    hashes: Vec<BodyHasher<Digest>>,
    sender_check: &mut JoinSet<SenderResults>,
) -> Results {
    let mut message = parse(header).unwrap_or_default();
    for (place, hash) in message.body_hashes.iter_mut().zip(hashes) {
        let (digest, _) = hash.finish();
        place.3 = digest.complete().as_ref().to_vec();
    }
    let authors = Authors::of(&message, header);
    // Slow DNS servers of other domains must not hide the result for the authors' domain.
    let (mut own, mut others) = (message.clone(), message);
    own.dkim_headers.retain(|signature| authors.own(&signature.header.d));
    others.dkim_headers.retain(|signature| !authors.own(&signature.header.d));
    others.errors.clear();
    let verify = |message| timeout(DKIM_TIMEOUT, shared.dns.verify_dkim(message));
    let (sender, own_signatures, other_signatures, arc) = tokio::join!(
        sender_check.join_next(),
        verify(&own),
        verify(&others),
        timeout(DKIM_TIMEOUT, shared.dns.verify_arc(&own)),
    );
    let Some(Ok(sender)) = sender else {
        error!("the verification of a sender ended unexpectedly");
        return Results { methods: Vec::new(), rejection: None };
    };
    let own_signatures = own_signatures.unwrap_or_else(|_| results::unverified(&own));
    let mut signatures = own_signatures.clone();
    signatures.extend(other_signatures.unwrap_or_else(|_| results::unverified(&others)));
    let dmarc =
        shared.check_authors(&own, &authors, &own_signatures, &signatures, identity, &sender.mail_from).await;
    let mut methods = vec![
        MethodResult {
            method: "iprev",
            result: sender.iprev,
            properties: vec![("policy.iprev", identity.address.to_string())],
        },
        results::spf(&sender.hello, "smtp.helo", &identity.hello),
        results::spf(&sender.mail_from, "smtp.mailfrom", &identity.mail_from),
    ];
    methods.extend(results::dkim(&signatures));
    methods.extend(results::arc(&own, arc.ok().as_ref()));
    let is_unclear = authors == Authors::Unclear;
    methods.push(if is_unclear { results::unclear_authors() } else { results::dmarc(&dmarc) });
    let rejection = match shared.dmarc {
        DmarcMode::Report => None,
        DmarcMode::Reject if is_unclear => Some(replies::AUTHORS_UNCLEAR),
        DmarcMode::Reject => must_reject(&dmarc).then(|| replies::rejected_by_dmarc(dmarc.domain())),
    };
    Results { methods, rejection }
}

/// Whether the policy rejects the message. A failed query is no reason.
fn must_reject(dmarc: &DmarcOutput) -> bool {
    let is_known = |result: &DmarcResult| !matches!(result, DmarcResult::TempError(_));
    dmarc.policy() == Policy::Reject
        && matches!(dmarc.result(), DmarcResult::Fail(_))
        && is_known(dmarc.spf_result())
        && is_known(dmarc.dkim_result())
}
