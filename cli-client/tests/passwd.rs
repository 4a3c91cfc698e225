//! `mail-client passwd`, against `pennypost serve`.

mod support;

use support::{ProgramOutput, Servers, run_program};

/// Runs the command as gb. `input` is its standard input.
fn passwd(servers: &Servers, arguments: &[&str], input: &str) -> ProgramOutput {
    let web = servers.listeners["web"].to_string();
    let mut client = servers.client();
    client.args(["passwd", "--user", "gb", "--web", &web, "--password-stdin"]).args(arguments);
    run_program(&mut client, input.as_bytes())
}

#[test]
fn user_changes_the_password() {
    let servers = Servers::start_with_web("");
    let refused = passwd(&servers, &[], "wrong\nnew\n");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("not changed: wrong user name or password"), "{refused:?}");
    let refused = passwd(&servers, &[], "other\n\n");
    assert!(refused.code == Some(1) && refused.stderr.contains("a password has"), "{refused:?}");
    let refused = passwd(&servers, &[], "other\n");
    assert!(refused.code == Some(2) && refused.stderr.contains("no new password"), "{refused:?}");

    let changed = passwd(&servers, &[], "other\na new password\n");
    assert!(changed.code == Some(0) && changed.stdout == b"changed the password of gb\n", "{changed:?}");
    let stat =
        run_program(servers.client().args(["stat", "--user", "gb", "--password-stdin"]), b"a new password\n");
    assert_eq!(stat.code, Some(0), "{stat:?}");
    assert_eq!(servers.run_as_gb(&["stat"]).code, Some(1));

    let file = servers.directory.path().join("new");
    std::fs::write(&file, "from a file\n").expect("the file is written");
    let file = file.to_str().expect("UTF-8");
    let changed = passwd(&servers, &["--new-password-file", file], "a new password\n");
    assert_eq!(changed.code, Some(0), "{changed:?}");
}

#[test]
fn listener_with_tls_needs_a_trusted_certificate() {
    let servers = Servers::start_with_web("[tls]\nself_signed = true\n");
    let refused = passwd(&servers, &["--tls", "never"], "other\nnew\n");
    assert!(refused.code == Some(1) && refused.stderr.contains("pass --tls implicit"), "{refused:?}");
    let refused = passwd(&servers, &["--tls", "implicit"], "other\nnew\n");
    assert!(refused.code == Some(1) && refused.stderr.contains("is not trusted"), "{refused:?}");
    let arguments = ["--tls", "implicit", "--fingerprint", &servers.fingerprint];
    let changed = passwd(&servers, &arguments, "other\nnew\n");
    assert_eq!(changed.code, Some(0), "{changed:?}");
}

#[test]
fn other_server_is_no_page() {
    let servers = Servers::start_with_web("");
    for address in [servers.smtp, servers.pop3] {
        let mut client = servers.client();
        let address = address.to_string();
        client.args(["passwd", "--user", "gb", "--web", &address, "--password-stdin"]);
        let refused = run_program(&mut client, b"other\nnew\n");
        assert!(refused.code == Some(1) && refused.stderr.contains("no HTTP response"), "{refused:?}");
    }
}
