//! Pennypost: the release build with its default configuration, except for connection limits.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use xtask::listening::parse_listening;
use xtask::shell::{Result, command, stdout_of, target_dir};

use super::server_process::{Server, path_error, with_raised_file_limit};
use super::{Accounts, PASSWORD};

/// Argon2id with the parameters of `pennypost user hash`; matches no password.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$bm9ib2R5IGhhcyB0aGlzIGhhc2gsIHNvIGl0IGRvZXM";

#[derive(Debug)]
pub(super) struct Pennypost {
    pub(super) server: Server,
    pub(super) smtp: SocketAddr,
    pub(super) pop3: SocketAddr,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
}

impl Pennypost {
    /// Creates the data directory with its accounts, and the configuration, which ends with `sections`.
    pub(super) fn create_data(folder: &Path, accounts: &Accounts, sections: &str) -> Result {
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| path_error(&data, &error))?;
        let mut settings = "hostname = \"mx.peers.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
                        [pop3]\nlisten = [\"127.0.0.1:0\"]\n[web]\nlisten = \"off\"\n\
                        [limits]\nconnections = 20000\nconnections_per_address = 20000\ntrusted = [\"127.0.0.0/8\"]\n"
            .to_owned();
        settings.push_str(sections);
        let file = folder.join("pennypost.toml");
        fs::write(&file, settings).map_err(|error| path_error(&file, &error))?;
        let mut users = String::new();
        accounts.hashed.iter().chain(&accounts.plain).for_each(|name| {
            let _ = writeln!(users, "{name} {PASSWORD}");
        });
        let file = data.join("User.txt");
        fs::write(&file, &users).map_err(|error| path_error(&file, &error))?;
        if !accounts.hashed.is_empty() {
            stdout_of(command(&pennypost()?).args(["user", "hash", "--data"]).arg(&data))
                .ok_or("`pennypost user hash` failed")?;
        }
        let mut users = fs::read_to_string(&file).map_err(|error| path_error(&file, &error))?;
        accounts.receiving.iter().for_each(|name| {
            let _ = writeln!(users, "{name} {HASH}");
        });
        fs::write(&file, users).map_err(|error| path_error(&file, &error))?;
        for name in accounts.all() {
            let folder = data.join(name);
            fs::create_dir_all(&folder).map_err(|error| path_error(&folder, &error))?;
        }
        Ok(())
    }

    pub(super) fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("log");
        let _ = fs::remove_file(&log);
        let mut serve = with_raised_file_limit(Path::new(&pennypost()?));
        serve
            .args(["serve", "--config"])
            .arg(folder.join("pennypost.toml"))
            .arg("--data")
            .arg(folder.join("data"));
        let mut server = Server::start("pennypost", serve.env("NO_COLOR", "1"), &log)?;
        let (smtp, pop3) = server.wait_for(&log, || {
            let text = fs::read_to_string(&log).ok()?;
            Some((listen_address(&text, "smtp")?, listen_address(&text, "pop3")?))
        })?;
        Ok(Self { server, smtp, pop3, data: folder.join("data"), log })
    }
}

fn pennypost() -> Result<String> {
    Ok(target_dir()?.join("release/pennypost").to_string_lossy().into_owned())
}

/// Reads the address from the log line of a listener.
fn listen_address(log: &str, protocol: &str) -> Option<SocketAddr> {
    let complete = &log[..=log.rfind('\n')?];
    let mut listeners = complete.lines().filter_map(parse_listening);
    listeners.find(|(listener, _)| *listener == protocol).map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_address_is_read_from_the_log_line_of_its_protocol() {
        let log = "INFO listening protocol=\"smtp-proxy\" address=127.0.0.1:1\n\
                   INFO listening protocol=smtp address=127.0.0.1:2\nINFO listening protocol=pop3 addr";
        assert_eq!(listen_address(log, "smtp"), Some("127.0.0.1:2".parse().expect("an address")));
        assert_eq!(listen_address(log, "pop3"), None, "the line is incomplete");
        assert_eq!(listen_address("", "smtp"), None);
    }
}
