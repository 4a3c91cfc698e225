//! `cargo xtask setup`: installs the tools that the tests need and this machine lacks.
//!
//! Sources: rustup for the Rust target, crates.io for four programs, Debian for node, npm, Python, mail programs, mail servers,
//! PostgreSQL, Patroni, etcd, Pebble and Chromium, npm for axe-core, nodemailer, mailpit-api and cypress-mailpit, PyPI for aiosmtplib,
//! mailpit-api-client, schemathesis, dkimpy and pyspf. With `PENNYPOST_LONG=1`, also Firefox from Debian and geckodriver from crates.io.
//! No prebuilt program is downloaded from elsewhere. Each run checks the machine, so a second run does nothing.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{
    self, Result, cargo, command, find_program, print, stdout_of, target_dir, workspace_root,
};

const WASM: &str = "wasm32-unknown-unknown";

/// Program, or a command that succeeds once the package is installed; Debian package; purpose.
type Package = (&'static str, &'static str, &'static str);

const NPM: Package = ("npm", "npm", "installs DOMPurify and axe-core");

const PACKAGES: &[Package] = &[
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
const FIREFOX: &[Package] = &[("firefox-esr", "firefox-esr", "runs the page")];

/// Reverse proxies. Their packages start services.
const PROXIES: &[Package] = &[
    ("nginx", "nginx", "forwards requests to the page"),
    ("haproxy", "haproxy", "forwards requests to the page, and mail connections"),
    ("caddy", "caddy", "forwards requests to the page"),
];

/// Failover of PostgreSQL. Their packages start services.
const CLUSTER: &[Package] = &[
    ("etcd", "etcd-server", "elects the primary of the database"),
    ("patroni", "patroni", "promotes the primary of the database"),
];

const POSTFIX: &[Package] = &[("smtp-source", "postfix", "sends the test load, and brings openssl")];
/// Debian's package of Exim, which conflicts with Postfix.
const EXIM: &str = "exim4-daemon-light";

/// Only for `cargo xtask bench --peers`.
const PEERS: &[Package] = &[
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
const MAILDEV_VERSION: &str = "3.0.0";

/// Tells Debian whether packages may start services (Debian policy, section 9.3.3).
const SERVICES_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Packages from npm: name, version, purpose.
const NPM_PACKAGES: [(&str, &str, &str); 4] = [
    ("axe-core", "4.14.1", "checks the page's accessibility"),
    ("cypress-mailpit", "2.0.0", "a client of the mail catcher's API"),
    ("nodemailer", "10.6.1", "sends by SMTP"),
    ("mailpit-api", "2.1.0", "a client of the mail catcher's API"),
];

/// Packages from PyPI, with their dependencies: name, version, purpose.
const PYTHON_PACKAGES: [(&str, &str, &str); 7] = [
    ("aiosmtplib", "5.1.3", "sends by SMTP"),
    ("mailpit-api-client", "1.0.0", "a client of the mail catcher's API"),
    ("schemathesis", "4.32.5", "compares the mail catcher's API with its description"),
    ("dkimpy", "1.1.8", "verifies DKIM signatures, and seals ARC chains"),
    ("authres", "1.2.0", "reads Authentication-Results fields, and lets dkimpy seal ARC chains"),
    ("pyspf", "2.0.14", "evaluates SPF records"),
    ("pynacl", "1.6.2", "lets dkimpy verify Ed25519"),
];

/// A program from crates.io.
struct Tool {
    program: &'static str,
    package: &'static str,
    version: String,
    /// An installed version with this prefix is accepted.
    version_prefix: String,
    flags: &'static [&'static str],
    /// `opt-level`; 0 builds fastest.
    opt_level: &'static str,
    /// Purpose and build time on two cores.
    purpose: &'static str,
}

/// # Errors
/// A tool cannot be installed.
pub fn run() -> Result {
    // Quick steps first, so that their failures are reported early.
    let installed = [
        wasm_target()?,
        debian_packages(PACKAGES)?,
        postgresql()?,
        debian_services(PROXIES, "nginx haproxy caddy")?,
        debian_services(CLUSTER, "etcd patroni")?,
        postfix()?,
        exim()?,
        npm_packages()?,
        python_packages()?,
        tools(&test_tools()?)?,
        is_long() && debian_packages(FIREFOX)?,
        is_long() && tools(&[geckodriver()])?,
    ];
    if !installed.contains(&true) {
        print("setup: nothing to install");
    }
    Ok(())
}

/// Whether the long form of the tests is wanted.
#[must_use]
pub fn is_long() -> bool {
    env::var_os("PENNYPOST_LONG").is_some()
}

/// Installs npm, which building the page needs.
///
/// # Errors
/// npm cannot be installed.
pub fn npm() -> Result {
    debian_packages(&[NPM]).map(drop)
}

/// Installs Postfix and Dovecot without configuring or starting them.
///
/// # Errors
/// A package cannot be installed.
pub fn for_peers() -> Result {
    postfix()?;
    debian_services(PEERS, "dovecot").map(drop)
}

/// Installs Postfix without configuring or starting it.
fn postfix() -> Result<bool> {
    if POSTFIX.iter().all(|(program, ..)| find_program(program).is_some()) {
        return Ok(false);
    }
    let _ = stdout_of(as_root("sh").args([
        "-c",
        "echo postfix postfix/main_mailer_type select No configuration | debconf-set-selections",
    ]));
    debian_services(POSTFIX, "postfix")
}

/// Unpacks Exim below `exim` in the target directory.
fn exim() -> Result<bool> {
    let folder = target_dir()?.join("exim");
    let program = folder.join("usr/sbin/exim4");
    if program.exists() {
        return Ok(false);
    }
    print(&format!("setup: unpacking the Debian package {EXIM} (exchanges mail)"));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut apt_get = command("apt-get");
    shell::run(apt_get.args(["--quiet", "download", EXIM]).current_dir(&folder))?;
    let packages = fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path());
    for package in packages.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        shell::run(command("dpkg").arg("-x").arg(&package).arg(&folder))?;
        fs::remove_file(&package).map_err(failed)?;
    }
    // The package installs it setuid.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    Ok(true)
}

/// Installs packages whose services must not start now.
fn debian_services(packages: &[Package], services: &str) -> Result<bool> {
    if packages.iter().all(|(program, ..)| find_program(program).is_some()) {
        return Ok(false);
    }
    let installed = without_services(|| debian_packages(packages));
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

/// Adds the Rust target. Like the functions below, returns whether it installed anything.
///
/// # Errors
/// rustup fails.
pub fn wasm_target() -> Result<bool> {
    let folder = stdout_of(command("rustc").args(["--print", "target-libdir", "--target", WASM]));
    let is_installed = folder.and_then(|folder| fs::read_dir(folder).ok()).is_some_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
    });
    if is_installed {
        return Ok(false);
    }
    print(&format!("setup: adding the Rust target {WASM}"));
    shell::run(command("rustup").args(["target", "add", WASM]))?;
    Ok(true)
}

fn test_tools() -> Result<[Tool; 4]> {
    let lock = fs::read_to_string(workspace_root().join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    let bindgen = locked_version(&lock, "wasm-bindgen").ok_or("Cargo.lock has no package wasm-bindgen")?;
    Ok([
        Tool {
            program: "cargo-nextest",
            package: "cargo-nextest",
            version: "0.9.143".to_owned(),
            version_prefix: "0.9.".to_owned(),
            flags: &["--locked", "--no-default-features"],
            opt_level: "0",
            purpose: "runs the tests; three minutes",
        },
        Tool {
            program: "wasm-bindgen",
            package: "wasm-bindgen-cli",
            version: bindgen.to_owned(),
            version_prefix: bindgen.to_owned(),
            flags: &[],
            opt_level: "1",
            purpose: "runs WebAssembly tests; three minutes",
        },
        Tool {
            program: "trunk",
            package: "trunk",
            version: "0.21.14".to_owned(),
            version_prefix: "0.21.".to_owned(),
            flags: &["--locked", "--no-default-features", "--features", "rustls"],
            opt_level: "0",
            purpose: "builds the page that the demo's is compared with; six minutes",
        },
        Tool {
            program: "cargo-deny",
            package: "cargo-deny",
            version: "0.20.2".to_owned(),
            version_prefix: "0.20.".to_owned(),
            flags: &["--locked"],
            opt_level: "0",
            purpose: "checks licences and advisories; five minutes",
        },
    ])
}

fn geckodriver() -> Tool {
    Tool {
        program: "geckodriver",
        package: "geckodriver",
        version: "0.37.1".to_owned(),
        version_prefix: "0.37.".to_owned(),
        flags: &["--locked"],
        opt_level: "0",
        purpose: "drives Firefox; MINUTES minutes",
    }
}

fn tools(tools: &[Tool]) -> Result<bool> {
    let missing: Vec<_> = tools.iter().filter(|tool| !is_installed(tool)).collect();
    missing.iter().try_for_each(|tool| install(tool))?;
    Ok(!missing.is_empty())
}

fn is_installed(tool: &Tool) -> bool {
    let output = stdout_of(command(tool.program).arg("--version"));
    output.is_some_and(|output| {
        output.split_whitespace().nth(1).is_some_and(|version| version.starts_with(&tool.version_prefix))
    })
}

/// Without the release profile's optimisations, which take longer to compile than they save.
fn install(tool: &Tool) -> Result {
    let Tool { program, package, version, flags, opt_level, purpose, .. } = tool;
    print(&format!("setup: building {package} {version} ({purpose})"));
    let mut cargo = cargo();
    cargo.args(["install", package, "--version", &format!("={version}")]).args(*flags);
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level).env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    shell::run(&mut cargo)?;
    if is_installed(tool) {
        Ok(())
    } else {
        Err(format!("{package} {version} is installed, but another `{program}` comes first on PATH"))
    }
}

/// Installs MailDev, with which `cargo xtask bench --peers` compares the mail catcher. Returns its program for Node.
///
/// # Errors
/// It cannot be installed.
pub fn maildev() -> Result<PathBuf> {
    let folder = target_dir()?.join("maildev");
    let program = folder.join("node_modules/.bin/maildev");
    if !program.exists() {
        npm()?;
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        print(&format!("setup: installing maildev {MAILDEV_VERSION} (the peer of the mail catcher)"));
        let mut npm = command("npm");
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        shell::run(npm.arg(&folder).arg(format!("maildev@{MAILDEV_VERSION}")))?;
    }
    Ok(program)
}

/// Installs packages below `npm` in the target directory.
fn npm_packages() -> Result<bool> {
    let folder = target_dir()?.join("npm");
    let is_installed = |(package, version, _): &(&str, &str, &str)| {
        let manifest = fs::read_to_string(folder.join("node_modules").join(package).join("package.json"));
        manifest.is_ok_and(|manifest| manifest.contains(&format!("\"version\": \"{version}\"")))
    };
    if NPM_PACKAGES.iter().all(is_installed) {
        return Ok(false);
    }
    for (package, version, purpose) in NPM_PACKAGES {
        print(&format!("setup: installing {package} {version} ({purpose})"));
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut npm = command("npm");
    // Without peer dependencies: cypress-mailpit is tested without Cypress, which is large.
    npm.args([
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--legacy-peer-deps",
        "--prefix",
    ])
    .arg(&folder);
    // One command: npm removes packages that are not named.
    shell::run(npm.args(NPM_PACKAGES.map(|(package, version, _)| format!("{package}@{version}"))))?;
    Ok(true)
}

/// Installs packages below `python` in the target directory.
///
/// # Errors
/// A package cannot be installed.
pub fn python_packages() -> Result<bool> {
    let folder = target_dir()?.join("python");
    let mut is_changed = false;
    for (package, version, purpose) in PYTHON_PACKAGES {
        let metadata = folder.join(format!("{}-{version}.dist-info", package.replace('-', "_")));
        if metadata.exists() {
            continue;
        }
        print(&format!("setup: installing {package} {version} ({purpose})"));
        let mut pip = command("pip3");
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]).arg(&folder);
        shell::run(pip.arg(format!("{package}=={version}")))?;
        is_changed = true;
    }
    Ok(is_changed)
}

fn debian_packages(packages: &[Package]) -> Result<bool> {
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

/// Version of a package that is in Cargo.lock once.
fn locked_version<'lock>(lock: &'lock str, package: &str) -> Option<&'lock str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    entry.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_version_ignores_packages_with_a_longer_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.2.9\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "yew"), None);
    }
}
