//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use config::Config;

use crate::drafts;
use crate::error::Error;
use crate::link::{Protocol, Server};
use crate::password::PasswordSource;
use crate::tls::{self, Fingerprint, Mode, Trust};

const AFTER_HELP: &str = "\
Without a command it is a dialogue: username and password, then 1. Manage Mail, 2. Send Mail, 3. Quit. The dialogue can
be piped in; the end of standard input means Quit.

Exit status: 0 done, 1 refused by a server or failed, 2 a mistake on the command line or in the configuration.";

/// Read and send mail over POP3 and SMTP
#[derive(Debug, Parser)]
#[command(name = "mail-client", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten, next_help_heading = "Servers and account")]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Take the servers' addresses from this configuration: the first that each listens at
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The SMTP server, as host:port [default: 127.0.0.1:2525]
    #[arg(long, value_name = "ADDR", value_parser = address, global = true)]
    smtp: Option<String>,
    /// The POP3 server, as host:port [default: 127.0.0.1:2110]
    #[arg(long, value_name = "ADDR", value_parser = address, global = true)]
    pop3: Option<String>,
    /// When TLS begins [default: `starttls`, and `never` with a server on this machine]
    #[arg(long, value_name = "WHEN", value_enum, global = true)]
    tls: Option<Mode>,
    /// Believe the certificates that these roots vouch for (PEM), in place of the system's
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Believe this certificate and no other: its SHA-256, as the server logs it when it starts
    #[arg(long, value_name = "SHA256", global = true, conflicts_with = "ca")]
    fingerprint: Option<Fingerprint>,
    /// The account
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) user: Option<String>,
    /// Where mail that could not be sent is kept [default: ~/.local/share/pennypost/drafts]
    #[arg(long, value_name = "DIR", global = true)]
    drafts: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the messages in the maildrop
    List {
        #[command(flatten)]
        options: Options,
    },
    /// Show a message, decoded
    Read {
        /// Its number in the list
        number: u64,
        /// As it was received, to the byte (on a terminal, control characters are made visible)
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Send a message
    #[command(after_help = "With --user it signs in where the server offers that; without, it does not.")]
    Send(Box<SendOptions>),
    /// Delete messages: all of them, or none if one cannot be deleted
    Delete {
        /// Their numbers in the list
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        #[command(flatten)]
        options: Options,
    },
    /// Count the messages and their octets
    Stat {
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) password: PasswordSource,
}

#[derive(Debug, Args)]
pub(crate) struct SendOptions {
    /// The sender, X@Y; with --raw by default the one that the message names
    #[arg(long, value_name = "ADDRESS", required_unless_present = "raw")]
    pub(crate) from: Option<String>,
    /// A recipient, X@Y (repeat it for more)
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,
    /// A recipient of a copy
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) cc: Vec<String>,
    /// A recipient of a copy whom the others do not see
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bcc: Vec<String>,
    /// What it is about, at most 100 characters
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) subject: String,
    /// The text, in UTF-8; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
    /// A file to go with it (repeat it for more)
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// Send this message as it lies on disk (line ends become CRLF); - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cc", "bcc", "subject", "body_file", "attach"])]
    pub(crate) raw: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: Options,
}

impl Common {
    /// The SMTP and the POP3 server: by flag, by the configuration, or by default.
    ///
    /// # Errors
    /// The configuration cannot be read, or names no address.
    pub(crate) fn servers(&self) -> Result<(Server, Server), Error> {
        let config = match &self.config {
            Some(path) => Config::read(path).map_err(|error| Error::Usage(error.to_string()))?,
            None => Config::default(),
        };
        let smtp = address_of(Protocol::Smtp, self.smtp.as_deref(), &config.smtp.listen)?;
        let pop3 = address_of(Protocol::Pop3, self.pop3.as_deref(), &config.pop3.listen)?;
        Ok((self.server(Protocol::Smtp, smtp), self.server(Protocol::Pop3, pop3)))
    }

    fn server(&self, protocol: Protocol, address: String) -> Server {
        let by_place = if is_on_this_machine(&address) { Mode::Never } else { Mode::Starttls };
        let trust =
            Trust { ca: self.ca.clone(), fingerprint: self.fingerprint, known: tls::known_by_default() };
        Server { protocol, address, tls: self.tls.unwrap_or(by_place), trust: Arc::new(trust) }
    }

    pub(crate) fn drafts(&self) -> PathBuf {
        self.drafts.clone().unwrap_or_else(drafts::default_folder)
    }
}

/// What goes to this machine cannot be read on the way.
fn is_on_this_machine(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn address_of(protocol: Protocol, flag: Option<&str>, listen: &[SocketAddr]) -> Result<String, Error> {
    if let Some(address) = flag {
        return Ok(address.to_owned());
    }
    let (key, flag) = match protocol {
        Protocol::Smtp => ("[smtp] listen", "--smtp"),
        Protocol::Pop3 => ("[pop3] listen", "--pop3"),
    };
    match listen.first() {
        Some(address) if address.port() != 0 => Ok(reachable(*address).to_string()),
        _ => Err(Error::Usage(format!(
            "the configuration's `{key}` names no address to connect to; name it with {flag}"
        ))),
    }
}

/// A server that listens at every address of its machine is on this one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

fn address(text: &str) -> Result<String, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("write it as host:port")?;
    if host.is_empty() || !port.parse().is_ok_and(|port: u16| port > 0) {
        return Err("write it as host:port, with a port of 1 to 65535");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["127.0.0.1:25", "localhost:2525", "[::1]:110"] {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for text in ["", "localhost", ":25", "localhost:", "localhost:0", "localhost:70000", "localhost:smtp"]
        {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn plain_text_is_for_this_machine_alone() {
        for address in ["localhost:25", "LocalHost:25", "127.0.0.1:25", "127.9.9.9:25", "[::1]:25"] {
            assert!(is_on_this_machine(address), "{address}");
        }
        for address in ["localhost.example.org:25", "10.0.0.1:25", "[::2]:25", "0.0.0.0:25", "mail:25"] {
            assert!(!is_on_this_machine(address), "{address}");
        }
    }

    #[test]
    fn the_configuration_says_where_to_connect() {
        let listen = ["0.0.0.0:25".parse().unwrap(), "10.0.0.1:25".parse().unwrap()];
        assert_eq!(address_of(Protocol::Smtp, None, &listen).unwrap(), "127.0.0.1:25");
        assert_eq!(address_of(Protocol::Smtp, Some("mail:25"), &listen).unwrap(), "mail:25");
        for listen in [&[][..], &["127.0.0.1:0".parse().unwrap()]] {
            let error = address_of(Protocol::Pop3, None, listen).unwrap_err().to_string();
            assert!(error.contains("[pop3] listen") && error.contains("--pop3"), "{error}");
        }
    }
}
