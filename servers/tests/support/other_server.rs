//! Postfix with OpenDKIM, and Exim, as the mail server of second.example, with their own configuration, spool and port.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::mail_server::{Authority, OTHER, RECEIVER, SENDER};
use super::{LineStream, SmtpClient, TIMEOUT, TestDir, is_installed, read_lines, run_program};

/// Owner of the mail if this user is root; needs no account.
const OWNER: u32 = 5000;
const DKIM_SELECTOR: &str = "other";
const POSTFIX_DAEMONS: &str = "/usr/lib/postfix/sbin";

/// A running server. It has the mailboxes gb@second.example and jürgen@second.example; broken@second.example is an alias of
/// nobody@first.example. Mail for first.example goes to [`SENDER`], over TLS with a certificate that is verified. Its address
/// [`OTHER`] is that of a server with fewer extensions.
pub(crate) struct OtherServer {
    dir: TestDir,
    port: u16,
    child: Child,
    /// Whether root runs it for a user that is not root.
    is_foreign: bool,
    /// OpenDKIM.
    filter: Option<Child>,
}

/// An RSA key for DKIM, made by openssl, which Postfix depends on.
pub(crate) struct DkimKey {
    pem: String,
    /// Name and text of the DNS record.
    pub(crate) record: (String, String),
}

impl DkimKey {
    pub(crate) fn generate() -> Self {
        let openssl = |arguments: &[&str], input: &str| {
            let output = run_program(Command::new("openssl").args(arguments), input.as_bytes());
            assert_eq!(output.code, Some(0), "{output:?}");
            output.stdout
        };
        let pem = openssl(&["genrsa", "2048"], "");
        let public: String =
            openssl(&["rsa", "-pubout"], &pem).lines().filter(|line| !line.starts_with('-')).collect();
        let name = format!("{DKIM_SELECTOR}._domainkey.second.example");
        Self { pem, record: (name, format!("v=DKIM1; k=rsa; p={public}")) }
    }
}

impl OtherServer {
    /// Starts Debian's Postfix, as root, and OpenDKIM, which signs with `key` and verifies with the keys of
    /// [`trust_keys`](Self::trust_keys). [`OTHER`] offers neither 8BITMIME nor SMTPUTF8.
    pub(crate) fn postfix(authority: &Authority, key: &DkimKey, port: u16) -> Self {
        assert!(is_installed("postmap"), "Postfix is missing; `cargo xtask setup` installs it");
        let dir = directory(authority);
        let root = dir.root.path();
        ["conf", "queue", "data", "mail"].iter().for_each(|name| create(&dir, name));
        for (name, text) in [
            ("main.cf", postfix_main(root)),
            ("master.cf", postfix_master(port)),
            ("transports", format!("first.example smtp:[{SENDER}]:{port}\n")),
            ("mailboxes", "gb@second.example gb/\njürgen@second.example gb/\ngb@old.example gb/\n".into()),
            ("aliases", "broken@second.example nobody@first.example\n".into()),
        ] {
            fs::write(root.join("conf").join(name), text).expect("the file is written");
        }
        run_as_root(Command::new("chown").arg("postfix").arg(root.join("data")));
        run_as_root(Command::new("chown").arg(owner().to_string()).arg(root.join("mail")));
        // Creates the directories of the queue.
        run_as_root(Command::new("postfix").arg("-c").arg(root.join("conf")).arg("check"));
        let filter = opendkim(root, key);
        let mut master = Command::new(format!("{POSTFIX_DAEMONS}/master"));
        let child = start(as_root(master.arg("-c").arg(root.join("conf")).arg("-s")));
        Self::wait(Self { dir, port, child, is_foreign: !is_root(), filter: Some(filter) })
    }

    /// Starts the Exim that `cargo xtask setup` unpacks. It signs with `key`. [`OTHER`] does not offer SMTPUTF8.
    pub(crate) fn exim(authority: &Authority, key: &DkimKey, port: u16) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
        let unpacked = target.join("exim/usr/sbin/exim4");
        assert!(unpacked.exists(), "{} is missing; `cargo xtask setup` unpacks it", unpacked.display());
        let dir = directory(authority);
        let root = dir.root.path();
        // Its user may not be able to search the target directory, as below root's home directory.
        let program = root.join("exim4");
        fs::copy(unpacked, &program).expect("the program is copied");
        ["spool", "mail"].iter().for_each(|name| create(&dir, name));
        fs::write(root.join("dkim.pem"), &key.pem).expect("the file is written");
        fs::write(root.join("exim.conf"), exim_conf(root, &program, port)).expect("the file is written");
        // Exim looks up the account that its package would create.
        let owner = owner();
        let account = format!("Debian-exim:x:{owner}:{owner}::/nonexistent:/usr/sbin/nologin\n");
        fs::write(root.join("passwd"), account).expect("the file is written");
        fs::write(root.join("group"), format!("Debian-exim:x:{owner}:\n")).expect("the file is written");
        let mut exim = Command::new(&program);
        exim.arg("-C").arg(root.join("exim.conf")).args(["-bdf", "-q1s"]);
        exim.env("LD_PRELOAD", "libnss_wrapper.so");
        exim.env("NSS_WRAPPER_PASSWD", root.join("passwd")).env("NSS_WRAPPER_GROUP", root.join("group"));
        if is_root() {
            ["spool", "mail"].iter().for_each(|name| {
                chown(root.join(name), Some(owner), Some(owner)).expect("root changes the owner");
            });
            exim.uid(owner).gid(owner);
        }
        let child = start(exim);
        Self::wait(Self { dir, port, child, is_foreign: false, filter: None })
    }

    /// Lets OpenDKIM verify signatures with these keys: lines of the name and the text of a record.
    pub(crate) fn trust_keys(&self, keys: &str) {
        fs::write(self.dir.path("keys"), keys).expect("the file is written");
    }

    /// Waits until it accepts connections.
    fn wait(mut self) -> Self {
        let begin = Instant::now();
        while [RECEIVER, OTHER].iter().any(|address| TcpStream::connect((*address, self.port)).is_err()) {
            let status = self.child.try_wait();
            assert!(
                begin.elapsed() < TIMEOUT && matches!(status, Ok(None)),
                "it does not start: {status:?} {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// A client on this host, which may send mail to any address.
    pub(crate) fn client(&self) -> SmtpClient {
        let mut smtp = SmtpClient { stream: LineStream::connect((RECEIVER, self.port).into()) };
        assert!(smtp.reply().starts_with("220"));
        let reply = smtp.command("EHLO client.example");
        assert!(reply.contains("SMTPUTF8") && reply.contains("8BITMIME"), "{reply}");
        smtp
    }

    /// The mail of its mailboxes, once it contains `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let mail = messages(&self.dir.path("mail")).into_iter().find(|message| message.contains(text));
            if let Some(message) = mail {
                return message;
            }
            assert!(begin.elapsed() < TIMEOUT, "no {text:?}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        ["log", "spool/mainlog"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.dir.path(name)).ok())
            .collect()
    }
}

impl Drop for OtherServer {
    fn drop(&mut self) {
        // It may have exited already.
        let id = self.child.id().to_string();
        if self.is_foreign {
            let _ = as_root(Command::new("kill").arg(id)).status();
        } else {
            let _ = Command::new("kill").arg(id).status();
        }
        let _ = self.child.wait();
        if let Some(filter) = &mut self.filter {
            let _ = filter.kill();
            let _ = filter.wait();
        }
    }
}

/// A directory that other users may search, with a certificate.
fn directory(authority: &Authority) -> TestDir {
    let dir = TestDir::new();
    fs::set_permissions(dir.root.path(), fs::Permissions::from_mode(0o755)).expect("the mode is changed");
    authority.issue(&["mx.second.example"], &dir);
    fs::copy(authority.file(), dir.path("ca.pem")).expect("the file is copied");
    dir
}

fn create(dir: &TestDir, name: &str) {
    fs::create_dir_all(dir.path(name)).expect("the directory is created");
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    // Warnings; errors are in the log.
    drop(read_lines(child.stderr.take().expect("stderr is piped")));
    child
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user that owns received mail.
fn owner() -> u32 {
    if is_root() { OWNER } else { rustix::process::geteuid().as_raw() }
}

/// The command, through sudo if this user is not root.
fn as_root(command: &Command) -> Command {
    if is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(command.get_program()).args(command.get_args());
    sudo
}

fn run_as_root(command: &Command) {
    let status = as_root(command).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?}; Postfix needs root, or sudo without a password"
    );
}

/// The messages of the Maildirs below a directory.
fn messages(directory: &Path) -> Vec<String> {
    let entries = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut folders = entries(directory);
    folders.push(directory.to_owned());
    let files = folders.iter().flat_map(|folder| entries(&folder.join("new")));
    files.filter_map(|file| fs::read_to_string(file).ok()).collect()
}

/// Starts OpenDKIM as a filter of Postfix.
fn opendkim(root: &Path, key: &DkimKey) -> Child {
    assert!(is_installed("opendkim"), "OpenDKIM is missing; `cargo xtask setup` installs it");
    fs::write(root.join("dkim.pem"), &key.pem).expect("the file is written");
    let path = root.display();
    let config = format!(
        "Mode sv\nDomain second.example\nSelector {DKIM_SELECTOR}\nKeyFile {path}/dkim.pem\nSocket local:{path}/filter\n\
         UMask 000\nTestPublicKeys {path}/keys\nAuthservID mx.second.example\nAlwaysAddARHeader yes\nRequireSafeKeys no\n"
    );
    fs::write(root.join("opendkim.conf"), config).expect("the file is written");
    let mut command = Command::new("opendkim");
    command.arg("-f").arg("-x").arg(root.join("opendkim.conf"));
    let mut child = start(command);
    let begin = Instant::now();
    while UnixStream::connect(root.join("filter")).is_err() {
        let status = child.try_wait();
        assert!(
            begin.elapsed() < TIMEOUT && matches!(status, Ok(None)),
            "OpenDKIM does not start: {status:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    child
}

fn postfix_main(root: &Path) -> String {
    let (root, owner) = (root.display(), owner());
    format!(
        "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = {POSTFIX_DAEMONS}\nmail_owner = postfix\nsetgid_group = postdrop\n\
         maillog_file = {root}/log\nmaillog_file_prefixes = {root}\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.second.example\nmydestination =\n\
         mynetworks = 127.0.0.1/32\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         virtual_mailbox_domains = second.example, old.example\nvirtual_mailbox_maps = texthash:{root}/conf/mailboxes\n\
         virtual_alias_maps = texthash:{root}/conf/aliases\nvirtual_mailbox_base = {root}/mail\n\
         virtual_uid_maps = static:{owner}\nvirtual_gid_maps = static:{owner}\n\
         transport_maps = texthash:{root}/conf/transports\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
         smtpd_milters = unix:{root}/filter\nmilter_default_action = tempfail\n\
         smtpd_peername_lookup = no\ndisable_dns_lookups = yes\nsmtputf8_enable = yes\n\
         smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {root}/certificate.pem\nsmtpd_tls_key_file = {root}/key.pem\n\
         smtpd_tls_received_header = yes\nsmtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mx.first.example\n\
         smtp_tls_CAfile = {root}/ca.pem\n"
    )
}

fn postfix_master(port: u16) -> String {
    format!(
        "{RECEIVER}:{port} inet n - n - - smtpd\n\
         {OTHER}:{port} inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 1 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nproxymap unix - - n - - proxymap\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         error unix - - n - - error\nretry unix - - n - - error\nsmtp unix - - n - - smtp\n\
         virtual unix - n n - - virtual\nanvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}

fn exim_conf(root: &Path, program: &Path, port: u16) -> String {
    let (root, program) = (root.display(), program.display());
    format!(
        "exim_path = {program}\nprimary_hostname = mx.second.example\nspool_directory = {root}/spool\n\
         log_file_path = {root}/spool/%slog\npid_file_path = {root}/spool/pid\n\
         local_interfaces = {RECEIVER} : {OTHER}\ndaemon_smtp_ports = {port}\n\
         keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP\ndeliver_drop_privilege\n\
         tls_certificate = {root}/certificate.pem\ntls_privatekey = {root}/key.pem\ntls_advertise_hosts = *\n\
         smtputf8_advertise_hosts = ${{if eq{{$received_ip_address}}{{{OTHER}}}{{:}}{{*}}}}\ndsn_advertise_hosts = *\n\
         rfc1413_hosts =\ndomainlist local = second.example : old.example\n\
         acl_smtp_rcpt = check\nacl_smtp_data = accept\n\
         begin acl\n\
         check:\n  accept domains = +local\n  accept hosts = 127.0.0.1\n  deny message = relay not permitted\n\
         begin routers\n\
         remote:\n  driver = manualroute\n  domains = ! +local\n  route_list = * {SENDER}\n  self = send\n  transport = smtp\n\
         broken:\n  driver = redirect\n  local_parts = broken\n  data = nobody@first.example\n\
         users:\n  driver = accept\n  local_parts = gb : jürgen\n  transport = maildir\n\
         begin transports\n\
         smtp:\n  driver = smtp\n  port = {port}\n  allow_localhost\n  hosts_require_tls = *\n\
         \x20 dkim_domain = second.example\n  dkim_selector = {DKIM_SELECTOR}\n  dkim_private_key = {root}/dkim.pem\n\
         \x20 tls_verify_certificates = {root}/ca.pem\n  tls_verify_hosts = *\n  tls_verify_cert_hostnames =\n\
         maildir:\n  driver = appendfile\n  directory = {root}/mail\n  maildir_format\n  user = Debian-exim\n\
         begin retry\n* * F,1h,1s\n"
    )
}
