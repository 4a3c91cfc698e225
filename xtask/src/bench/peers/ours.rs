//! Pennypost as it is measured: the release build, as shipped but for the number of connections.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::process::{Server, at, with_many_files};
use super::{Accounts, PASSWORD};
use crate::shell::{Result, command, output, target};

/// Argon2id with the parameters that `pennypost user hash` takes; for accounts that nobody signs in to.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$bm9ib2R5IGhhcyB0aGlzIGhhc2gsIHNvIGl0IGRvZXM";

#[derive(Debug)]
pub(super) struct Ours {
    pub(super) server: Server,
    pub(super) smtp: SocketAddr,
    pub(super) pop3: SocketAddr,
    pub(super) data: PathBuf,
}

impl Ours {
    /// Lays out a data directory with these accounts.
    pub(super) fn lay_out(folder: &Path, accounts: &Accounts) -> Result {
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| at(&data, &error))?;
        let settings = "hostname = \"mx.peers.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
                        [pop3]\nlisten = [\"127.0.0.1:0\"]\n[web]\nlisten = \"off\"\n\
                        [limits]\nconnections = 20000\nconnections_per_address = 20000\ntrusted = [\"127.0.0.0/8\"]\n";
        let file = folder.join("pennypost.toml");
        fs::write(&file, settings).map_err(|error| at(&file, &error))?;
        let mut users = String::new();
        accounts.hashed.iter().chain(&accounts.plain).for_each(|name| {
            let _ = writeln!(users, "{name} {PASSWORD}");
        });
        let file = data.join("User.txt");
        fs::write(&file, &users).map_err(|error| at(&file, &error))?;
        if !accounts.hashed.is_empty() {
            output(command(&pennypost()?).args(["user", "hash", "--data"]).arg(&data))
                .ok_or("`pennypost user hash` failed")?;
        }
        let mut users = fs::read_to_string(&file).map_err(|error| at(&file, &error))?;
        accounts.silent.iter().for_each(|name| {
            let _ = writeln!(users, "{name} {HASH}");
        });
        fs::write(&file, users).map_err(|error| at(&file, &error))?;
        for name in accounts.all() {
            let folder = data.join(name);
            fs::create_dir_all(&folder).map_err(|error| at(&folder, &error))?;
        }
        Ok(())
    }

    pub(super) fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("log");
        let _ = fs::remove_file(&log);
        let mut serve = with_many_files(Path::new(&pennypost()?));
        serve
            .args(["serve", "--config"])
            .arg(folder.join("pennypost.toml"))
            .arg("--data")
            .arg(folder.join("data"));
        let mut server = Server::start("pennypost", serve.env("NO_COLOR", "1"), &log)?;
        let (smtp, pop3) = server.wait_for(&log, || {
            let text = fs::read_to_string(&log).ok()?;
            Some((listening(&text, "smtp")?, listening(&text, "pop3")?))
        })?;
        Ok(Self { server, smtp, pop3, data: folder.join("data") })
    }
}

fn pennypost() -> Result<String> {
    Ok(target()?.join("release/pennypost").to_string_lossy().into_owned())
}

/// From the line that a listener logs.
fn listening(log: &str, protocol: &str) -> Option<SocketAddr> {
    let whole = &log[..=log.rfind('\n')?];
    let line = whole.lines().find(|line| {
        line.contains("listening")
            && line.split_whitespace().any(|word| {
                word.strip_prefix("protocol=").is_some_and(|value| value.trim_matches('"') == protocol)
            })
    })?;
    line.split_whitespace().find_map(|word| word.strip_prefix("address="))?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_the_log_by_its_protocol() {
        let log = "INFO listening protocol=\"smtp-proxy\" address=127.0.0.1:1\n\
                   INFO listening protocol=smtp address=127.0.0.1:2\nINFO listening protocol=pop3 addr";
        assert_eq!(listening(log, "smtp"), Some("127.0.0.1:2".parse().expect("an address")));
        assert_eq!(listening(log, "pop3"), None, "the line is not whole yet");
        assert_eq!(listening("", "smtp"), None);
    }
}
