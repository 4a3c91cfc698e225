//! The bridge and the page alone: `ws-bridge --config FILE`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use config::{Config, WebListen};
use tls::Certificate;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;
use tracing_subscriber::EnvFilter;
use ws_bridge::Bridge;

/// What was asked for cannot be started: a broken configuration or flag, or an address that is taken.
const EXIT_USAGE: u8 = 2;

/// Serve the page, and carry its WebSockets to the mail servers.
#[derive(Debug, Parser)]
#[command(name = "ws-bridge", version)]
struct Arguments {
    /// The configuration file (TOML); without one, everything has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// The directory of the built page [default: dist].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The form of the log on standard error; RUST_LOG sets its level.
    #[arg(long, value_enum, default_value = "text")]
    log: LogForm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log);
    let outcome = arguments.read().and_then(|config| {
        tokio::runtime::Runtime::new()
            .map_err(|error| format!("cannot start the threads: {error}"))?
            .block_on(serve(&config))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            complain(&sentence);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs until SIGTERM or SIGINT.
async fn serve(config: &Config) -> Result<(), String> {
    let address =
        config.web.listen.address().ok_or("`listen` in [web] is off; name an address there or with --web")?;
    let targets = config.web_targets();
    if targets.is_empty() {
        return Err(
            "there is nothing to connect to: set `proxy_listen` in [smtp] and [pop3], or `targets` in [web]"
                .into(),
        );
    }
    if config.process.user.is_some() {
        return Err("ws-bridge keeps the user that it is started as: start it as that one, or use `pennypost serve`, \
                    which honours `user` in [process]"
            .into());
    }
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;
    let certificate = Certificate::open(&config.tls, &config.data, &config.hostname.ascii())?;
    let bridge = Bridge::bind(address, &config.hostname, &config.web)?;
    let (stop, stopping) = watch::channel(false);
    let stopped = async {
        tokio::select! {
            _ = terminated.recv() => info!("stopping on SIGTERM"),
            _ = tokio::signal::ctrl_c() => info!("stopping on SIGINT"),
        }
        stop.send_replace(true);
    };
    tokio::join!(bridge.serve(targets, certificate, stopping), stopped);
    info!("stopped");
    Ok(())
}

impl Arguments {
    /// The configuration with the flags over it.
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
        Ok(config)
    }
}

fn start_log(form: LogForm) {
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).with_target(false);
    match form {
        LogForm::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogForm::Json => log.json().init(),
    }
}

#[allow(clippy::print_stderr, reason = "the one place where the program says why it ends")]
fn complain(sentence: &str) {
    eprintln!("{sentence}");
}
