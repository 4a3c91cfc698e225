//! The examples of `pennypost catch`, and other programs that send to it. `cargo xtask setup` installs them; a missing program fails
//! its test.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::catch::{Catcher, MESSAGE};
use support::{ProgramOutput, is_installed, run_program};

fn run(program: &str, arguments: &[&str], input: &str) -> ProgramOutput {
    assert!(is_installed(program), "{program} is missing; `cargo xtask setup` installs it");
    let mut command = Command::new(program);
    command.args(arguments).env("PENNYPOST", env!("CARGO_BIN_EXE_pennypost"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output = run_program(&mut command, input.as_bytes());
    assert_eq!(output.code, Some(0), "{program}: {output:?}");
    output
}

#[test]
fn python_example_passes() {
    let output = run("python3", &["-B", "-m", "unittest", "examples/test_confirmation.py"], "");
    assert!(output.stderr.contains("Ran 1 test") && output.stderr.contains("OK"), "{output:?}");
}

#[test]
fn node_example_passes() {
    let output = run("node", &["--test", "examples/confirmation.test.mjs"], "");
    assert!(output.stdout.contains("# pass 1") || output.stdout.contains("\u{2139} pass 1"), "{output:?}");
}

#[test]
fn smtplib_sends_with_starttls_and_login() {
    let catcher = Catcher::start(&[]);
    let script = format!(
        "import smtplib, ssl\n\
         with smtplib.SMTP('{}', {}) as server:\n    \
             server.starttls(context=ssl.create_default_context(cafile='{}'))\n    \
             server.login('anyone', 'any password')\n    \
             server.sendmail('ann@a.example', ['bob@b.example', 'carl@c.example'], 'Subject: from smtplib\\n\\nbody\\n')\n",
        "localhost",
        catcher.smtp.port(),
        catcher.ready["ca"].as_str().expect("a path")
    );
    run("python3", &["-c", &script], "");
    let mail = catcher.json("GET", "/api/v1/wait?to=carl@c.example");
    assert_eq!((&mail["subject"], &mail["session"]["user"]), (&json!("from smtplib"), &json!("anyone")));
    assert_eq!(mail["session"]["tls"], "TLSv1.3");
}

#[test]
fn curl_sends_a_file_with_a_login() {
    let catcher = Catcher::start(&[]);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mail");
    fs::write(&path, MESSAGE).expect("the file is written");
    let url = format!("smtp://{}/client.example", catcher.smtp);
    let path = path.to_str().expect("UTF-8");
    run(
        "curl",
        &[
            "-sS",
            &url,
            "-u",
            "user:x",
            "--mail-from",
            "a@a.example",
            "--mail-rcpt",
            "bob@b.example",
            "-T",
            path,
        ],
        "",
    );
    let mail = catcher.json("GET", "/api/v1/wait?to=bob@b.example");
    assert_eq!((&mail["session"]["user"], &mail["codes"]), (&json!("user"), &json!(["482913"])));
}

#[test]
fn swaks_sends_over_tls() {
    let catcher = Catcher::start(&[]);
    let port = catcher.smtp.port().to_string();
    let arguments = [
        "--server",
        "127.0.0.1",
        "--port",
        &port,
        "--tls",
        "--auth",
        "LOGIN",
        "--auth-user",
        "u",
        "--auth-password",
        "p",
    ];
    run("swaks", &[&arguments[..], &["--from", "a@a.example", "--to", "bob@b.example"]].concat(), "");
    let mail = catcher.json("GET", "/api/v1/wait?to=bob@b.example");
    assert_eq!((&mail["session"]["user"], &mail["session"]["protocol"]), (&json!("u"), &json!("ESMTPSA")));
    assert!(mail["session"]["tls"].is_string());
}
