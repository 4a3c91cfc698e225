//! Attempts: connections, and the messages sent over them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use config::{HostName, OutboundMode, SmarthostTls};
use mail_core::message::address::{Address, AddressLiteral, ForwardPath, Host};
use mail_core::queue::{self, QueueId, Status};
use mail_core::smtp::client::Envelope;
use mail_core::smtp::command::HelloName;
use mail_core::smtp::parameter::Recipient;
use mail_store::disk::Disk;
use mail_store::offload::Offload;
use tokio::time::{Instant, timeout};
use tracing::{debug, error};

use super::{AgentState, ReportTarget};
use crate::body::FileBody;
use crate::queue::{QueueError, Queued};
use crate::schedule::{Destination, QueueItem};
use crate::session::{self, Accepted, ConnectError, Encryption, Failure, Session, Transaction};

/// Messages per connection. The limit gives other clients of the host a turn and lets a load balancer move the connection.
const MESSAGES_MAX: usize = 100;
/// Every host accepts this number of recipients (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// The block time stops growing after this number of failures, so that new mail does not wait for hours.
const BLOCKING_FAILURES_MAX: u32 = 3;
/// Delay before an entry that could not be read is read again.
const READ_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Delay before another connection to a host that limits them.
const BUSY_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Time to find a mail server of a domain, over all of its addresses. A slow greeting alone may take five minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(600);
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

impl<D: Disk, O: Offload, R: ReportTarget> AgentState<D, O, R> {
    /// Uses one connection to a destination: sends `item` and the messages that wait behind it.
    pub(super) async fn deliver(&self, item: QueueItem) {
        let destination = item.destination.clone();
        self.deliver_all(item).await;
        self.schedule.lock().close(&destination);
        self.schedule.notify();
    }

    async fn deliver_all(&self, item: QueueItem) {
        let destination = item.destination.clone();
        let (mut session, mut next) = (None, Some(item.id));
        for _ in 0..MESSAGES_MAX {
            let next_id = next.take().or_else(|| self.next(&destination));
            let Some(id) = next_id else { break };
            let item = QueueItem { id, destination: destination.clone() };
            let Some((queued, recipients)) = self.pending(&item).await else { continue };
            let (results, open) = match self.attempt(session.take(), &queued, &recipients).await {
                Ok(attempt) => attempt,
                // The host limits its connections.
                Err(failure)
                    if !failure.is_permanent && self.schedule.lock().has_other_connections(&destination) =>
                {
                    self.schedule.lock().slow_down(&destination);
                    return self.postpone(item, &queued);
                }
                Err(failure) => {
                    self.block(&destination, &failure);
                    let results = vec![Err(failure); recipients.len()];
                    return self.record_results(item, queued, recipients, results).await;
                }
            };
            match results.iter().any(Result::is_ok) {
                true => self.schedule.lock().succeeded(&destination),
                false if open.is_none() => self.schedule.lock().slow_down(&destination),
                false => {}
            }
            self.record_results(item, queued, recipients, results).await;
            session = open;
        }
        if let Some(session) = session {
            let _ = timeout(QUIT_TIMEOUT, session.quit()).await;
        }
    }

    /// The next message for an open connection; `None` during shutdown.
    fn next(&self, destination: &Destination) -> Option<QueueId> {
        if self.is_stopping.load(Ordering::Relaxed) { None } else { self.schedule.lock().take(destination) }
    }

    /// Sends a message over an open session or a new one. Returns the results and the session if it is still open. A session that the
    /// host ends between two messages, because it limits their number, is replaced at once.
    ///
    /// # Errors
    /// No host of the destination accepts a connection.
    async fn attempt(
        &self,
        session: Option<Session>,
        queued: &Queued<D::File>,
        recipients: &[usize],
    ) -> Result<(Vec<Result<Accepted, Failure>>, Option<Session>), Failure> {
        if let Some(mut open) = session {
            let Transaction { results, is_open, has_sent_body } =
                self.send(&mut open, queued, recipients).await;
            let is_refused =
                results.iter().flat_map(|result| result.as_ref().err()).any(|failure| failure.is_permanent);
            if is_open || has_sent_body || is_refused {
                return Ok((results, is_open.then_some(open)));
            }
        }
        let mut open = self.connect(&queued.entry.recipients[recipients[0]].address).await?;
        let Transaction { results, is_open, .. } = self.send(&mut open, queued, recipients).await;
        Ok((results, is_open.then_some(open)))
    }

    /// The entry, and the indexes of the item's recipients that are due. `None` if there is nothing to send.
    async fn pending(&self, item: &QueueItem) -> Option<(Queued<D::File>, Vec<usize>)> {
        // `queue release` cannot come between the check and the removal from the schedule.
        let lock = self.lock_of(&item.id).lock().await;
        let queued = match self.read(&item.id).await {
            Ok(queued) if !queued.progress.is_held => queued,
            // `queue release` schedules a held entry again.
            Ok(_) | Err(QueueError::NotFound(_)) => {
                self.schedule.lock().finish(item);
                return None;
            }
            Err(error) => {
                self.give_up(item, &error);
                return None;
            }
        };
        drop(lock);
        let recipients = self.due_recipients(item, &queued);
        if recipients.is_empty() {
            // Only a report is pending.
            self.record_results(item.clone(), queued, recipients, Vec::new()).await;
            return None;
        }
        Some((queued, recipients))
    }

    /// Removes an item with an invalid entry from the schedule. An entry that cannot be read now is attempted later.
    pub(super) fn give_up(&self, item: &QueueItem, error: &QueueError) {
        if let QueueError::Store(error) = error {
            error!(id = %item.id, %error, "cannot read a queued message; retrying in 60 s");
            let again = Instant::now() + READ_RETRY_DELAY;
            self.schedule.lock().retry(item.clone(), again, again);
        } else {
            error!(id = %item.id, %error, "a queued message is invalid; correct its file, then run `pennypost queue release`");
            self.schedule.lock().finish(item);
        }
    }

    /// The recipients of one transaction: those that are due, or all if delivery was requested before the time. Recipients that need
    /// SMTPUTF8 have transactions of their own, because a host without it refuses all recipients of a transaction.
    fn due_recipients(&self, item: &QueueItem, queued: &Queued<D::File>) -> Vec<usize> {
        let pending: Vec<usize> = self
            .recipients_of(item, queued)
            .filter(|index| queued.progress.recipients[*index].status == Status::Pending)
            .collect();
        let is_due = |index: &usize| self.delay_until_due(&queued.progress.recipients[*index]).is_zero();
        let due: Vec<usize> = pending.iter().copied().filter(is_due).collect();
        let recipients = if due.is_empty() { pending } else { due };
        let needs_utf8 = |index: &usize| !wire_address(&queued.entry.recipients[*index].address).is_ascii();
        let first = recipients.first().is_some_and(needs_utf8);
        recipients.into_iter().filter(|index| needs_utf8(index) == first).take(RECIPIENTS_MAX).collect()
    }

    /// Returns an item whose destination accepts no further connection now.
    fn postpone(&self, item: QueueItem, queued: &Queued<D::File>) {
        let report_at = self.report_at(queued.entry.received, &queued.progress);
        let delay = BUSY_RETRY_DELAY.min(self.config.retry_after(1));
        self.schedule.lock().retry(item, Instant::now() + delay, report_at);
        self.schedule.notify();
    }

    /// Defers an item whose destination is blocked, and sends the report that is due.
    pub(super) async fn defer_blocked(&self, item: QueueItem, failure: &str) {
        // Each has an open file.
        let _permit = self.report_permits.acquire().await;
        if let Some((queued, recipients)) = self.pending(&item).await {
            let failure = Failure { is_permanent: false, text: failure.to_owned() };
            let results = vec![Err(failure); recipients.len()];
            self.record_results(item, queued, recipients, results).await;
        }
    }

    fn block(&self, destination: &Destination, failure: &Failure) {
        // The other messages of a destination with a permanent failure have the same failure, each at its own attempt.
        if !failure.is_permanent {
            let backoff = |failures: u32| self.config.retry_after(failures.min(BLOCKING_FAILURES_MAX));
            self.schedule.lock().block(destination, &failure.text, Instant::now(), backoff);
        }
    }

    async fn send(
        &self,
        session: &mut Session,
        queued: &Queued<D::File>,
        recipients: &[usize],
    ) -> Transaction {
        let entry = &queued.entry;
        let recipient = |index: &usize| {
            let queue::Recipient { address, parameters } = &entry.recipients[*index];
            Recipient { path: ForwardPath::Address(wire_address(address)), parameters: parameters.clone() }
        };
        let envelope = Envelope {
            reverse_path: entry.reverse_path.clone(),
            recipients: recipients.iter().map(recipient).collect(),
            size: Some(queued.octets()),
            eight_bit: entry.eight_bit,
            utf8: entry.utf8,
            ret: entry.ret,
            envid: entry.envid.clone(),
            require_tls: false,
        };
        let file = Arc::clone(&queued.file);
        let mut body = FileBody { file, rest: queued.message.clone(), offload: self.offload.clone() };
        session.send(envelope, &mut body).await
    }

    /// Connects to the first host of the recipient's destination that accepts mail.
    async fn connect(&self, recipient: &Address) -> Result<Session, Failure> {
        let late = || {
            Failure::temporary(
                "4.4.1",
                format!("no mail server of {} answered within 10 minutes", recipient.host),
            )
        };
        timeout(CONNECT_TIMEOUT, self.connect_to_any(recipient)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect_to_any(&self, recipient: &Address) -> Result<Session, Failure> {
        let (hosts, port) = match (&self.config.mode, &self.config.smarthost) {
            (OutboundMode::Smarthost, Some(smarthost)) => {
                let host = match &smarthost.address.host {
                    HostName::Domain(name) => name.clone(),
                    HostName::Address(address) => address.to_string(),
                };
                (vec![host], smarthost.address.port)
            }
            _ => (self.mail_servers(&recipient.host).await?, self.config.port),
        };
        let mut last = None;
        for host in hosts {
            match self.connect_to_host(&host, port).await {
                Ok(session) => return Ok(session),
                Err(failure) => {
                    debug!(host, reason = failure.text, "mail server skipped");
                    // A temporary failure of one server counts more than a permanent one of another.
                    last = last.filter(|last: &Failure| !last.is_permanent).or(Some(failure));
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::permanent("5.4.4", "the domain has no mail server")))
    }

    async fn mail_servers(&self, host: &Host) -> Result<Vec<String>, Failure> {
        match host {
            Host::Domain(domain) => self.resolver.mail_servers(&domain.ascii(), &self.hostname.ascii()).await,
            Host::Literal(AddressLiteral::V4(address)) => Ok(vec![address.to_string()]),
            Host::Literal(AddressLiteral::V6(address)) => Ok(vec![address.to_string()]),
            Host::Literal(_) => Err(Failure::permanent("5.1.2", "unsupported address literal")),
        }
    }

    async fn connect_to_host(&self, host: &str, port: u16) -> Result<Session, Failure> {
        let is_smarthost = self.config.mode == OutboundMode::Smarthost;
        let addresses = match host.parse() {
            Ok(address) => {
                crate::route::permitted(vec![address], host, &self.config.private_networks, is_smarthost)?
            }
            Err(_) => self.resolver.addresses(host, &self.config.private_networks, is_smarthost).await?,
        };
        let mut last = None;
        for address in addresses {
            let host = session::Host { name: host.to_owned(), address: SocketAddr::new(address, port) };
            match self.connect_to_address(host).await {
                Ok(session) => return Ok(session),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::permanent("5.4.4", format!("{host} has no address"))))
    }

    async fn connect_to_address(&self, host: session::Host) -> Result<Session, Failure> {
        let encryption = self.encryption();
        let connect = |encryption| {
            let hello = HelloName::parse(&self.hostname.ascii()).expect("a domain is a name for EHLO");
            Session::connect(host.clone(), encryption, hello, self.credentials.clone())
        };
        match connect(encryption).await {
            Ok(session) => Ok(session),
            Err(ConnectError::Failed(failure)) => Err(failure),
            // RFC 7435: plain text is better than no delivery.
            Err(ConnectError::TlsFailed(failure)) => match connect(Encryption::Off).await {
                Ok(session) => Ok(session),
                Err(ConnectError::Failed(_) | ConnectError::TlsFailed(_)) => Err(failure),
            },
        }
    }

    fn encryption(&self) -> Encryption {
        match (&self.config.smarthost, &self.tls.verified) {
            (Some(smarthost), Some(verified)) if self.config.mode == OutboundMode::Smarthost => {
                match smarthost.tls {
                    SmarthostTls::Off => Encryption::Off,
                    SmarthostTls::StartTls => Encryption::StartTls(Arc::clone(verified)),
                    SmarthostTls::Implicit => Encryption::Implicit(Arc::clone(verified)),
                }
            }
            _ => Encryption::Opportunistic(Arc::clone(&self.tls.opportunistic)),
        }
    }
}

/// The address in an envelope. A domain in UTF-8 becomes A-labels, so that only the local part can need SMTPUTF8.
fn wire_address(address: &Address) -> Address {
    match &address.host {
        Host::Domain(domain) if !domain.is_ascii() => {
            Address::parse(&format!("{}@{}", address.local, domain.ascii()))
                .unwrap_or_else(|_| address.clone())
        }
        _ => address.clone(),
    }
}
