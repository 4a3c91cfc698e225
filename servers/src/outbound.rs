//! Mail to other hosts: the queue, its delivery agent, and reports to senders.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, Outbound, OutboundMode};
use mail_authentication::{DkimKeys, MessageSigner};
use mail_core::message::address::Address;
use mail_core::message::srs::Srs;
use mail_outbound::{Agent, Composer, Grouping, Metrics, ReportTarget, SharedSchedule, TextQueue};
use mail_postgres::PostgresQueue;
use mail_service::context::Clock as _;
use mail_store::{Either, FanOut, StoreError};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::configured::{ConfiguredDisk, ConfiguredOffload};
use crate::context::{Context, SystemClock};

/// The agent of the configured queue.
pub(crate) enum ConfiguredAgent {
    Text(Box<Agent<TextQueue<ConfiguredDisk, ConfiguredOffload>, Reports>>),
    Database(Box<Agent<PostgresQueue, Reports>>),
}

impl ConfiguredAgent {
    /// Delivers until `shutdown` turns true.
    pub(crate) async fn run(self, shutdown: watch::Receiver<bool>) {
        match self {
            Self::Text(agent) => agent.run(shutdown).await,
            Self::Database(agent) => agent.run(shutdown).await,
        }
    }
}

/// The schedule of a queue.
pub(crate) fn schedule(outbound: &Outbound) -> SharedSchedule {
    let grouping = match outbound.mode {
        OutboundMode::Direct => Grouping::Domains,
        OutboundMode::Smarthost => Grouping::Smarthost,
    };
    let delay_report =
        Duration::from_secs(outbound.delay_report_seconds.min(outbound.lifetime_seconds).into());
    SharedSchedule::new(grouping, delay_report)
}

/// Makes entries of the queue. The first time, creates the DKIM keys.
///
/// # Errors
/// A DKIM key cannot be used.
pub(crate) fn composer(config: &Config, srs: &Srs) -> Result<Composer, String> {
    let keys = DkimKeys::read_or_generate(&config.data, SystemClock.utc())?;
    let signer = MessageSigner::new(&config.data, keys, config.domains.clone());
    Ok(Composer::new(srs.clone(), Some(Arc::new(signer))))
}

/// The agent that delivers the queue; `None` without a queue.
///
/// # Errors
/// A sentence that names the setting or file.
pub(crate) fn agent(
    config: &Config,
    context: &Arc<Context>,
    registry: &mut Registry,
) -> Result<Option<ConfiguredAgent>, String> {
    let Some(outbound) = &config.outbound else { return Ok(None) };
    let (reports, hostname) = (Reports(Arc::clone(context)), context.hostname.clone());
    let data = Some(config.data.as_path());
    Ok(match &context.store {
        Either::Left(FanOut { remote: Some(queue), .. }) => {
            let (queue, schedule) = queue.parts();
            let metrics = Metrics::registered(registry);
            let agent = Agent::new(queue, schedule, outbound.clone(), hostname, reports, metrics, data)?;
            Some(ConfiguredAgent::Text(Box::new(agent)))
        }
        Either::Right(store) if let Some((queue, schedule)) = store.queue_parts() => {
            let metrics = Metrics::registered(registry);
            let agent = Agent::new(queue, schedule, outbound.clone(), hostname, reports, metrics, data)?;
            Some(ConfiguredAgent::Database(Box::new(agent)))
        }
        _ => None,
    })
}

/// Delivers reports as any other mail, with the null reverse-path.
#[derive(Debug)]
pub(crate) struct Reports(Arc<Context>);

impl ReportTarget for Reports {
    async fn deliver(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        self.0.deliver_report(sender, report).await
    }
}
