//! The program `ws-bridge`: startup, startup errors, shutdown.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn program(folder: &tempfile::TempDir, config: &str) -> Command {
    let path = folder.path().join("pennypost.toml");
    fs::write(&path, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws-bridge"));
    command.arg("--config").arg(path).env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
fn startup_error_is_printed_with_exit_code_2() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    for (config, part) in [
        ("", "proxy_listen"),
        ("[web]\nlisten = 'off'", "--web"),
        ("[web]\norigins = ['*']", "pennypost.toml, line 2"),
        (&format!("[web]\nlisten = '{taken}'\ntargets = {{ a = {{ address = '127.0.0.1:1' }} }}"), &taken),
    ] {
        let output = program(&folder, config).output().expect("the program was built");
        let printed = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{config}: {printed}");
        assert!(printed.contains(part) && !printed.contains("listening"), "{config}: {printed}");
    }
}

#[test]
fn program_logs_its_address_and_exits_on_sigterm() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(folder.path().join("dist")).expect("made");
    fs::write(folder.path().join("dist/index.html"), "the page").expect("written");
    let mut child = program(&folder, "[smtp]\nproxy_listen = ['127.0.0.1:2526']")
        .args(["--web", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut log = BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok);
    let line = log.find(|line| line.contains("listening")).expect("the program listens");
    assert!(line.contains("protocol=\"web\""), "{line}");
    let (_, address) = line.split_once("address=").expect("an address");
    let mut stream = TcpStream::connect(address.trim()).expect("the program accepts");
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text");
    assert!(response.ends_with("the page"), "{response}");

    let killed =
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill is installed");
    assert!(killed.success());
    assert!(log.any(|line| line.contains("stopped")));
    assert_eq!(child.wait().expect("waited for").code(), Some(0));
}

const SERVE: &str = "[smtp]\nproxy_listen = ['127.0.0.1:2526']\n[web]\nlisten = '127.0.0.1:0'\n";

fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill is installed").success());
}

/// Requests a target that does not exist, which logs a warning. Returns the status line.
fn refused_upgrade(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the program accepts");
    write!(stream, "GET /ws/none HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("written");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text");
    response.lines().next().unwrap_or_default().to_owned()
}

/// The child exits with 0 within twenty seconds, or is killed.
fn expect_exit(mut child: std::process::Child) {
    signal(&child, "-TERM");
    let start = std::time::Instant::now();
    while start.elapsed().as_secs() < 20 {
        if let Some(status) = child.try_wait().expect("the child exists") {
            assert_eq!(status.code(), Some(0), "{status}");
            return;
        }
        std::thread::yield_now();
    }
    child.kill().expect("the process is killed");
    child.wait().expect("waited for");
    panic!("the program ignores SIGTERM");
}

#[test]
fn unread_or_closed_log_pipe_and_hangup_leave_the_program_serving() {
    for is_closed in [false, true] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut child =
            program(&folder, SERVE).stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(log.read_line(&mut line).expect("text") > 0, "the program has exited");
        }
        let (_, address) = line.trim_end().split_once("address=").expect("an address");
        let unread = if is_closed { None } else { Some(log) };
        signal(&child, "-HUP");
        // More lines than a pipe holds.
        for _ in 0..1_500 {
            let status = refused_upgrade(address);
            assert!(status.starts_with("HTTP/1.1 4"), "{status}");
        }
        expect_exit(child);
        drop(unread);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn startup_error_with_a_full_log_disk_exits_with_2() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has the device");
    let status =
        program(&folder, "[web]\nlisten = 'off'").stderr(full).status().expect("the program was built");
    assert_eq!(status.code(), Some(2));
}
