//! SIGHUP: reads the configuration again, applies what needs no restart, and reports the rest. Accounts, aliases, quotas and
//! certificates are read again as well, so that an error in them is reported now.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Changes, Config};
use tls::Certificate;
use tracing::{error, info, warn};

use crate::configured;
use crate::context::Context;
use crate::sessions::Sessions;

/// The configuration file, and the flags that override it.
pub(crate) struct ConfigSource {
    path: Option<PathBuf>,
    read: Box<dyn Fn() -> Result<Config, String> + Send>,
    /// The file at the start of the process, and as last applied.
    started: String,
    applied: String,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ConfigSource {
    /// Reads the configuration with `read`. `path` is the file, if there is one.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn new(
        path: Option<PathBuf>,
        read: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> Result<(Self, Config), String> {
        // A relative path is that of the start.
        let path = path.map(|path| path.canonicalize().unwrap_or(path));
        let text = path.as_deref().map(text_of).unwrap_or_default();
        let config = read()?;
        let (started, applied) = (text.clone(), text);
        Ok((Self { path, read: Box::new(read), started, applied }, config))
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the file again. `config` is the configuration of the running services. An invalid file changes nothing.
    fn reload(&mut self, config: &mut Config) -> Result<Changes, String> {
        let Some(path) = &self.path else { return Ok(Changes::default()) };
        let text = text_of(path);
        config.apply(&(self.read)()?);
        let changes = Changes {
            applied: Changes::between(&self.applied, &text).applied,
            pending: Changes::between(&self.started, &text).pending,
        };
        self.applied = text;
        Ok(changes)
    }
}

/// An unreadable file is reported when it is parsed.
fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The running services, as far as they can be changed.
#[derive(Debug)]
pub(crate) struct Reloader {
    pub(crate) source: ConfigSource,
    pub(crate) config: Config,
    pub(crate) context: Arc<Context>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) certificate: Option<Certificate>,
}

impl Reloader {
    /// Reloads everything, and logs the result.
    pub(crate) async fn reload(&mut self) {
        match self.source.reload(&mut self.config) {
            Err(reason) => error!("{reason}; the previous configuration stays in force"),
            Ok(Changes { applied, pending }) => {
                let faults_changed = applied.iter().any(|key| key == "faults");
                self.sessions.reload(&self.config, faults_changed);
                info!(applied = applied.join(" "), "configuration reloaded");
                if !pending.is_empty() {
                    warn!(
                        "changed in the configuration, but in force only after a restart: {}",
                        pending.join(", ")
                    );
                }
            }
        }
        configured::reload(&self.context.directory).await;
        if let Some(certificate) = &self.certificate {
            info!(fingerprint = certificate.fingerprint(), "certificate in use");
        }
    }
}
