//! The flags of `pennypost catch`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use config::{ByteSize, Networks};

use crate::release::AllowedRecipient;

const SMTP_PORT: u16 = 1025;
const WEB_PORT: u16 = 8025;
/// File that marks the data directory of a mail server.
const USER_FILE: &str = "User.txt";

#[derive(Debug, Clone, Args)]
pub struct CatchArgs {
    /// Address of the SMTP server; port 0 selects a free port [default: 127.0.0.1:1025]
    #[arg(long, value_name = "ADDRESS:PORT")]
    smtp: Option<SocketAddr>,
    /// Address of the page and the HTTP API; port 0 selects a free port [default: 127.0.0.1:8025]
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// Address of a POP3 server for the caught mail; any user name and password [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) pop3: Option<SocketAddr>,
    /// Maximum number or age of stored messages, such as 500 or 24h; older ones are deleted
    #[arg(long, value_name = "COUNT|AGE", default_value = "500")]
    pub(crate) keep: Keep,
    /// Directory for the mail, kept after exit [default: a temporary directory, removed at exit]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Directory of the built page [default: the page inside the program, if it has one]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Reject messages that violate RFC 5321 or RFC 5322, as other servers do, instead of listing lint findings
    #[arg(long)]
    pub(crate) strict: bool,
    /// Exit when standard input closes, so that the catcher ends with its parent process
    #[arg(long)]
    pub(crate) child: bool,
    /// Permit listening on non-loopback addresses; everyone who can connect can send, read and delete all mail
    #[arg(long)]
    pub(crate) public: bool,
    /// Origin of web pages that may call the API, such as http://localhost:3000, or `*` for all (repeatable)
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors: Vec<String>,
    /// Host name that clients of the API may use, besides localhost and IP addresses (repeatable)
    #[arg(long = "name", value_name = "HOST")]
    pub(crate) names: Vec<String>,
    /// Configuration file whose [outbound] section delivers released messages; needs --release-to
    #[arg(long, value_name = "FILE", requires = "release_to")]
    pub(crate) config: Option<PathBuf>,
    /// Permitted recipient of released messages, or a pattern such as *@example.com (repeatable); needs --config
    #[arg(long, value_name = "ADDRESS", requires = "config")]
    pub(crate) release_to: Vec<AllowedRecipient>,
    /// Private network whose links may be checked, such as 192.168.0.0/16 (repeatable) [default: localhost only; none with --public]
    #[arg(long = "link-network", value_name = "NETWORK", value_parser = parse_network)]
    pub(crate) link_networks: Vec<String>,
    /// Largest accepted message
    #[arg(long, value_name = "SIZE", default_value = "256 MiB")]
    pub(crate) message_size: ByteSize,
}

/// Limit of stored messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Maximum number.
    Count(usize),
    /// Maximum age.
    Age(Duration),
}

impl CatchArgs {
    pub(crate) fn smtp(&self) -> SocketAddr {
        self.smtp.unwrap_or_else(|| self.default_address(SMTP_PORT))
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.web.unwrap_or_else(|| self.default_address(WEB_PORT))
    }

    fn default_address(&self, port: u16) -> SocketAddr {
        let host = if self.public { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        SocketAddr::from((host, port))
    }

    /// Checks the flags before anything is opened.
    ///
    /// # Errors
    /// A sentence that names the flag and the remedy.
    pub(crate) fn check(&self) -> Result<(), String> {
        let addresses = [("--smtp", Some(self.smtp())), ("--web", Some(self.web())), ("--pop3", self.pop3)];
        for (flag, address) in addresses.into_iter().filter_map(|(flag, address)| Some((flag, address?))) {
            if !self.public && !address.ip().to_canonical().is_loopback() {
                return Err(format!(
                    "{flag} {address} is reachable from other machines, and everyone there could read and delete all mail; use \
                     127.0.0.1, or add --public"
                ));
            }
        }
        if let Some(origin) = self.cors.iter().find(|origin| !is_origin(origin)) {
            return Err(format!(
                "--cors `{origin}` is not an origin; write scheme, host and port, as in http://localhost:3000, or `*`"
            ));
        }
        self.data.as_deref().map_or(Ok(()), check_data_directory)
    }

    /// Listeners that other machines can reach, for the warning at start; empty without `--public`.
    pub(crate) fn exposure(
        &self,
        smtp: SocketAddr,
        web: SocketAddr,
        pop3: Option<SocketAddr>,
    ) -> Vec<String> {
        if !self.public {
            return Vec::new();
        }
        let mut lines = vec!["--public: other machines can reach".to_owned()];
        if !smtp.ip().is_loopback() {
            lines.push(format!(
                "  {smtp} (SMTP): everyone can send messages, with any user name and password"
            ));
        }
        if !web.ip().is_loopback() {
            let release = if self.release_to.is_empty() {
                ""
            } else {
                ", and release messages to the addresses of --release-to"
            };
            lines.push(format!(
                "  {web} (HTTP): everyone can read and delete all messages and set faults{release}"
            ));
        }
        if let Some(pop3) = pop3.filter(|pop3| !pop3.ip().is_loopback()) {
            lines.push(format!("  {pop3} (POP3): everyone can read and delete all messages"));
        }
        lines
    }
}

/// Mail of a server must not be mixed with caught mail, or deleted by `--keep`.
fn check_data_directory(path: &Path) -> Result<(), String> {
    if path.join(USER_FILE).exists() {
        return Err(format!(
            "--data {}: the directory contains {USER_FILE}, so it belongs to a mail server; use another directory",
            path.display()
        ));
    }
    Ok(())
}

fn parse_network(text: &str) -> Result<String, String> {
    Networks::parse(&[text]).map(|_| text.to_owned())
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    text == "*"
        || (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*".contains(&byte)))
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keep = match text.parse() {
            Ok(count) => Some(Self::Count(count)),
            Err(_) => parse_duration(text).map(Self::Age),
        };
        keep.filter(|keep| !matches!(keep, Self::Count(0) | Self::Age(Duration::ZERO))).ok_or_else(|| {
            format!(
                "`{text}` is neither a number of messages nor an age; write for example 500, 30m, 24h or 7d"
            )
        })
    }
}

/// Parses a number with a unit: `500ms`, `10s`, `5m`, `24h`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let seconds = match text[digits..].trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(text[..digits].parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: CatchArgs,
    }

    fn parse(arguments: &[&str]) -> CatchArgs {
        Program::try_parse_from([&["catch"], arguments].concat())
            .unwrap_or_else(|error| panic!("{error}"))
            .args
    }

    #[test]
    fn keep_is_a_count_or_an_age() {
        for (text, keep) in [
            ("500", Keep::Count(500)),
            ("24h", Keep::Age(Duration::from_hours(24))),
            ("90s", Keep::Age(Duration::from_secs(90))),
            ("1.5h", Keep::Age(Duration::from_mins(90))),
            ("7d", Keep::Age(Duration::from_hours(168))),
        ] {
            assert_eq!(text.parse(), Ok(keep), "{text}");
        }
        for text in ["", "0", "0h", "h", "-1", "24 hours", "1y", "5.s5", "99999999999999999999999d"] {
            let reason = text.parse::<Keep>().expect_err(text);
            assert!(reason.contains(&format!("`{text}`")) && reason.contains("24h"), "{reason}");
        }
    }

    #[test]
    fn addresses_are_loopback_unless_public() {
        assert_eq!(parse(&[]).smtp().to_string(), "127.0.0.1:1025");
        assert_eq!(parse(&["--public"]).web().to_string(), "0.0.0.0:8025");
        assert_eq!(parse(&["--web", "[::1]:0"]).check(), Ok(()));
        let reason = parse(&["--smtp", "0.0.0.0:25"]).check().expect_err("not loopback");
        assert!(reason.contains("--smtp 0.0.0.0:25") && reason.contains("--public"), "{reason}");
        assert_eq!(parse(&["--smtp", "0.0.0.0:25", "--public"]).check(), Ok(()));
    }

    #[test]
    fn exposure_lists_the_reachable_services_of_a_public_catcher() {
        let local = "127.0.0.1:1".parse().expect("an address");
        let all = "0.0.0.0:2".parse().expect("an address");
        assert!(parse(&[]).exposure(local, local, Some(local)).is_empty());
        let lines = parse(&["--public"]).exposure(local, all, Some(local)).join("\n");
        assert!(
            lines.contains("0.0.0.0:2 (HTTP)") && !lines.contains("SMTP") && !lines.contains("POP3"),
            "{lines}"
        );
    }

    #[test]
    fn release_needs_a_configuration_and_a_list() {
        let parses = |arguments: &[&str]| Program::try_parse_from([&["catch"], arguments].concat()).is_ok();
        assert!(parses(&[
            "--config",
            "c.toml",
            "--release-to",
            "*@a.example",
            "--release-to",
            "ann@b.example"
        ]));
        for arguments in [
            &["--config", "c.toml"][..],
            &["--release-to", "*@a.example"],
            &["--config", "c.toml", "--release-to", "*"],
            &["--link-network", "10.0.0"],
        ] {
            assert!(!parses(arguments), "{arguments:?}");
        }
        let web = "0.0.0.0:2".parse().expect("an address");
        let args = parse(&["--public", "--config", "c.toml", "--release-to", "*@a.example"]);
        assert!(args.exposure(web, web, None).join("\n").contains("--release-to"));
    }

    #[test]
    fn origins_are_checked() {
        assert_eq!(parse(&["--cors", "*", "--cors", "https://a.example:8443"]).check(), Ok(()));
        for origin in ["localhost:3000", "http://", "http://a/b", "ftp://a"] {
            let reason = parse(&["--cors", origin]).check().expect_err(origin);
            assert!(reason.contains(&format!("`{origin}`")), "{reason}");
        }
    }
}
