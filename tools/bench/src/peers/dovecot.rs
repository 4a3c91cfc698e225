//! Dovecot, tuned: high-performance mode, password cache, synced mail, no memory limit.
//!
//! Receives mail for mbox files by LMTP; serves those and the Maildirs by POP3.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use xtask::shell::{Result, command, stdout_of};

use super::postfix::OWNER;
use super::server_process::{LogReader, Server, accepts, free_port, path_error, with_raised_file_limit};
use super::{Accounts, MAILDIR, MBOX, PASSWORD};

#[derive(Debug)]
pub(super) struct Dovecot {
    pub(super) server: Server,
    pub(super) pop3: SocketAddr,
    log: PathBuf,
}

/// Name of the LMTP socket.
const LMTP_SOCKET: &str = "lmtp-in";

pub(super) fn lmtp_socket(folder: &Path) -> PathBuf {
    folder.join("run").join(LMTP_SOCKET)
}

/// The indexes are stored apart from the mail, so that they can be removed alone.
pub(super) fn indexes(folder: &Path, account: &str) -> PathBuf {
    folder.join("index").join(account)
}

impl Dovecot {
    /// `mail` contains the folders `maildir` and `mbox`.
    pub(super) fn start(folder: &Path, mail: &Path, accounts: &Accounts) -> Result<Self> {
        let pop3 = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let index = folder.join("index");
        fs::create_dir_all(&index)
            .and_then(|()| chown(&index, Some(OWNER), Some(OWNER)))
            .map_err(|error| path_error(&index, &error))?;
        let conf = folder.join("dovecot.conf");
        fs::write(&conf, configuration(folder, pop3.port())).map_err(|error| path_error(&conf, &error))?;
        let mut doveadm = command("doveadm");
        let hash = stdout_of(doveadm.arg("-c").arg(&conf).args(["pw", "-s", "SHA256", "-p", PASSWORD]));
        let hash = hash.ok_or("`doveadm pw` failed")?;
        let users = folder.join("users");
        fs::write(&users, passwd(folder, mail, accounts, &hash))
            .map_err(|error| path_error(&users, &error))?;
        let log = folder.join("log");
        let _ = fs::remove_file(&log);
        let output = folder.join("output");
        let mut server = Server::start(
            "dovecot",
            with_raised_file_limit(Path::new("dovecot")).args(["-F", "-c"]).arg(&conf),
            &output,
        )?;
        server.wait_for(&log, || accepts(pop3))?;
        Ok(Self { server, pop3, log })
    }

    /// An error in the log invalidates the measurement.
    pub(super) fn first_error(&self) -> Result<Option<String>> {
        let lines = LogReader::from_start(&self.log).lines()?;
        Ok(lines
            .into_iter()
            .find(|line| [" Error: ", " Fatal: ", " Panic: "].iter().any(|word| line.contains(word))))
    }
}

fn passwd(folder: &Path, mail: &Path, accounts: &Accounts, hash: &str) -> String {
    let mut users = String::new();
    for name in accounts.all() {
        for (domain, place) in [
            (MAILDIR, format!("maildir:{}/maildir/{name}", mail.display())),
            (MBOX, format!("mbox:{0}/mbox/{name}:INBOX={0}/mbox/{name}/inbox", mail.display())),
        ] {
            let address = format!("{name}@{domain}");
            let index = indexes(folder, &address);
            let _ = writeln!(users, "{address}:{hash}::::::userdb_mail={place}:INDEX={}", index.display());
        }
    }
    users
}

fn configuration(folder: &Path, pop3: u16) -> String {
    let at = folder.display();
    format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\n\
         protocols = pop3 lmtp\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\n\
         auth_mechanisms = plain\nauth_cache_size = 100M\nauth_cache_ttl = 1 week\nauth_failure_delay = 0\n\
         default_vsz_limit = 0\nmail_fsync = optimized\nmbox_write_locks = fcntl\n\
         mbox_very_dirty_syncs = yes\nmaildir_very_dirty_syncs = yes\npop3_no_flag_updates = yes\nmail_uid = {OWNER}\nmail_gid = {OWNER}\nfirst_valid_uid = 500\n\
         mail_max_userip_connections = 0\n\
         passdb {{\n  driver = passwd-file\n  args = username_format=%u {at}/users\n}}\n\
         userdb {{\n  driver = passwd-file\n  args = username_format=%u {at}/users\n}}\n\
         service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n  \
           service_count = 0\n  process_min_avail = 2\n  client_limit = 10000\n}}\n\
         service pop3 {{\n  service_count = 100000\n  process_min_avail = 20\n  process_limit = 10000\n}}\n\
         service lmtp {{\n  service_count = 0\n  process_min_avail = 20\n  process_limit = 100\n  \
           unix_listener {LMTP_SOCKET} {{\n    mode = 0666\n  }}\n}}\n\
         service anvil {{\n  client_limit = 30000\n}}\nservice auth {{\n  client_limit = 30000\n}}\n\
         service stats {{\n  client_limit = 30000\n}}\n"
    )
}
