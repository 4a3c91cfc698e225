//! Mail to other hosts: the queue, its delivery agent, and reports to senders.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, OutboundMode};
use mail_authentication::{DkimKeys, MessageSigner};
use mail_core::message::address::Address;
use mail_core::message::srs::Srs;
use mail_outbound::{Agent, Grouping, Metrics, OutboundQueue, ReportTarget, SharedSchedule};
use mail_service::context::Clock as _;
use mail_store::StoreError;
use prometheus_client::registry::Registry;

use crate::configured::{self, ConfiguredDisk, ConfiguredOffload};
use crate::context::{Context, SystemClock};

/// The queue in the data directory.
pub(crate) type ConfiguredQueue = OutboundQueue<ConfiguredDisk, ConfiguredOffload>;

/// Opens the queue if mail is sent to other hosts. The first time, creates the DKIM keys.
///
/// # Errors
/// Another process delivers the queue, or its directory cannot be used; or a DKIM key cannot be used.
pub(crate) fn open_queue(config: &Config, srs: &Srs) -> Result<Option<ConfiguredQueue>, String> {
    let Some(outbound) = &config.outbound else { return Ok(None) };
    let grouping = match outbound.mode {
        OutboundMode::Direct => Grouping::Domains,
        OutboundMode::Smarthost => Grouping::Smarthost,
    };
    let delay_report =
        Duration::from_secs(outbound.delay_report_seconds.min(outbound.lifetime_seconds).into());
    let schedule = SharedSchedule::new(grouping, delay_report);
    let queue = OutboundQueue::open(&configured::disk(config), ConfiguredOffload {}, schedule, srs.clone())
        .map_err(|error| format!("cannot use the outbound queue: {error}"))?;
    let keys = DkimKeys::read_or_generate(&config.data, SystemClock.utc())?;
    Ok(Some(queue.with_signer(Arc::new(MessageSigner::new(&config.data, keys, config.domains.clone())))))
}

/// The agent that delivers the queue; `None` without a queue.
///
/// # Errors
/// A sentence that names the setting or file.
pub(crate) fn agent(
    config: &Config,
    context: &Arc<Context>,
    registry: &mut Registry,
) -> Result<Option<Agent<ConfiguredDisk, ConfiguredOffload, Reports>>, String> {
    let (Some(outbound), Some(queue)) = (&config.outbound, &context.store.remote) else { return Ok(None) };
    let reports = Reports(Arc::clone(context));
    let metrics = Metrics::registered(registry);
    let hostname = context.hostname.clone();
    Agent::new(queue, outbound.clone(), hostname, reports, metrics, Some(&config.data)).map(Some)
}

/// Delivers reports as any other mail, with the null reverse-path.
#[derive(Debug)]
pub(crate) struct Reports(Arc<Context>);

impl ReportTarget for Reports {
    async fn deliver(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        self.0.deliver_report(sender, report).await
    }
}
