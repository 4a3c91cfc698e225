//! `mail-client queue`, against `pennypost serve`.

mod support;

use std::time::Instant;

use support::{ProgramOutput, Servers, TIMEOUT, refused_address, run_program};

/// Runs the command as gb.
fn queue(servers: &Servers, arguments: &[&str], password: &str) -> ProgramOutput {
    let web = servers.listeners["web"].to_string();
    let mut client = servers.client();
    client.args(["queue", "--user", "gb", "--web", &web, "--password-stdin"]).args(arguments);
    run_program(&mut client, format!("{password}\n").as_bytes())
}

#[test]
fn user_sees_the_next_attempt_and_the_reason() {
    let smarthost = refused_address();
    let servers = Servers::start_with_web(&format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{smarthost}', tls = 'off' }}\n"
    ));
    let empty = queue(&servers, &[], "other");
    assert!(empty.code == Some(0) && empty.text() == "no message waits to be sent\n", "{empty:?}");
    let sent = servers.run_as_gb(&[
        "send",
        "--from",
        "gb@iit.edu",
        "--to",
        "x@example.net",
        "--to",
        "y@example.net",
        "--subject",
        "The plans",
    ]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let start = Instant::now();
    let shown = loop {
        let shown = queue(&servers, &[], "other");
        assert_eq!(shown.code, Some(0), "{shown:?}");
        if shown.text().contains("next attempt at") {
            break shown;
        }
        assert!(start.elapsed() < TIMEOUT, "{shown:?}");
    };
    let lines: Vec<&str> = shown.text().lines().collect();
    let [message, first, second] = lines[..] else { panic!("{shown:?}") };
    assert!(message.ends_with("  The plans"), "{shown:?}");
    for (line, address) in [(first, "x@example.net"), (second, "y@example.net")] {
        let expected = format!("    Waiting to be sent to {address}: next attempt at 20");
        assert!(line.starts_with(&expected) && line.contains("cannot be reached"), "{shown:?}");
    }
    let json = queue(&servers, &["--json"], "other");
    let json: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
    assert_eq!(json["messages"][0]["recipients"][1]["address"], "y@example.net");
    assert_eq!(json["complete"], true);

    let refused = queue(&servers, &[], "wrong");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("not listed: wrong user name or password"), "{refused:?}");
}

#[test]
fn other_server_is_no_page() {
    let servers = Servers::start_with_web("");
    let mut client = servers.client();
    let address = servers.pop3.to_string();
    client.args(["queue", "--user", "gb", "--web", &address, "--password-stdin"]);
    let refused = run_program(&mut client, b"other\n");
    assert!(refused.code == Some(1) && refused.stderr.contains("no HTTP response"), "{refused:?}");
}
