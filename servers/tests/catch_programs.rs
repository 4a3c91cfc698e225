//! The examples of `pennypost catch`, and other programs that send to it. `cargo xtask setup` installs them; a missing program fails
//! its test.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::catch::{Catcher, MESSAGE};
use support::{ProgramOutput, is_installed, run_program};

/// A directory below `target/` into which `cargo xtask setup` installs packages.
fn packages(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below the target directory");
    target.join(name)
}

fn run(program: &str, arguments: &[&str], input: &str) -> ProgramOutput {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    run_in(&directory, program, arguments, input)
}

fn run_in(directory: &Path, program: &str, arguments: &[&str], input: &str) -> ProgramOutput {
    assert!(is_installed(program), "{program} is missing; `cargo xtask setup` installs it");
    let mut command = Command::new(program);
    command.args(arguments).env("PENNYPOST", env!("CARGO_BIN_EXE_pennypost"));
    command.current_dir(directory).env("PYTHONPATH", packages("python"));
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
fn aiosmtplib_sends_several_mails_with_starttls_and_login() {
    let catcher = Catcher::start(&[]);
    let script = format!(
        "import asyncio, ssl, aiosmtplib\n\
         from email.message import EmailMessage\n\
         async def send(number):\n    \
             mail = EmailMessage()\n    \
             mail['From'], mail['To'], mail['Subject'] = 'ann@a.example', f'b{{number}}@b.example', 'from aiosmtplib'\n    \
             mail.set_content('Gr\u{fc}\u{df}e')\n    \
             context = ssl.create_default_context(cafile='{}')\n    \
             await aiosmtplib.send(mail, hostname='localhost', port={}, start_tls=True, tls_context=context, username='any', password='x')\n\
         async def main():\n    \
             await asyncio.gather(*(send(number) for number in range(5)))\n\
         asyncio.run(main())\n",
        catcher.ready["ca"].as_str().expect("a path"),
        catcher.smtp.port()
    );
    run("python3", &["-c", &script], "");
    for number in 0..5 {
        let mail = catcher.json("GET", &format!("/api/v1/wait?to=b{number}@b.example"));
        assert_eq!((&mail["subject"], &mail["session"]["user"]), (&json!("from aiosmtplib"), &json!("any")));
        assert_eq!(
            (&mail["text"], &mail["session"]["tls"]),
            (&json!("Gr\u{fc}\u{df}e\r\n"), &json!("TLSv1.3"))
        );
    }
}

#[test]
fn nodemailer_sends_html_and_an_attachment_over_tls() {
    let catcher = Catcher::start(&[]);
    let script = format!(
        "import {{ readFileSync }} from 'node:fs';
         import nodemailer from 'nodemailer';
         const transport = nodemailer.createTransport({{
           host: 'localhost', port: {}, requireTLS: true, tls: {{ ca: readFileSync('{}') }}, auth: {{ user: 'any', pass: 'x' }},
         }});
         const info = await transport.sendMail({{
           from: 'App <app@a.example>', to: ['bob@b.example', 'j\u{f6}rg@b.example'], subject: 'from nodemailer',
           text: 'Your code is 482913.', html: '<p>Your code is <b>482913</b>.</p>',
           attachments: [{{ filename: 'notes.txt', content: 'notes' }}],
         }});
         if (info.accepted.length !== 2) throw new Error(JSON.stringify(info));
         transport.close();",
        catcher.smtp.port(),
        catcher.ready["ca"].as_str().expect("a path")
    );
    run_in(&packages("npm"), "node", &["--input-type=module", "-e", &script], "");
    let mail = catcher.json("GET", "/api/v1/wait?to=bob@b.example");
    assert_eq!(mail["envelope"]["to"], json!(["bob@b.example", "j\u{f6}rg@b.example"]));
    assert_eq!((&mail["codes"], &mail["attachments"][0]["name"]), (&json!(["482913"]), &json!("notes.txt")));
    assert_eq!((&mail["session"]["user"], &mail["session"]["tls"]), (&json!("any"), &json!("TLSv1.3")));
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
