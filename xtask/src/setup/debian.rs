//! Packages of Debian. `apt-get` installs them as root; elsewhere an error names what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::shell::{self, Result, command, find_program, print, stdout_of, target_dir};

/// Program, or a command that succeeds once the package is installed; Debian package; purpose.
pub(super) type Package = (&'static str, &'static str, &'static str);

pub(super) const NPM: Package = ("npm", "npm", "installs DOMPurify and axe-core");

pub(super) const PACKAGES: &[Package] = &[
    ("curl", "curl", "sends by SMTP and retrieves by POP3"),
    ("swaks", "swaks", "sends by SMTP"),
    ("perl -MNet::SSLeay -e 1", "libnet-ssleay-perl", "lets swaks use TLS"),
    ("msmtp", "msmtp", "sends by SMTP"),
    ("mpop", "mpop", "retrieves by POP3"),
    ("fetchmail", "fetchmail", "retrieves by POP3"),
    ("s-nail", "s-nail", "sends by SMTP and retrieves by POP3"),
    ("getmail", "getmail6", "retrieves by POP3"),
    ("mutt", "mutt", "sends by SMTP and retrieves by POP3"),
    ("neomutt", "neomutt", "sends by SMTP and retrieves by POP3"),
    ("/usr/bin/mh/inc", "nmh", "sends by SMTP and retrieves by POP3"),
    ("pebble", "pebble", "issues certificates by ACME"),
    ("faketime", "faketime", "runs a node whose clock is wrong"),
    ("dpkg-query --show libnss-wrapper", "libnss-wrapper", "lets Exim run without its account"),
    ("dpkg-query --show libgnutls-dane0", "libgnutls-dane0", "is a library of Exim"),
    ("dpkg-query --show libidn12", "libidn12", "is a library of Exim"),
    ("dpkg-query --show libnsl2", "libnsl2", "is a library of Exim"),
    ("script", "bsdutils", "gives mutt and neomutt a terminal"),
    ("python3", "python3", "sends with smtplib and retrieves with poplib"),
    ("pip3", "python3-pip", "installs aiosmtplib, mailpit-api-client, schemathesis, dkimpy and pyspf"),
    ("node", "nodejs", "runs WebAssembly tests"),
    NPM,
    ("chromium", "chromium", "runs the page"),
    ("chromedriver", "chromium-driver", "drives the page"),
];

/// Only for the long form of the tests, because geckodriver is built as well.
pub(super) const FIREFOX: &[Package] = &[("firefox-esr", "firefox-esr", "runs the page")];

/// Reverse proxies. Their packages start services.
pub(super) const PROXIES: &[Package] = &[
    ("nginx", "nginx", "forwards requests to the page"),
    ("haproxy", "haproxy", "forwards requests to the page, and mail connections"),
    ("caddy", "caddy", "forwards requests to the page"),
];

/// Failover of PostgreSQL. Their packages start services.
pub(super) const CLUSTER: &[Package] = &[
    ("etcd", "etcd-server", "elects the primary of the database"),
    ("patroni", "patroni", "promotes the primary of the database"),
];

/// Checks of incoming mail. Their packages start services.
pub(super) const FILTERS: &[Package] = &[
    ("rspamd", "rspamd", "filters incoming mail"),
    ("opendkim", "opendkim", "verifies signatures, and signs mail whose signature is verified"),
];

const POSTFIX: &[Package] =
    &[("smtp-source", "postfix", "exchanges mail, sends the test load, and brings openssl")];
/// Debian's package of Exim, which conflicts with Postfix.
const EXIM: &str = "exim4-daemon-light";

/// Only for `cargo xtask bench --peers`.
pub(super) const PEERS: &[Package] = &[
    ("dovecot", "dovecot-core", "serves mail"),
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d", "serves mail by POP3"),
    ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd", "receives mail from Postfix"),
];

/// Debian's package of its PostgreSQL version.
const POSTGRESQL: (&str, &str) = ("postgresql", "runs the tests of the database store");
/// Directory of the programs of each PostgreSQL version.
const POSTGRESQL_VERSIONS: &str = "/usr/lib/postgresql";
/// Settings of the database that the package would create.
const POSTGRESQL_CLUSTER: (&str, &str) =
    ("/etc/postgresql-common/createcluster.d/pennypost.conf", "create_main_cluster = false\n");
/// Tells Debian whether packages may start services (Debian policy, section 9.3.3).
const SERVICES_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs Postfix without configuring or starting it.
pub(super) fn postfix() -> Result<bool> {
    if POSTFIX.iter().all(|(program, ..)| find_program(program).is_some()) {
        return Ok(false);
    }
    let _ = stdout_of(as_root("sh").args([
        "-c",
        "echo postfix postfix/main_mailer_type select No configuration | debconf-set-selections",
    ]));
    install_services(POSTFIX, "postfix")
}

/// Unpacks Exim below `exim` in the target directory.
pub(super) fn exim() -> Result<bool> {
    let folder = target_dir()?.join("exim");
    let program = folder.join("usr/sbin/exim4");
    if program.exists() {
        return Ok(false);
    }
    let Some(apt_get) = apt_get() else {
        return Err(format!(
            "Exim is missing; it exchanges mail. Unpack it so that {} exists. On Debian and its derivatives:\n  \
             apt-get download {EXIM} && dpkg -x {EXIM}_*.deb {}",
            program.display(),
            folder.display()
        ));
    };
    print(&format!("setup: unpacking the Debian package {EXIM} (exchanges mail)"));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    shell::run(apt_get().arg("update"))?;
    shell::run(command("apt-get").args(["--quiet", "download", EXIM]).current_dir(&folder))?;
    let packages = fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path());
    for package in packages.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        shell::run(command("dpkg").arg("-x").arg(&package).arg(&folder))?;
        fs::remove_file(&package).map_err(failed)?;
    }
    // The package installs it setuid.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(true)
}

/// Installs packages without starting their services.
pub(super) fn install_services(packages: &[Package], services: &str) -> Result<bool> {
    if packages.iter().all(|(program, ..)| find_program(program).is_some()) {
        return Ok(false);
    }
    let installed = without_services(|| install(packages));
    if installed == Ok(true) {
        // Best effort: a container has no systemd.
        let _ = stdout_of(as_root("systemctl").arg("disable").args(services.split(' ')));
        print(&format!(
            "setup: the services {services} do not start at boot; `systemctl enable` changes that"
        ));
    }
    installed
}

/// Installs PostgreSQL's programs. No database is created and no service is started: the tests start servers of their own.
///
/// # Errors
/// The package cannot be installed.
pub fn postgresql() -> Result<bool> {
    if has_postgresql() {
        return Ok(false);
    }
    let (package, purpose) = POSTGRESQL;
    let Some(apt_get) = apt_get() else {
        return Err(format!(
            "PostgreSQL is missing; it {purpose}. Install it. On Debian and its derivatives:\n  \
             sudo apt-get install {package}\nand, if you need no database of the system,\n  \
             sudo systemctl disable --now postgresql"
        ));
    };
    print(&format!("setup: installing the Debian package {package}"));
    let (path, text) = POSTGRESQL_CLUSTER;
    let directory = Path::new(path).parent().expect("the path has a directory");
    shell::run(as_root("mkdir").arg("-p").arg(directory))?;
    shell::run(as_root("sh").args(["-c", &format!("printf '{}' > {path}", text.escape_default())]))?;
    let installed = without_services(|| {
        shell::run(apt_get().arg("update"))?;
        shell::run(apt_get().args(["install", "--yes", "--no-install-recommends", package]))
    });
    installed?;
    if has_postgresql() { Ok(true) } else { Err(format!("{POSTGRESQL_VERSIONS} has no PostgreSQL")) }
}

fn has_postgresql() -> bool {
    let versions = fs::read_dir(POSTGRESQL_VERSIONS).into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/postgres").exists())
}

/// Runs an installation during which packages start no services.
fn without_services<R>(install: impl FnOnce() -> R) -> R {
    let policy = Path::new(SERVICES_POLICY);
    let script =
        format!("printf '#!/bin/sh\\nexit 101\\n' > {SERVICES_POLICY} && chmod 755 {SERVICES_POLICY}");
    let forbids_start = !policy.exists() && shell::run(as_root("sh").args(["-c", &script])).is_ok();
    let installed = install();
    if forbids_start {
        let _ = shell::run(as_root("rm").args(["-f", SERVICES_POLICY]));
    }
    installed
}

/// A program that runs as root, if this user may do so without a password.
fn as_root(program: &str) -> Command {
    if stdout_of(command("id").arg("-u")).is_some_and(|user| user == "0") {
        return command(program);
    }
    let mut sudo = command("sudo");
    sudo.args(["-n", program]);
    sudo
}

/// Installs the packages that are missing. Returns whether it installed anything.
pub(super) fn install(packages: &[Package]) -> Result<bool> {
    let missing: Vec<_> = packages.iter().filter(|(program, ..)| !is_present(program)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    let install = ["install", "--yes", "--no-install-recommends"];
    let Some(apt_get) = apt_get() else {
        let list: String =
            missing.iter().map(|(program, _, purpose)| format!("\n  {program}: {purpose}")).collect();
        let line = format!("sudo apt-get {} {}", install.join(" "), packages.join(" "));
        return Err(format!(
            "these programs are missing:{list}\nInstall them, then run the command again. On Debian and its derivatives:\n  {line}"
        ));
    };
    print(&format!("setup: installing the Debian packages {}", packages.join(" ")));
    shell::run(apt_get().arg("update"))?;
    shell::run(apt_get().args(install).args(&packages))?;
    let absent: Vec<&str> =
        missing.iter().filter(|(program, ..)| !is_present(program)).map(|(program, ..)| *program).collect();
    if absent.is_empty() {
        Ok(true)
    } else {
        Err(format!("missing after the installation: {}", absent.join(", ")))
    }
}

/// Whether a program exists, or a command with arguments succeeds.
fn is_present(program: &str) -> bool {
    match program.split_once(' ') {
        None => find_program(program).is_some(),
        Some((program, arguments)) => {
            stdout_of(command(program).args(arguments.split(' ')).stderr(Stdio::null())).is_some()
        }
    }
}

/// A non-interactive `apt-get`, if it exists and may install packages.
fn apt_get() -> Option<impl Fn() -> Command> {
    find_program("apt-get")?;
    let is_root = stdout_of(command("id").arg("-u"))? == "0";
    if !is_root {
        stdout_of(command("sudo").args(["-n", "true"]))?;
    }
    Some(move || {
        let mut apt_get = if is_root { command("env") } else { command("sudo") };
        if !is_root {
            apt_get.args(["-n", "env"]);
        }
        apt_get.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        apt_get
    })
}
