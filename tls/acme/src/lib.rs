//! Obtains the certificate of the servers from an ACME directory (RFC 8555) and renews it.
//!
//! One task beside the listeners. It waits until the certificate is due, requests one, and stores it in the files that the listeners'
//! [`Certificate`] reloads. The page's listener answers the directory's challenges (TLS-ALPN-01, RFC 8737) meanwhile. A failure
//! changes nothing but the time of the next attempt; the previous certificate stays in use.

mod account;
mod failure;
mod https;
mod order;

use std::fmt::{self, Debug, Display};
use std::path::Path;
use std::time::{Duration, SystemTime};

use config::NameServer;
use tls::{Certificate, IssuedFiles};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::failure::{Backoff, Failure};
use crate::https::HttpsClient;

/// An attempt that takes longer has failed. Directories verify a name within seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The clock is read again at this interval, because it may be set, and a suspended machine's timers stop.
const CLOCK_INTERVAL: Duration = Duration::from_hours(1);

/// Obtains and renews a certificate.
pub struct Renewal {
    config: config::Acme,
    names: Vec<String>,
    certificate: Certificate,
    files: IssuedFiles,
    client: HttpsClient,
}

impl Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Renewal {
    /// Reads root certificates and the configuration of the DNS, so that a process confined by Landlock does not have to. `names` are in ASCII form;
    /// `resolver` are DNS servers, or none for those of the system.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn new(
        config: &config::Acme,
        names: Vec<String>,
        resolver: &[NameServer],
        data: &Path,
        certificate: Certificate,
    ) -> Result<Self, String> {
        let client = HttpsClient::new(config.ca.as_deref(), resolver)?;
        Ok(Self { config: config.clone(), names, certificate, files: IssuedFiles::new(data), client })
    }

    /// Keeps the certificate valid until `shutdown` turns true.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            () = self.keep_valid() => {}
            _ = shutdown.wait_for(|shutdown| *shutdown) => {}
        }
    }

    async fn keep_valid(&self) {
        let mut backoff = Backoff::default();
        loop {
            self.wait_until_due().await;
            let attempt = timeout(ATTEMPT_TIMEOUT, self.renew()).await;
            let Err(failure) = attempt.unwrap_or_else(|_| Err(Failure::timed_out())) else {
                backoff = Backoff::default();
                continue;
            };
            let delay = backoff.next_delay(&failure, self.client.take_retry_after());
            warn!(
                "no certificate from {}: {failure}; the current one stays in use; next attempt in {}",
                self.config.directory,
                Readable(delay)
            );
            sleep(delay).await;
        }
    }

    async fn wait_until_due(&self) {
        while let Some(due) = self.due()
            && let Ok(remaining) = due.duration_since(SystemTime::now())
            && !remaining.is_zero()
        {
            sleep(remaining.min(CLOCK_INTERVAL)).await;
        }
    }

    /// When a certificate must be requested; `None`: at once.
    fn due(&self) -> Option<SystemTime> {
        let due = self.certificate.renewal_due(&self.names)?;
        self.files.is_issued_by(&self.config.directory.to_string()).then_some(due)
    }

    /// Requests a certificate and stores it.
    async fn renew(&self) -> Result<(), Failure> {
        let account = self.open_account().await?;
        let chain = self.order_certificate(&account).await?;
        self.files.store_certificate(&chain, &self.config.directory.to_string()).map_err(Failure::local)?;
        // Reloads the files. A certificate that is due at once would be requested without a pause.
        match self.due() {
            Some(due) if due > SystemTime::now() => {
                info!("the ACME directory has issued a certificate for {}", self.names.join(", "));
                Ok(())
            }
            Some(_) => {
                Err(Failure::local("the new certificate is due for renewal already; correct the clock"))
            }
            None => Err(Failure::local(format!(
                "the new certificate is not valid for {}; correct these names",
                self.names.join(", ")
            ))),
        }
    }
}

/// A duration in its largest unit.
struct Readable(Duration);

impl Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ ..120 => write!(f, "{seconds} seconds"),
            seconds @ 120..7_200 => write!(f, "{} minutes", seconds / 60),
            seconds => write!(f, "{} hours", seconds / 3_600),
        }
    }
}
