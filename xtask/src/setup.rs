//! `cargo xtask setup`: installs the tools that the tests need and this machine lacks.
//!
//! Sources: rustup for the Rust target, crates.io for four programs, Debian for node, npm, Python, mail programs, mail servers, mail filters,
//! PostgreSQL, Patroni, etcd, Pebble and Chromium, npm for axe-core, nodemailer, mailpit-api and cypress-mailpit, PyPI for aiosmtplib,
//! mailpit-api-client, schemathesis, dkimpy and pyspf. With `PENNYPOST_LONG=1`, also Firefox from Debian and geckodriver from crates.io.
//! No prebuilt program is downloaded from elsewhere. Each run checks the machine, so a second run does nothing.

mod debian;

use std::env;
use std::fs;
use std::path::PathBuf;

use self::debian::{CLUSTER, FILTERS, FIREFOX, NPM, PACKAGES, PEERS, PROXIES};
use crate::shell::{self, Result, cargo, command, print, stdout_of, target_dir, workspace_root};

pub use self::debian::postgresql;

const WASM: &str = "wasm32-unknown-unknown";

const MAILDEV_VERSION: &str = "3.0.0";

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
        debian::install(PACKAGES)?,
        postgresql()?,
        debian::install_services(PROXIES, "nginx haproxy caddy")?,
        debian::install_services(CLUSTER, "etcd patroni")?,
        debian::install_services(FILTERS, "rspamd opendkim")?,
        debian::postfix()?,
        debian::exim()?,
        npm_packages()?,
        python_packages()?,
        tools(&test_tools()?)?,
        is_long() && debian::install(FIREFOX)?,
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
    debian::install(&[NPM]).map(drop)
}

/// Installs Postfix and Dovecot without configuring or starting them.
///
/// # Errors
/// A package cannot be installed.
pub fn for_peers() -> Result {
    debian::postfix()?;
    debian::install_services(PEERS, "dovecot").map(drop)
}

/// Adds the Rust target. Like the other functions here, returns whether it installed anything.
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
        purpose: "drives Firefox; two minutes",
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
