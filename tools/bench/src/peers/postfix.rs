//! Postfix, tuned: synced mail, no limits, long-lived processes.
//!
//! As a mail server of two domains, it delivers mail for `maildir.test` to Maildirs by virtual(8), and mail for `mbox.test` by LMTP to
//! Dovecot. As a relay, it sends all mail to other hosts. Deliveries are read from the log, so that bounces are not counted.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use xtask::shell::{self, Result, command, stdout_of};

use super::server_process::{LogReader, Server, accepts, free_port, path_error};
use super::{Accounts, MAILDIR, MBOX};

/// User id that owns the mail of both peers; needs no account.
pub(super) const OWNER: u32 = 5000;
/// Fails if no message is delivered within this time.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
const DAEMONS: &str = "/usr/lib/postfix/sbin";

#[derive(Debug)]
pub(super) struct Postfix {
    pub(super) server: Server,
    pub(super) smtp: SocketAddr,
    log: PathBuf,
}

impl Postfix {
    /// A mail server. `mail` is the folder of the Maildirs, `lmtp` the socket for the other domain.
    pub(super) fn start(folder: &Path, mail: &Path, lmtp: &Path, accounts: &Accounts) -> Result<Self> {
        let mut mailboxes = String::new();
        for name in accounts.all() {
            let _ = writeln!(mailboxes, "{name}@{MAILDIR} {name}/\n{name}@{MBOX} {name}/");
        }
        let smtp = free_address()?;
        let main_cf = main_cf(folder, &mail_server_settings(folder, mail, lmtp));
        configure(
            folder,
            &[("main.cf", main_cf), ("master.cf", master_cf(smtp, true)), ("mailboxes", mailboxes)],
        )?;
        shell::run(
            command("postmap")
                .arg("-c")
                .arg(folder.join("conf"))
                .arg(format!("hash:{}/conf/mailboxes", folder.display())),
        )?;
        Self::launch(folder, smtp)
    }

    /// A relay. `transports` are lines `DOMAIN smtp:[ADDRESS]:PORT`. Without `delivers`, messages wait until
    /// [`deliver`](Self::deliver).
    pub(super) fn start_relay(folder: &Path, transports: &str, delivers: bool) -> Result<Self> {
        let smtp = free_address()?;
        let main_cf = main_cf(folder, &relay_settings(folder));
        let files = [
            ("main.cf", main_cf),
            ("master.cf", master_cf(smtp, delivers)),
            ("transports", transports.to_owned()),
        ];
        configure(folder, &files)?;
        Self::launch(folder, smtp)
    }

    fn launch(folder: &Path, smtp: SocketAddr) -> Result<Self> {
        let conf = folder.join("conf");
        // Creates the queue directories.
        shell::run(command("postfix").arg("-c").arg(&conf).arg("check"))?;
        let log = folder.join("log");
        let _ = fs::remove_file(&log);
        let mut master = command(&format!("{DAEMONS}/master"));
        let mut server =
            Server::start("postfix", master.arg("-c").arg(&conf).arg("-s"), &folder.join("output"))?;
        server.wait_for(&folder.join("output"), || accepts(smtp))?;
        Ok(Self { server, smtp, log })
    }

    /// Starts the queue manager of a relay.
    pub(super) fn deliver(&self, folder: &Path) -> Result {
        let file = folder.join("conf/master.cf");
        fs::write(&file, master_cf(self.smtp, true)).map_err(|error| path_error(&file, &error))?;
        // The master rereads its configuration.
        shell::run(command("sh").args(["-c", "kill -HUP \"$1\"", "sh", &self.server.id().to_string()]))
    }

    pub(super) fn log(&self) -> LogReader {
        LogReader::from_end(&self.log)
    }
}

/// Waits until the log shows this number of deliveries.
pub(super) fn wait_for_deliveries(log: &mut LogReader, messages: usize) -> Result {
    let (mut sent, mut last_delivery) = (0, Instant::now());
    while sent < messages {
        let lines = log.lines()?;
        if let Some(line) = lines.iter().find(|line| is_failure(line)) {
            return Err(format!("Postfix did not deliver: {line}"));
        }
        let more = lines.iter().filter(|line| line.contains(" status=sent ")).count();
        if more > 0 {
            last_delivery = Instant::now();
        } else if last_delivery.elapsed() > DELIVERY_TIMEOUT {
            return Err(format!("Postfix delivered {sent} of {messages} messages and stopped"));
        } else {
            thread::sleep(Duration::from_millis(1));
        }
        sent += more;
    }
    Ok(())
}

fn is_failure(line: &str) -> bool {
    ["status=bounced", "status=deferred", "status=undeliverable", "NOQUEUE: reject", "fatal:", "panic:"]
        .iter()
        .any(|word| line.contains(word))
}

fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}

/// Creates the directories, and these files of the configuration.
fn configure(folder: &Path, files: &[(&str, String)]) -> Result {
    for name in ["conf", "queue", "data"] {
        fs::create_dir_all(folder.join(name)).map_err(|error| path_error(folder, &error))?;
    }
    let owner = stdout_of(command("id").args(["-u", "postfix"])).and_then(|id| id.parse().ok());
    let data = folder.join("data");
    chown(&data, owner, None).map_err(|error| path_error(&data, &error))?;
    for (name, text) in files {
        let file = folder.join("conf").join(name);
        fs::write(&file, text).map_err(|error| path_error(&file, &error))?;
    }
    Ok(())
}

fn main_cf(folder: &Path, settings: &str) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = {DAEMONS}\nmail_owner = postfix\nsetgid_group = postdrop\n\
         maillog_file = {folder}/log\nmaillog_file_prefixes = {folder}\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.peers.test\nmydestination =\n\
         mynetworks = 127.0.0.0/8\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         mailbox_size_limit = 0\nmessage_size_limit = 0\n\
         in_flow_delay = 0\nmax_use = 100000\nmax_idle = 1h\ndefault_process_limit = 1000\n\
         initial_destination_concurrency = 20\ndefault_destination_concurrency_limit = 20\n\
         qmgr_message_active_limit = 100000\nqmgr_message_recipient_limit = 100000\n\
         smtpd_peername_lookup = no\nsmtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\n\
         smtpd_recipient_restrictions =\nsmtpd_tls_security_level = none\ndisable_dns_lookups = yes\nsmtputf8_enable = no\n\
         {settings}"
    )
}

fn mail_server_settings(folder: &Path, mail: &Path, lmtp: &Path) -> String {
    let (folder, mail, lmtp) = (folder.display(), mail.display(), lmtp.display());
    format!(
        "virtual_mailbox_domains = {MAILDIR}, {MBOX}\nvirtual_mailbox_maps = hash:{folder}/conf/mailboxes\n\
         virtual_mailbox_base = {mail}\nvirtual_uid_maps = static:{OWNER}\nvirtual_gid_maps = static:{OWNER}\n\
         virtual_transport = virtual\ntransport_maps = inline:{{ {{ {MBOX} = lmtp:unix:{lmtp} }} }}\n\
         virtual_mailbox_limit = 0\nsmtpd_relay_restrictions = reject_unauth_destination\n\
         lmtp_tls_security_level = none\nlmtp_connection_cache_on_demand = yes\n"
    )
}

/// Connections are kept open for the next message.
fn relay_settings(folder: &Path) -> String {
    format!(
        "transport_maps = texthash:{}/conf/transports\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtp_tls_security_level = none\nsmtp_connection_cache_on_demand = yes\n",
        folder.display()
    )
}

/// The services. Without `delivers`, the queue manager is missing. At most 200 connections to other hosts, as Pennypost.
fn master_cf(smtp: SocketAddr, delivers: bool) -> String {
    let queue_manager = if delivers { "qmgr unix n - n 300 1 qmgr\n" } else { "" };
    format!(
        "{smtp} inet n - n - - smtpd\n{queue_manager}\
         cleanup unix n - n - 0 cleanup\nsmtp unix - - n - 200 smtp\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
         proxywrite unix - - n - 1 proxymap\nerror unix - - n - - error\nretry unix - - n - - error\n\
         virtual unix - n n - - virtual\nlmtp unix - - n - - lmtp\nscache unix - - n - 1 scache\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounces_and_rejections_in_the_log_are_failures() {
        let line = |status| {
            format!(
                "mx postfix/virtual[7]: 1A: to=<1u@maildir.test>, relay=virtual, dsn=2.0.0, status={status} (delivered to maildir)"
            )
        };
        assert!(!is_failure(&line("sent")));
        assert!(is_failure(&line("bounced")) && is_failure(&line("deferred")));
        assert!(is_failure("mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[127.0.0.1]: 550 5.1.1"));
    }

    #[test]
    fn log_reader_returns_each_complete_line_once() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("log");
        fs::write(&path, "status=sent (an earlier one)\n").expect("written");
        let mut log = LogReader::from_end(&path);
        let append = |text: &str| {
            let before = fs::read_to_string(&path).expect("read");
            fs::write(&path, before + text).expect("written");
        };
        append("a: status=sent (x)\nb: status=s");
        assert_eq!(log.lines().expect("read"), ["a: status=sent (x)"]);
        append("ent (y)\nc: status=bounced (z)\n");
        assert_eq!(
            wait_for_deliveries(&mut log, 2),
            Err("Postfix did not deliver: c: status=bounced (z)".to_owned())
        );
    }
}
