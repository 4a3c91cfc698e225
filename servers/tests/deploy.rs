//! The files in `deploy/` are consistent with each other and with the program.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::process::Command;

use support::tls::write_key_pair;
use support::{ServerProcess, TestDir, send_signal};

const UNIT: &str = include_str!("../../deploy/pennypost.service");
const CONTAINER: &str = include_str!("../../deploy/Containerfile");
const SAMPLE: &str = include_str!("../../deploy/pennypost.toml");
const ACTION: &str = include_str!("../../deploy/catch/action.yml");
const README: &str = include_str!("../../deploy/README.md");

const PROGRAM: &str = "/usr/local/bin/pennypost";
const CONFIG: &str = "/etc/pennypost/pennypost.toml";
const DATA: &str = "/var/lib/pennypost";

/// The rest of the line that starts with `key`.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(key));
    found.unwrap_or_else(|| panic!("no line starts with {key}")).trim()
}

/// The elements of an exec-form instruction of the Containerfile.
fn list(instruction: &str) -> Vec<String> {
    let words = value(CONTAINER, instruction).trim_start_matches('[').trim_end_matches(']').split(", ");
    words.map(|word| word.trim_matches('"').to_owned()).collect()
}

/// The ports of the sample configuration.
fn ports() -> BTreeSet<u16> {
    let ends = SAMPLE.split("[::]:").skip(1);
    ends.map(|end| end.split('"').next().and_then(|port| port.parse().ok()).expect("a port")).collect()
}

/// The sample with its data directory in the directory of the configuration.
fn sample() -> String {
    SAMPLE.replace(DATA, "data")
}

/// The sample with certificate files instead of ACME.
fn sample_with_files() -> String {
    let acme = SAMPLE.lines().find(|line| line.starts_with("acme = ")).expect("the sample uses ACME");
    let sample = sample().replace(acme, "");
    sample
        .replace("# certificate", "certificate")
        .replace("# key ", "key ")
        .replace("/etc/pennypost/tls/", "")
}

#[test]
fn unit_command_serves_the_sample_configuration() {
    let dir = TestDir::new();
    let mut config = sample_with_files();
    for port in ports() {
        config = config.replace(&format!("[::]:{port}\""), "127.0.0.1:0\"");
    }
    write_key_pair(&dir.path("fullchain.pem"), &dir.path("privkey.pem"));
    fs::write(dir.path("pennypost.toml"), config).expect("the file is written");

    let command: Vec<&str> = value(UNIT, "ExecStart=").split(' ').collect();
    let [PROGRAM, arguments @ .., "--config", CONFIG] = &command[..] else { panic!("{command:?}") };
    let listeners = ["smtp", "submission", "submissions", "pop3", "pop3s", "web"];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), arguments, &dir, &listeners);
    assert_eq!(listeners.len(), ports().len(), "every address of the sample has a listener");
    server.signal_terminate();
    assert_eq!(server.wait(), Some(0));
    // Longer than the grace period of twenty seconds plus time for pending writes.
    assert!(value(UNIT, "TimeoutStopSec=").parse::<u32>().expect("seconds") > 30);
}

#[test]
fn unit_container_and_sample_name_the_same_files() {
    assert_eq!([list("ENTRYPOINT "), list("CMD ")].concat().join(" "), value(UNIT, "ExecStart="));
    assert!(SAMPLE.contains(&format!("data     = \"{DATA}\"\n")));
    assert_eq!(value(CONTAINER, "VOLUME "), DATA);
    let under = |folder: &str, name: &str| format!("{folder}/{}", value(UNIT, name));
    assert_eq!(under("/var/lib", "StateDirectory="), DATA);
    assert_eq!(under("/etc", "ConfigurationDirectory=") + "/pennypost.toml", CONFIG);
    let is_file = |line: &&str| line.starts_with("# certificate") || line.starts_with("# key ");
    let files: Vec<_> = SAMPLE.lines().filter(is_file).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|line| line.contains("\"/etc/pennypost/tls/")), "{files:?}");
    let built = env!("CARGO_BIN_EXE_pennypost").rsplit('/').next().expect("a name");
    assert_eq!(value(CONTAINER, "COPY --from=build "), format!("/src/target/release/{built} {PROGRAM}"));
    assert!(README.contains(&format!("target/release/{built} /usr/local/bin/")));

    let exposed: BTreeSet<u16> =
        value(CONTAINER, "EXPOSE ").split(' ').map(|port| port.parse().expect("a port")).collect();
    assert_eq!(exposed, ports());
    for port in ports() {
        assert!(README.contains(&format!("-p {port}:{port} ")), "{port}");
    }
    let toolchain = include_str!("../../rust-toolchain.toml");
    let version = value(toolchain, "channel = ").trim_matches('"').trim_end_matches(".0");
    assert!(value(CONTAINER, "FROM docker.io/library/rust:").starts_with(&format!("{version}-")));
}

#[test]
fn readme_commands_work_with_the_sample_of_another_domain() {
    let dir = TestDir::new();
    let edit = README.lines().find_map(|line| line.trim().strip_prefix("sed -i '")).expect("a sed command");
    let (script, file) = edit.split_once("' ").expect("a script and a file");
    assert_eq!(file, CONFIG);
    fs::write(dir.path("pennypost.toml"), sample()).expect("the file is written");
    let script = script.replace("YOUR.DOMAIN", "iit.edu");
    let edited = Command::new("sed").args(["-i", &script]).arg(dir.path("pennypost.toml")).status();
    assert!(edited.expect("sed is installed").success());

    let commands: Vec<&str> = README
        .lines()
        .filter_map(|line| line.strip_prefix("    pennypost ")?.strip_suffix(&format!(" --config {CONFIG}")))
        .collect();
    for (command, expected) in [
        ("alias add sales ag gb", "sales"),
        ("dns", "iit.edu. 3600 IN MX 10 mail.iit.edu."),
        ("queue list", "the queue is empty"),
        ("check", "not issued by https://acme-v02.api.letsencrypt.org/directory yet"),
    ] {
        assert!(commands.contains(&command), "{command} is not in {commands:?}");
        let run = dir.pennypost(&command.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(run.code, Some(0), "{command}: {run:?}");
        assert!(format!("{}{}", run.stdout, run.stderr).contains(expected), "{command}: {run:?}");
    }
}

#[test]
fn readme_command_creates_the_first_account() {
    let lines: Vec<_> = README.lines().filter_map(|line| Some(&line[line.find("user add ag")?..])).collect();
    assert!(lines.len() >= 2, "one for systemd, one for the container");
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
        let [command @ .., "--config", CONFIG] = &words[..] else { panic!("{line}") };
        let dir = TestDir::new();
        fs::write(dir.path("pennypost.toml"), sample()).expect("the file is written");
        fs::write(dir.path("data/User.txt"), "").expect("the file is written");
        let made = dir.pennypost(&[command, &["--password-stdin"]].concat(), "penny\n");
        assert_eq!(made.code, Some(0), "{made:?}");
        assert!(
            fs::read_to_string(dir.path("data/User.txt"))
                .expect("the path exists")
                .starts_with("ag $argon2id$")
        );
    }
}

/// Runs the script of the action as a runner does.
#[test]
fn catcher_action_reports_the_addresses_of_a_running_catcher() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = dir.path().join("output");
    let (_, script) = ACTION.split_once("run: |\n").expect("the action has a script");
    let arguments = ACTION.split("default: ").nth(2).and_then(|rest| rest.lines().next()).expect("a default");
    let status = Command::new("bash")
        .args(["-e", "-c", &format!("{script}\necho \"pid=$!\" >> \"$GITHUB_OUTPUT\"")])
        .env("PROGRAM", env!("CARGO_BIN_EXE_pennypost"))
        .env("ARGUMENTS", arguments)
        .env("GITHUB_OUTPUT", &output)
        .env("TMPDIR", dir.path())
        .status();
    assert!(status.expect("bash is installed").success());
    let output = fs::read_to_string(output).expect("the script has written its output");
    let connected = [value(&output, "web=http://"), value(&output, "smtp=")].map(TcpStream::connect);
    send_signal(value(&output, "pid=").parse().expect("a number"), "-TERM");
    assert!(connected.iter().all(Result::is_ok), "{connected:?}");
    assert!(value(&output, "ca=").ends_with(".pem"), "{output}");
}
