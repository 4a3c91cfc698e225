//! Command-line arguments.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use config::Config;

use crate::connection::{Protocol, Server};
use crate::drafts;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::passwd::NewPassword;
use crate::password::PasswordSource;
use crate::tls::{self, TlsMode, TrustPolicy};

const AFTER_HELP: &str = "\
Without a command, mail-client starts a dialogue: user name and password, then 1. Manage Mail, 2. Send Mail, 3. Quit. Its
input can be piped; end of input means Quit.

Exit status: 0 success, 1 refused by a server or failed, 2 invalid command line or configuration.";

const WAIT_HELP: &str = "\
Shows the first message that matches all conditions. The message may have arrived before the command started. At the timeout,
the command lists messages that did not match. Its exit status is then 1, as for an unknown unique-id.";

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
    /// Read the server addresses from this configuration file: the first `listen` address of each
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// SMTP server, as host:port [default: 127.0.0.1:2525]
    #[arg(long, value_name = "ADDR", value_parser = parse_address, global = true)]
    smtp: Option<String>,
    /// POP3 server, as host:port [default: 127.0.0.1:2110]
    #[arg(long, value_name = "ADDR", value_parser = parse_address, global = true)]
    pop3: Option<String>,
    /// Page of `pennypost serve`, as host:port, for `passwd` and `queue` [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = parse_address, global = true)]
    web: Option<String>,
    /// When to start TLS [default: `starttls`; `never` for a server on this host]
    #[arg(long, value_name = "WHEN", value_enum, global = true)]
    tls: Option<TlsMode>,
    /// Trust the root certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Trust only the certificate with this SHA-256 fingerprint, which the server logs at start
    #[arg(long, value_name = "SHA256", global = true, conflicts_with = "ca")]
    fingerprint: Option<Fingerprint>,
    /// Account name
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) user: Option<String>,
    /// Directory for mail that could not be sent [default: ~/.local/share/pennypost/drafts]
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
    /// Show a decoded message
    Read {
        /// Message number in the list
        number: u64,
        /// Show the message as received, byte for byte (control characters are escaped on a terminal)
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Send a message
    #[command(after_help = "With --user, logs in if the server offers AUTH.")]
    Send(Box<SendOptions>),
    /// Send the message again that a delivery report returns, to the recipients that did not get it
    Resend(ResendOptions),
    /// Delete messages: all of them, or none if one is refused
    Delete {
        /// Message numbers in the list
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        #[command(flatten)]
        options: Options,
    },
    /// Write one attachment of a message to a file
    Save {
        /// Message number in the list
        number: u64,
        /// Name of the attachment, or its position from 1
        attachment: String,
        /// File to create; - is standard output [default: the attachment's name, in the current directory]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Wait for a message and show it
    #[command(after_help = WAIT_HELP)]
    Wait(WaitOptions),
    /// Count the messages and their octets
    Stat {
        #[command(flatten)]
        options: Options,
    },
    /// List the account's messages that wait for delivery to other hosts, over the page's listener
    Queue {
        #[command(flatten)]
        options: Options,
    },
    /// Change the password of the account, over the page's listener
    #[command(after_help = "With --password-stdin, the second line of standard input is the new password.")]
    Passwd {
        #[command(flatten)]
        new: NewPassword,
        #[command(flatten)]
        password: PasswordSource,
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
pub(crate) struct WaitOptions {
    /// Address in the To field
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<String>,
    /// Address in the From field
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// Part of the subject, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// Ignore the message with this unique-id and all before it; an unknown unique-id is an error
    #[arg(long, value_name = "UNIQUE-ID")]
    pub(crate) after: Option<String>,
    /// Time to wait, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct ResendOptions {
    /// Number of the report in the list
    pub(crate) number: u64,
    /// Sender, X@Y [default: recipient of the report]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct SendOptions {
    /// Sender, X@Y [default with --raw: From field of the message]
    #[arg(long, value_name = "ADDRESS", required_unless_present = "raw")]
    pub(crate) from: Option<String>,
    /// Recipient, X@Y (repeatable)
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<String>,
    /// Recipient of a copy (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) cc: Vec<String>,
    /// Recipient of a blind copy (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bcc: Vec<String>,
    /// Subject, at most 100 characters
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) subject: String,
    /// File with the text in UTF-8; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
    /// Attachment (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// Send this complete message unchanged except for CRLF line ends; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cc", "bcc", "subject", "body_file", "attach"])]
    pub(crate) raw: Option<PathBuf>,
    /// Return the message unless every host on its way uses verified TLS (REQUIRETLS, RFC 8689)
    #[arg(long)]
    pub(crate) require_tls: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

impl Common {
    /// The SMTP and the POP3 server from flags, configuration or defaults, in this order.
    ///
    /// # Errors
    /// The configuration is invalid or has no address.
    pub(crate) fn servers(&self) -> Result<(Server, Server), Error> {
        let config = self.read_config()?;
        let smtp = resolve_address(Protocol::Smtp, self.smtp.as_deref(), &config.smtp.listen)?;
        let pop3 = resolve_address(Protocol::Pop3, self.pop3.as_deref(), &config.pop3.listen)?;
        Ok((self.server(Protocol::Smtp, smtp), self.server(Protocol::Pop3, pop3)))
    }

    /// The page's listener from the flag, the configuration or the default. TLS, if any, starts with the first byte.
    ///
    /// # Errors
    /// The configuration is invalid or has no address.
    pub(crate) fn web(&self) -> Result<Server, Error> {
        let listen: Vec<_> = self.read_config()?.web.listen.address().into_iter().collect();
        let mut server =
            self.server(Protocol::Web, resolve_address(Protocol::Web, self.web.as_deref(), &listen)?);
        if server.tls == TlsMode::Starttls {
            server.tls = TlsMode::Implicit;
        }
        Ok(server)
    }

    fn read_config(&self) -> Result<Config, Error> {
        match &self.config {
            Some(path) => Config::read(path).map_err(|error| Error::Usage(error.to_string())),
            None => Ok(Config::default()),
        }
    }

    fn server(&self, protocol: Protocol, address: String) -> Server {
        let default_tls = if is_loopback(&address) { TlsMode::Never } else { TlsMode::Starttls };
        let trust = TrustPolicy {
            ca: self.ca.clone(),
            fingerprint: self.fingerprint,
            known_certificates: tls::default_known_certificates(),
        };
        Server { protocol, address, tls: self.tls.unwrap_or(default_tls), trust: Arc::new(trust) }
    }

    pub(crate) fn drafts(&self) -> PathBuf {
        self.drafts.clone().unwrap_or_else(drafts::default_directory)
    }
}

/// Whether the address is on this host, where connections cannot be intercepted.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn resolve_address(protocol: Protocol, flag: Option<&str>, listen: &[SocketAddr]) -> Result<String, Error> {
    if let Some(address) = flag {
        return Ok(address.to_owned());
    }
    let (key, flag) = match protocol {
        Protocol::Smtp => ("[smtp] listen", "--smtp"),
        Protocol::Pop3 => ("[pop3] listen", "--pop3"),
        Protocol::Web => ("[web] listen", "--web"),
    };
    match listen.first() {
        Some(address) if address.port() != 0 => Ok(connectable(*address).to_string()),
        _ => Err(Error::Usage(format!(
            "`{key}` in the configuration has no address with a fixed port; set the server with {flag}"
        ))),
    }
}

/// Replaces an unspecified listen address by loopback.
fn connectable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let parsed = units.into_iter().find_map(|(unit, milliseconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(milliseconds)
    });
    parsed.map(Duration::from_millis).ok_or("write it as a number with ms, s or m, such as 10s")
}

fn parse_address(text: &str) -> Result<String, &'static str> {
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
    fn command_definition_is_valid() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn parse_address_requires_host_and_port() {
        for text in ["127.0.0.1:25", "localhost:2525", "[::1]:110"] {
            assert_eq!(parse_address(text).as_deref(), Ok(text));
        }
        for text in ["", "localhost", ":25", "localhost:", "localhost:0", "localhost:70000", "localhost:smtp"]
        {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parse_duration_requires_a_unit() {
        for (text, milliseconds) in [("0s", 0), ("250ms", 250), ("10s", 10_000), ("2m", 120_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "10", "s", "-1s", "1h", "1.5s", "99999999999999999999s", "18446744073709551615m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn is_loopback_accepts_only_this_host() {
        for address in ["localhost:25", "LocalHost:25", "127.0.0.1:25", "127.9.9.9:25", "[::1]:25"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["localhost.example.org:25", "10.0.0.1:25", "[::2]:25", "0.0.0.0:25", "mail:25"] {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn resolve_address_uses_the_first_listen_address() {
        let listen = ["0.0.0.0:25".parse().unwrap(), "10.0.0.1:25".parse().unwrap()];
        assert_eq!(resolve_address(Protocol::Smtp, None, &listen).unwrap(), "127.0.0.1:25");
        assert_eq!(resolve_address(Protocol::Smtp, Some("mail:25"), &listen).unwrap(), "mail:25");
        for listen in [&[][..], &["127.0.0.1:0".parse().unwrap()]] {
            let error = resolve_address(Protocol::Pop3, None, listen).unwrap_err().to_string();
            assert!(error.contains("[pop3] listen") && error.contains("--pop3"), "{error}");
        }
    }
}
