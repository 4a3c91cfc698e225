//! Serves the page and the bridge without the mail servers: `ws-bridge --config FILE`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use config::{Config, WebListen};
use net::health::Readiness;
use net::log::{self, LogFormat};
use tls::Certificate;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;
use ws_bridge::{Bridge, Target};

/// Exit code for an invalid configuration or flag, or an address in use.
const EXIT_USAGE: u8 = 2;

/// Serve the page, and relay its WebSockets to the mail servers.
#[derive(Debug, Parser)]
#[command(name = "ws-bridge", version)]
struct Arguments {
    /// Configuration file (TOML) [default: none, all defaults].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// Directory of the built page [default: dist].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Format of the log on standard error; RUST_LOG sets its level.
    #[arg(long, value_enum, default_value = "text")]
    log: LogFormat,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut log = log::start(arguments.log);
    let result = arguments.read().and_then(|config| {
        log.start_writer().map_err(|error| format!("cannot start the log's thread: {error}"))?;
        tokio::runtime::Runtime::new()
            .map_err(|error| format!("cannot start the threads: {error}"))?
            .block_on(serve(&config))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log.print(&message);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Serves until SIGTERM or SIGINT.
async fn serve(config: &Config) -> Result<(), String> {
    let address =
        config.web.listen.address().ok_or("`listen` in [web] is off; set an address there or with --web")?;
    let targets: BTreeMap<_, _> =
        config.web_targets().into_iter().map(|(name, target)| (name, Target::from(target))).collect();
    if targets.is_empty() {
        return Err("no targets: set `proxy_listen` in [smtp] and [pop3], or `targets` in [web]".into());
    }
    if config.process.user.is_some() {
        return Err(
            "ws-bridge does not support `user` in [process]: start it as that user, or use `pennypost serve`"
                .into(),
        );
    }
    net::signals::ignore_fatal().map_err(|error| format!("cannot handle SIGHUP and SIGXFSZ: {error}"))?;
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|error| format!("cannot handle SIGTERM: {error}"))?;
    let certificate = Certificate::open(&config.tls, &config.data, &config.hostname.ascii())?;
    let bridge = Bridge::bind(address, &config.hostname, &config.web)?.with_mta_sts(config);
    let (shutdown_sender, shutdown) = watch::channel(false);
    let signals = async {
        tokio::select! {
            _ = terminated.recv() => info!("stopping on SIGTERM"),
            _ = tokio::signal::ctrl_c() => info!("stopping on SIGINT"),
        }
        shutdown_sender.send_replace(true);
    };
    tokio::join!(bridge.serve(targets, certificate, Readiness::new(shutdown)), signals);
    info!("stopped");
    Ok(())
}

impl Arguments {
    /// Reads the configuration and applies the flags.
    fn read(&self) -> Result<Config, String> {
        let mut config = match &self.config {
            Some(path) => Config::read(path).map_err(|error| error.to_string())?,
            None => Config::default(),
        };
        if let Some(address) = self.web {
            config.web.listen = WebListen::Address(address);
        }
        if let Some(root) = &self.root {
            config.web.root.clone_from(root);
        }
        Ok(config.with_hostname_domain())
    }
}
