//! `cargo xtask setup`: brings what the checks need and this machine lacks, and nothing else.
//!
//! The Rust target comes from rustup, three programs from crates.io, the mail programs and the browser that the tests talk
//! to from Debian, and the accessibility checker from npm. Whether a thing is there is asked of the machine each time,
//! so a second run has nothing to do. No prebuilt program is downloaded from anywhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::shell::{
    self, Result, cargo, command, find_program, print, stdout_of, target_dir, workspace_root,
};

const WASM: &str = "wasm32-unknown-unknown";

/// Program, Debian package, what it is wanted for.
type Package = (&'static str, &'static str, &'static str);

const NPM: Package = ("npm", "npm", "brings DOMPurify into the page, and axe-core");

const PACKAGES: &[Package] = &[
    ("curl", "curl", "sends over SMTP and fetches over POP3"),
    ("swaks", "swaks", "sends over SMTP"),
    ("msmtp", "msmtp", "sends over SMTP"),
    ("mpop", "mpop", "fetches over POP3"),
    ("fetchmail", "fetchmail", "fetches over POP3"),
    ("s-nail", "s-nail", "sends over SMTP and fetches over POP3"),
    ("python3", "python3", "sends with smtplib and fetches with poplib"),
    ("node", "nodejs", "runs tests as WebAssembly"),
    NPM,
    ("chromium", "chromium", "shows the page"),
    ("chromedriver", "chromium-driver", "presses the page's buttons"),
];

/// What `bench --peers` measures beside; nothing else needs them.
const PEERS: &[Package] = &[
    ("smtp-source", "postfix", "receives mail, and sends what is measured"),
    ("dovecot", "dovecot-core", "serves mail"),
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d", "serves it by POP3"),
    ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd", "takes mail from Postfix"),
];

/// Where Debian asks whether a service may be started (its policy, section 9.3.3).
const SERVICES_POLICY: &str = "/usr/sbin/policy-rc.d";

/// The accessibility checker that runs in the page, from the npm registry.
const AXE: (&str, &str) = ("axe-core", "4.14.1");

/// A program that comes from crates.io.
struct Tool {
    program: &'static str,
    package: &'static str,
    version: String,
    /// How the version of one that will do begins.
    series: String,
    flags: &'static [&'static str],
    /// What the tests want of it, and how long it takes to build.
    purpose: &'static str,
}

pub fn run() -> Result {
    // What can fail at once comes before what takes minutes.
    let missing =
        [wasm_target()?, debian_packages(PACKAGES)?, axe()?, tools(&page_tools()?)?, tools(&[deny()])?];
    if missing == [false; 5] {
        print("setup: everything is there");
    }
    Ok(())
}

/// What the page's build needs.
pub fn for_page() -> Result {
    wasm_target()?;
    debian_packages(&[NPM])?;
    tools(&page_tools()?).map(drop)
}

/// What the servers are measured beside. Nobody wants mail servers on the usual ports for that, so they are neither set
/// up nor started.
pub fn for_peers() -> Result {
    if PEERS.iter().all(|(program, ..)| find_program(program).is_some()) {
        return Ok(());
    }
    let _unconfigured = stdout_of(command("sh").args([
        "-c",
        "echo postfix postfix/main_mailer_type select No configuration | debconf-set-selections",
    ]));
    let policy = Path::new(SERVICES_POLICY);
    let forbids = !policy.exists() && fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok();
    if forbids {
        let _executable = fs::set_permissions(policy, fs::Permissions::from_mode(0o755));
    }
    let installed = debian_packages(PEERS);
    if forbids {
        let _gone = fs::remove_file(policy);
        print(
            "setup: Postfix and Dovecot are not started; to keep it so, `systemctl disable postfix dovecot`",
        );
    }
    installed.map(drop)
}

/// Each step says whether anything was missing.
fn wasm_target() -> Result<bool> {
    let folder = stdout_of(command("rustc").args(["--print", "target-libdir", "--target", WASM]));
    let there = folder.and_then(|folder| fs::read_dir(folder).ok()).is_some_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
    });
    if there {
        return Ok(false);
    }
    print(&format!("setup: adding the Rust target {WASM}"));
    shell::run(command("rustup").args(["target", "add", WASM]))?;
    Ok(true)
}

fn page_tools() -> Result<[Tool; 2]> {
    let lock = fs::read_to_string(workspace_root().join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    let bindgen = locked_version(&lock, "wasm-bindgen").ok_or("Cargo.lock names no wasm-bindgen")?;
    Ok([
        Tool {
            program: "wasm-bindgen",
            package: "wasm-bindgen-cli",
            version: bindgen.to_owned(),
            series: bindgen.to_owned(),
            flags: &[],
            purpose: "makes the browser's glue and runs WebAssembly tests; about three minutes",
        },
        Tool {
            program: "trunk",
            package: "trunk",
            version: "0.21.14".to_owned(),
            series: "0.21.".to_owned(),
            flags: &["--locked", "--no-default-features", "--features", "rustls"],
            purpose: "builds the page; about eight minutes",
        },
    ])
}

fn deny() -> Tool {
    Tool {
        program: "cargo-deny",
        package: "cargo-deny",
        version: "0.20.2".to_owned(),
        series: "0.20.".to_owned(),
        flags: &["--locked"],
        purpose: "looks for known vulnerabilities and for licences; about six minutes",
    }
}

fn tools(wanted: &[Tool]) -> Result<bool> {
    let missing: Vec<_> = wanted.iter().filter(|tool| !is_there(tool)).collect();
    missing.iter().try_for_each(|tool| install(tool))?;
    Ok(!missing.is_empty())
}

fn is_there(tool: &Tool) -> bool {
    let answer = stdout_of(command(tool.program).arg("--version"));
    answer.is_some_and(|answer| {
        answer.split(' ').nth(1).is_some_and(|version| version.starts_with(&tool.series))
    })
}

/// Built without the optimisations that pay off only in a program that runs for hours.
fn install(tool: &Tool) -> Result {
    let Tool { program, package, version, flags, purpose, .. } = tool;
    print(&format!("setup: building {package} {version} ({purpose})"));
    let mut cargo = cargo();
    cargo.args(["install", package, "--version", &format!("={version}")]).args(*flags);
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    shell::run(&mut cargo)?;
    if is_there(tool) {
        Ok(())
    } else {
        Err(format!("{package} {version} is installed, but `{program}` is not it"))
    }
}

/// Into the target directory: it belongs to this checkout, and to nobody else on the machine.
fn axe() -> Result<bool> {
    let ((package, version), folder) = (AXE, target_dir()?.join("npm"));
    let about = fs::read_to_string(folder.join("node_modules").join(package).join("package.json"));
    if about.is_ok_and(|about| about.contains(&format!("\"version\": \"{version}\""))) {
        return Ok(false);
    }
    print(&format!("setup: fetching {package} {version} (checks the page's accessibility)"));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut npm = command("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    shell::run(npm.arg(&folder).arg(format!("{package}@{version}")))?;
    Ok(true)
}

fn debian_packages(packages: &[Package]) -> Result<bool> {
    let missing: Vec<_> = packages.iter().filter(|(program, ..)| find_program(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    let install = ["install", "--yes", "--no-install-recommends"];
    let Some(apt) = apt_get() else {
        let list: String =
            missing.iter().map(|(program, _, purpose)| format!("\n  {program}: {purpose}")).collect();
        let line = format!("sudo apt-get {} {}", install.join(" "), packages.join(" "));
        return Err(format!(
            "these programs are missing:{list}\nInstall them; on Debian and its kin with\n  {line}"
        ));
    };
    print(&format!("setup: installing the Debian packages {}", packages.join(" ")));
    // Old lists name files that are gone from the mirror.
    shell::run(apt().arg("update"))?;
    shell::run(apt().args(install).args(&packages))?;
    let absent: Vec<&str> = missing
        .iter()
        .filter(|(program, ..)| find_program(program).is_none())
        .map(|(program, ..)| *program)
        .collect();
    if absent.is_empty() {
        Ok(true)
    } else {
        Err(format!("still not on PATH after the installation: {}", absent.join(", ")))
    }
}

/// `apt-get` that may install and asks nothing, where there is one.
fn apt_get() -> Option<impl Fn() -> Command> {
    find_program("apt-get")?;
    let root = stdout_of(command("id").arg("-u"))? == "0";
    if !root {
        stdout_of(command("sudo").args(["-n", "true"]))?;
    }
    Some(move || {
        let mut apt = if root { command("env") } else { command("sudo") };
        if !root {
            apt.args(["-n", "env"]);
        }
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        apt
    })
}

/// The version that Cargo.lock holds of a package that it holds once.
fn locked_version<'lock>(lock: &'lock str, package: &str) -> Option<&'lock str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    entry.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_gives_the_exact_version() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.2.9\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "yew"), None);
    }
}
