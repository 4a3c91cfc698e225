//! The command lines of the three programs: flags over the configuration file, logs, exit codes.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use config::{Config, WebListen};
use mail_catch::CatchArgs;
use mail_core::message::address::Domain;
use net::log::{Log, LogFormat};

use crate::admin::UserCommand;
use crate::alias::AliasCommand;
use crate::copy::CopyArgs;
use crate::dkim::DkimCommand;
use crate::queue::QueueCommand;
use crate::reload::ConfigSource;
use crate::serve::serve;
use crate::services::Programs;
use crate::trace::TraceArgs;
use crate::transfer::TransferArgs;

/// Exit code for an invalid configuration, User.txt or flag.
const EXIT_USAGE: u8 = 2;

/// A mail system in one program: SMTP, POP3, a web page, and mail in plain text files.
#[derive(Debug, Parser)]
#[command(name = "pennypost", version)]
struct Pennypost {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the SMTP server, the POP3 server and the web page in one process
    Serve {
        #[command(flatten)]
        args: ServeArgs,
        #[command(flatten)]
        web: WebArgs,
    },
    /// Catch mail in development and tests: accept every message, deliver nothing, and show it over an HTTP API
    Catch {
        #[command(flatten)]
        args: CatchArgs,
        /// Format of the log on standard error; RUST_LOG sets the level [default level: warn]
        #[arg(long, value_enum, default_value = "text")]
        log: LogFormat,
    },
    /// Add, change, list and remove accounts
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Add, remove and list aliases
    Alias {
        #[command(subcommand)]
        command: AliasCommand,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List and control the messages that wait for delivery to other hosts
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print the lines of the log about a message
    Trace(TraceArgs),
    /// Print the DNS records of the local domains, each with its reason, as lines of a zone file
    Dns {
        /// Query the DNS for each record and for the PTR records of the host, and print whether it is present, missing or wrong; the
        /// exit code is 1 unless all are present.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List, add and remove the keys that sign outgoing mail (DKIM)
    Dkim {
        #[command(subcommand)]
        command: DkimCommand,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy accounts, aliases and mail of a running system into a new directory
    Backup {
        /// The directory, which is created.
        directory: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Deliver the messages of an mbox file, a maildir or a directory of .eml files to an account
    Import {
        #[command(flatten)]
        transfer: TransferArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Write the messages of an account to an mbox file, a maildir or a directory of .eml files
    Export {
        #[command(flatten)]
        transfer: TransferArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy accounts, aliases and mail from a data directory to a database, or back; an interrupted copy continues
    Copy {
        #[command(flatten)]
        copy: CopyArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Create or upgrade the tables of the database that [store] names
    Migrate(PlaceArgs),
    /// Verify the configuration, the certificate, User.txt, Aliases.txt and every mailbox; the exit code is 1 if there is a defect
    Check(PlaceArgs),
}

/// The SMTP server alone.
#[derive(Debug, Parser)]
#[command(name = "smtp-server", version)]
struct SmtpServer {
    #[command(flatten)]
    args: ServeArgs,
}

/// The POP3 server alone.
#[derive(Debug, Parser)]
#[command(name = "pop3-server", version)]
struct Pop3Server {
    #[command(flatten)]
    args: ServeArgs,
}

/// Configuration file and data directory.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// Configuration file (TOML) [default: none, all settings have their defaults]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data directory with User.txt and the mailboxes [default: data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
struct ServeArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Host name of the server [default: localhost]
    #[arg(long, value_name = "NAME", value_parser = parse_domain)]
    hostname: Option<Domain>,
    /// Domain with local delivery, besides the host name (repeatable)
    #[arg(long, value_name = "NAME", value_parser = parse_domain)]
    domain: Vec<Domain>,
    /// Address of the SMTP server (repeatable) [default: 127.0.0.1:2525]
    #[arg(long, value_name = "ADDRESS:PORT")]
    smtp: Vec<SocketAddr>,
    /// Address of the POP3 server (repeatable) [default: 127.0.0.1:2110]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pop3: Vec<SocketAddr>,
    /// Address of the Prometheus endpoint `/metrics` [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Format of the log on standard error; RUST_LOG sets the level
    #[arg(long, value_enum, default_value = "text")]
    log: LogFormat,
}

#[derive(Debug, Clone, Args)]
struct WebArgs {
    /// Address of the page and its bridge, or `off` [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<WebListen>,
    /// Directory of the built page [default: dist]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// `pennypost`
#[must_use]
pub fn pennypost() -> ExitCode {
    match Pennypost::parse().command {
        Command::Serve { args, web } => run(&args, &web, Programs::AllInOne),
        Command::Catch { args, log } => {
            let mut log = net::log::start_at(log, "warn");
            exit_code(mail_catch::run(&args, &mut log), &log)
        }
        Command::User { command, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| command.run(&config)))
        }
        Command::Alias { command, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| command.run(&config)))
        }
        Command::Queue { command, place } => finish(place.read().and_then(|config| command.run(&config))),
        Command::Trace(args) => finish(args.run()),
        Command::Dns { check: true, place } => {
            finish_check(place.read_with_hostname_domain().and_then(|config| crate::dns::check(&config)))
        }
        Command::Dns { check: false, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| crate::dns::print_records(&config)))
        }
        Command::Dkim { command, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| command.run(&config)))
        }
        Command::Backup { directory, place } => finish(
            place.read_with_hostname_domain().and_then(|config| crate::backup::backup(&config, &directory)),
        ),
        Command::Import { transfer, place } => {
            finish_check(place.read_with_hostname_domain().and_then(|config| transfer.import(&config)))
        }
        Command::Export { transfer, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| transfer.export(&config)))
        }
        Command::Copy { copy, place } => {
            finish(place.read_with_hostname_domain().and_then(|config| copy.run(&config)))
        }
        Command::Migrate(place) => finish(place.read().and_then(|config| crate::database::migrate(&config))),
        Command::Check(place) => {
            finish_check(place.read_with_hostname_domain().and_then(|config| crate::check::check(&config)))
        }
    }
}

/// `smtp-server`
#[must_use]
pub fn smtp_server() -> ExitCode {
    run(&SmtpServer::parse().args, &WebArgs::NONE, Programs::Smtp)
}

/// `pop3-server`
#[must_use]
pub fn pop3_server() -> ExitCode {
    run(&Pop3Server::parse().args, &WebArgs::NONE, Programs::Pop3)
}

fn run(args: &ServeArgs, web: &WebArgs, programs: Programs) -> ExitCode {
    let mut log = net::log::start(args.log);
    let (place, args, web) = (args.place.clone(), args.clone(), web.clone());
    let source = ConfigSource::new(place.config, move || args.read().map(|config| web.over(config)));
    let result = source.and_then(|(source, config)| serve(&config, source, programs, &mut log));
    exit_code(result, &log)
}

/// Prints a failure to the log.
fn exit_code(result: Result<(), String>, log: &Log) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            log.print(&reason);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The exit code is 1 if the result is `false`.
fn finish_check(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(false) => ExitCode::FAILURE,
        result => finish(result.map(drop)),
    }
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The exit code tells the failure even if standard error is closed or full.
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

impl PlaceArgs {
    fn read(&self) -> Result<Config, String> {
        let mut config = match &self.config {
            Some(path) => Config::read(path).map_err(|error| error.to_string())?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }

    /// The configuration, in which the host name is a local domain.
    fn read_with_hostname_domain(&self) -> Result<Config, String> {
        self.read().map(Config::with_hostname_domain)
    }
}

impl ServeArgs {
    /// The configuration with the flags applied.
    fn read(&self) -> Result<Config, String> {
        let mut config = self.place.read()?;
        if let Some(hostname) = &self.hostname {
            config.hostname = hostname.clone();
        }
        config.domains.extend(self.domain.iter().cloned());
        if !self.smtp.is_empty() {
            config.smtp.listen.clone_from(&self.smtp);
        }
        if !self.pop3.is_empty() {
            config.pop3.listen.clone_from(&self.pop3);
        }
        config.metrics.listen = self.metrics.or(config.metrics.listen);
        Ok(config.with_hostname_domain())
    }
}

impl WebArgs {
    const NONE: Self = Self { web: None, root: None };

    /// The configuration with the flags applied.
    fn over(&self, mut config: Config) -> Config {
        if let Some(listen) = self.web {
            config.web.listen = listen;
        }
        if let Some(root) = &self.root {
            config.web.root.clone_from(root);
        }
        config
    }
}

fn parse_domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| error.to_string())
}
