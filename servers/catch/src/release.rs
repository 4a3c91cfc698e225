//! Release of caught mail: real delivery through `[outbound]` of a configuration file, to permitted addresses only.
//!
//! A released message goes into an outbound queue in the catcher's directory, as mail of a real server does. A report about a
//! failure becomes a caught message.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{Config, HostName, HostPort, Identity, OutboundMode, Pattern};
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, Domain, ReversePath};
use mail_outbound::{
    Agent, Composer, Grouping, Metrics, OutboundQueue, ReportTarget, SharedSchedule, TextQueue, open_srs,
};
use mail_service::context::{Clock as _, IdGenerator as _};
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::{DeliveryTarget, Destination, DsnRequest, Envelope, IncomingMessage, Origin, StoreError};
use prometheus_client::registry::Registry;

use crate::own_message;
use crate::pop3;
use crate::service::CatchClock;
use crate::store::Store;

/// The protocol in Received fields.
const PROTOCOL: &str = "HTTP";

/// An address, or a pattern such as `*@example.com`.
#[derive(Debug, Clone)]
pub(crate) struct AllowedRecipient {
    text: String,
    identity: Identity,
}

/// The queue and its permitted recipients.
#[derive(Debug)]
pub(crate) struct Release {
    queue: OutboundQueue<RealDisk, Threads>,
    hostname: Domain,
    allowed: Vec<AllowedRecipient>,
    /// The smarthost, for Mailpit's description of the configuration.
    smarthost: String,
}

/// Delivers the queue.
pub(crate) type ReleaseAgent = Agent<TextQueue<RealDisk, Threads>, Reports>;

/// Stores reports as caught mail.
#[derive(Debug)]
pub(crate) struct Reports(Arc<Store>);

impl FromStr for AllowedRecipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let identity = match Pattern::parse(text) {
            // Without @, the pattern could match the end of another domain.
            Some(pattern) => (text.matches('@').count() == 1).then_some(Identity::Pattern(pattern)),
            None => Address::parse(text).ok().map(Identity::Address),
        };
        let identity = identity.ok_or_else(|| {
            format!("`{text}` is neither an address nor a pattern; write for example ann@example.com or *@example.com")
        })?;
        Ok(Self { text: text.to_owned(), identity })
    }
}

impl AllowedRecipient {
    fn matches(&self, address: &Address) -> bool {
        self.identity.matches(&address.to_string())
    }
}

impl Release {
    /// Opens the queue in the store's directory.
    ///
    /// # Errors
    /// A sentence: the configuration has no `[outbound]`, or one of its files or the directory cannot be used.
    pub(crate) fn open(
        config: &Config,
        allowed: &[AllowedRecipient],
        store: &Arc<Store>,
    ) -> Result<(Self, ReleaseAgent), String> {
        let outbound = config.outbound.as_ref().ok_or(
            "the file of --config has no [outbound], which a release needs; add it, or remove --release-to",
        )?;
        let (grouping, smarthost) = match (outbound.mode, &outbound.smarthost) {
            (OutboundMode::Smarthost, Some(smarthost)) => {
                (Grouping::Smarthost, described(&smarthost.address))
            }
            _ => (Grouping::Domains, String::new()),
        };
        let delay_report =
            Duration::from_secs(outbound.delay_report_seconds.min(outbound.lifetime_seconds).into());
        let root = store.files().root();
        let srs = open_srs(root, config.hostname.clone())?;
        let schedule = SharedSchedule::new(grouping, delay_report);
        let queue = OutboundQueue::open(&RealDisk::new(root), Threads, schedule, Composer::new(srs, None))
            .map_err(|error| format!("cannot use the outbound queue: {error}"))?;
        let metrics = Metrics::registered(&mut Registry::default());
        let reports = Reports(Arc::clone(store));
        let ((files, schedule), hostname) = (queue.parts(), config.hostname.clone());
        let agent = Agent::new(files, schedule, outbound.clone(), hostname, reports, metrics, Some(root))?;
        let release = Self { queue, hostname: config.hostname.clone(), allowed: allowed.to_vec(), smarthost };
        Ok((release, agent))
    }

    /// The first address that is not on the list.
    pub(crate) fn first_forbidden<'a>(&self, recipients: &'a [Address]) -> Option<&'a Address> {
        recipients.iter().find(|address| !self.allowed.iter().any(|allowed| allowed.matches(address)))
    }

    /// The patterns of --release-to.
    pub(crate) fn allowed(&self) -> Vec<&str> {
        self.allowed.iter().map(|allowed| allowed.text.as_str()).collect()
    }

    pub(crate) fn smarthost(&self) -> &str {
        &self.smarthost
    }

    /// Queues a message: with CRLF line ends, a Received field, and as mail of a user, without Bcc. Every recipient must be on the list.
    ///
    /// # Errors
    /// The message cannot be queued.
    pub(crate) async fn send(
        &self,
        octets: &[u8],
        reverse_path: ReversePath,
        recipients: &[Address],
    ) -> Result<(), StoreError> {
        if let Some(address) = self.first_forbidden(recipients) {
            return Err(StoreError::Failed(format!("{address} is not on the list of --release-to")));
        }
        let envelope = Envelope {
            reverse_path: reverse_path.clone(),
            recipients: recipients.iter().cloned().map(Destination::Remote).collect(),
            origin: Origin::ThisHost,
            dsn: DsnRequest::default(),
            require_tls: false,
        };
        let (clock, hostname) = (CatchClock, self.hostname.to_string());
        let time = clock.utc();
        let trace = Trace {
            reverse_path,
            hello: hostname.clone(),
            peer: None,
            by: hostname,
            with: PROTOCOL,
            tls: None,
            delivered_to: false,
            id: clock.generate(time),
            time,
            authentication_results: None,
        };
        let mut incoming = self.queue.begin(&envelope).await?;
        incoming.write(Bytes::from(pop3::text(octets))).await?;
        incoming.commit(&trace).await
    }
}

fn described(HostPort { host, port }: &HostPort) -> String {
    match host {
        HostName::Domain(name) => format!("{name}:{port}"),
        HostName::Address(address) => SocketAddr::new(*address, *port).to_string(),
    }
}

impl ReportTarget for Reports {
    async fn deliver(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        let (store, to) = (Arc::clone(&self.0), sender.to_string());
        let stored = tokio::task::spawn_blocking(move || {
            own_message::store(&store, &report, (String::new(), vec![to]), CatchClock.utc(), "local")
        });
        match stored.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(StoreError::Failed(error.to_string())),
            Err(error) => Err(StoreError::Failed(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_recipients_are_addresses_and_patterns() {
        for (allowed, address, is_allowed) in [
            ("ann@example.com", "ANN@EXAMPLE.com", true),
            ("ann@example.com", "bob@example.com", false),
            ("*@example.com", "bob@example.com", true),
            ("*@example.com", "bob@evil-example.com", false),
            ("*@example.com", "bob@example.com.evil.example", false),
            ("*@example.com", "\"x@example.com\"@evil.example", false),
            ("dev+*@example.com", "dev+1@example.com", true),
            ("*@*.example.com", "x@test.example.com", true),
        ] {
            let parsed: AllowedRecipient = allowed.parse().expect(allowed);
            let address = Address::parse(address).expect(address);
            assert_eq!(parsed.matches(&address), is_allowed, "{allowed} {address}");
        }
        for text in ["", "ann", "*", "*example.com", "*@a@b", "@example.com"] {
            let reason = text.parse::<AllowedRecipient>().expect_err(text);
            assert!(reason.contains("*@example.com"), "{reason}");
        }
    }
}
