//! Checks of a caught message, and its release to real servers.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use support::catch::{Catcher, HttpResponse, MESSAGE};
use support::mail_host::MailHost;
use support::run_program;
use tempfile::TempDir;

/// A configuration that sends outbound mail to one server.
fn smarthost(address: SocketAddr) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("catch.toml");
    let text =
        format!("[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{address}', tls = 'off' }}\n");
    fs::write(&file, text).expect("the file is written");
    let file = file.to_str().expect("UTF-8").to_owned();
    (directory, file)
}

fn release(catcher: &Catcher, to: &[&str]) -> HttpResponse {
    let body = json!({ "To": to }).to_string();
    catcher.send("POST", "/api/v1/message/latest/release", &["Content-Type: application/json"], &body)
}

#[test]
fn message_is_released_to_permitted_addresses_only() {
    let receiver = Catcher::start(&[]);
    let (_directory, config) = smarthost(receiver.smtp);
    let catcher = Catcher::start(&[
        "--config",
        &config,
        "--release-to",
        "*@team.example",
        "--release-to",
        "boss@b.example",
    ]);
    let message = MESSAGE.replace("Subject: ", "Bcc: secret@b.example\r\nSubject: ").replace("Open", ".Open");
    catcher.deliver("app@a.example", &["customer@b.example"], &message);

    for (to, forbidden) in [
        (&["customer@b.example"][..], "customer@b.example"),
        (&["ann@team.example", "ann@evil-team.example"], "ann@evil-team.example"),
        (&["boss@b.example.evil.example"], "boss@b.example.evil.example"),
    ] {
        let response = release(&catcher, to);
        assert!(response.status == 403 && response.text().contains(forbidden), "{to:?} {response:?}");
    }
    for to in [&[][..], &["ann"]] {
        let response = release(&catcher, to);
        assert_eq!((response.status, &response.json()["field"]), (400, &json!("to")), "{to:?}");
    }
    let response = release(&catcher, &["Ann <ann@team.example>", "boss@b.example"]);
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));

    let mail = receiver.json("GET", "/api/v1/wait?to=ann@team.example&timeout=20s");
    assert_eq!(mail["envelope"]["to"], json!(["ann@team.example", "boss@b.example"]));
    assert_eq!(
        (&mail["envelope"]["from"], &mail["subject"]),
        (&json!("app@a.example"), &json!("Please confirm"))
    );
    assert_eq!(mail["text"], ".Open https://a.example/confirm?token=x1. Your code is 482913.\r\n");
    let raw = receiver.request("GET", "/api/v1/message/latest/raw").text();
    let (received, sent) = raw.split_once("Date: ").expect("the header");
    assert!(received.starts_with("Received: ") && !raw.contains("secret@b.example"), "{raw}");
    assert_eq!(
        format!("Date: {sent}"),
        message.replace("Bcc: secret@b.example\r\n", ""),
        "otherwise as it was sent"
    );
    assert_eq!(receiver.json("GET", "/api/v1/messages")["total"], 1, "the refused releases sent nothing");
    let relay = catcher.json("GET", "/api/v1/webui")["MessageRelay"].clone();
    assert_eq!(
        (&relay["Enabled"], &relay["AllowedRecipients"], &relay["SMTPServer"]),
        (&json!(true), &json!("*@team.example, boss@b.example"), &json!(receiver.smtp.to_string()))
    );
}

#[test]
fn report_about_a_failed_release_is_caught() {
    let host = MailHost::with_script(Ipv4Addr::LOCALHOST, 0, |line| {
        line.starts_with("RCPT").then(|| "550 5.1.1 nobody here".to_owned())
    });
    let (_directory, config) = smarthost(host.address);
    let catcher = Catcher::start(&["--config", &config, "--release-to", "ann@team.example"]);
    let id = catcher.deliver_to("bob@b.example");
    assert_eq!(release(&catcher, &["ann@team.example"]).status, 200);
    let report = catcher.json("GET", &format!("/api/v1/wait?to=ann@a.example&after={id}&timeout=20s"));
    assert!(report["text"].as_str().expect("text").contains("nobody here"), "{report}");
    assert_eq!(report["envelope"]["from"], "");
}

#[test]
fn release_without_a_configuration_is_refused() {
    let catcher = Catcher::start(&[]);
    catcher.deliver_to("bob@b.example");
    let response = release(&catcher, &["bob@b.example"]);
    let error = response.json()["error"].as_str().expect("a sentence").to_owned();
    assert!(
        response.status == 403 && error.contains("--config") && error.contains("--release-to"),
        "{error}"
    );
    assert_eq!(catcher.json("GET", "/api/v1/webui")["MessageRelay"]["Enabled"], false);

    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.toml");
    fs::write(&empty, "").expect("the file is written");
    let (empty, missing) = (empty.to_str().expect("UTF-8"), directory.path().join("missing.toml"));
    let ports = ["--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0"];
    for (arguments, part) in [
        (&["--config", empty, "--release-to", "a@b.example"][..], "[outbound]"),
        (&["--config", missing.to_str().expect("UTF-8"), "--release-to", "a@b.example"], "missing.toml"),
        (&["--config", empty], "--release-to"),
        (&["--release-to", "a@b.example"], "--config"),
        (&["--config", empty, "--release-to", "*"], "*@example.com"),
    ] {
        let output = run_program(&mut Catcher::command(&[arguments, &ports].concat()), b"");
        assert!(output.code == Some(2) && output.stderr.contains(part), "{output:?}");
    }
}

/// An HTTP server that records its requests, and answers by their paths.
struct Website {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Website {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&requests);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(stream.try_clone().expect("the socket is cloned")).lines();
                let request = lines.next().and_then(Result::ok).unwrap_or_default();
                let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                all.lock().expect("no thread panics").push(format!("{request} {}", head.join(" ")));
                let response = match path.as_str() {
                    "/gone" => "410 Gone\r\n".to_owned(),
                    "/moved" => "302 Found\r\nLocation: /ok?x=1\r\n".to_owned(),
                    "/loop" => "302 Found\r\nLocation: /loop\r\n".to_owned(),
                    "/inside" => "302 Found\r\nLocation: http://10.0.0.1/\r\n".to_owned(),
                    "/big" => format!("200 OK\r\nX-Big: {}\r\n", "x".repeat(1 << 20)),
                    _ => "200 OK\r\n".to_owned(),
                };
                // A client that goes away is no failure.
                let _ = stream.write_all(format!("HTTP/1.1 {response}Content-Length: 0\r\n\r\n").as_bytes());
            }
        });
        Self { address, requests }
    }
}

/// `path status` of each link.
fn statuses(check: &Value) -> Vec<String> {
    let links = check["Links"].as_array().expect("a list").iter();
    links
        .map(|link| {
            let path =
                link["URL"].as_str().expect("a URL").splitn(4, '/').nth(3).unwrap_or_default().to_owned();
            format!("{path} {}", link["StatusCode"])
        })
        .collect()
}

fn deliver_links(catcher: &Catcher, links: &[String]) {
    let text = MESSAGE.replace("https://a.example/confirm?token=x1.", &links.join(" "));
    assert!(catcher.deliver("app@a.example", &["bob@b.example"], &text).starts_with("250"));
}

#[test]
fn links_are_requested_only_when_the_check_is() {
    let website = Website::start();
    let catcher = Catcher::start(&[]);
    let links = ["ok", "gone", "moved", "loop", "inside", "big"]
        .map(|path| format!("http://{}/{path}", website.address));
    let own = format!("http://{}/api/v1/message/latest/link-check", catcher.web);
    deliver_links(&catcher, &[&links[..], &[own]].concat());
    catcher.json("GET", "/api/v1/mail/latest");
    catcher.request("GET", "/api/v1/message/latest/html-check");
    assert_eq!(*website.requests.lock().expect("no thread panics"), [""; 0]);

    let check = catcher.json("GET", "/api/v1/message/latest/link-check");
    let own = "api/v1/message/latest/link-check 403";
    assert_eq!(statuses(&check), ["ok 200", "gone 410", "moved 302", "loop 302", "inside 302", "big 0", own]);
    assert_eq!((&check["Errors"], &check["Links"][1]["Status"]), (&json!(3), &json!("Gone")));
    let check = catcher.json("GET", "/api/v1/message/latest/link-check?follow=true");
    assert_eq!(statuses(&check), ["ok 200", "gone 410", "moved 200", "loop 0", "inside 451", "big 0", own]);
    assert_eq!(check["Links"][4]["Status"], "Blocked private/reserved address");

    let requests = website.requests.lock().expect("no thread panics").clone();
    let first = requests.iter().find(|request| request.starts_with("HEAD /ok ")).expect("a request");
    assert!(first.to_lowercase().contains(&format!("host: {}", website.address)), "{first}");
    assert!(requests.iter().all(|request| request.starts_with("HEAD ")), "{requests:?}");
    assert!(requests.iter().any(|request| request.starts_with("HEAD /ok?x=1 ")), "{requests:?}");
    assert!(requests.len() < 20, "redirects are limited: {requests:?}");
}

#[test]
fn public_catcher_checks_links_in_permitted_networks_only() {
    let website = Website::start();
    let flags = ["--public", "--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0"];
    let links =
        [format!("http://{}/ok", website.address), format!("http://localhost:{}/ok", website.address.port())];
    let catcher = Catcher::start(&flags);
    deliver_links(&catcher, &links);
    let check = catcher.json("GET", "/api/v1/message/latest/link-check");
    assert_eq!(statuses(&check), ["ok 451", "ok 451"]);
    assert_eq!(*website.requests.lock().expect("no thread panics"), [""; 0]);
    let catcher = Catcher::start(&[&flags[..], &["--link-network", "127.0.0.0/8"]].concat());
    deliver_links(&catcher, &links);
    assert_eq!(statuses(&catcher.json("GET", "/api/v1/message/latest/link-check")), ["ok 200", "ok 200"]);
}

#[test]
fn html_check_names_programs_without_support() {
    let catcher = Catcher::start(&[]);
    catcher.deliver_to("bob@b.example");
    let plain = catcher.request("GET", "/api/v1/message/latest/html-check");
    assert!(plain.status == 400 && plain.text().contains("HTML"), "{plain:?}");
    let html = "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p style='display:grid'>x</p><video src=x></video>\r\n";
    catcher.deliver(
        "a@a.example",
        &["bob@b.example"],
        &MESSAGE.replace("\r\n\r\n", &format!("\r\n{html}\r\n")),
    );
    let check = catcher.json("GET", "/api/v1/message/latest/html-check");
    let warning = |slug: &str| {
        let warnings = check["Warnings"].as_array().expect("a list");
        warnings.iter().find(|warning| warning["Slug"] == slug).expect("a warning").clone()
    };
    let grid = warning("css-display-grid");
    assert_eq!(
        (&grid["Category"], &grid["Score"]["Found"], &grid["URL"]),
        (&json!("css"), &json!(1), &json!("https://www.caniemail.com/features/css-display-grid/"))
    );
    let support = |name: &str| {
        let results = grid["Results"].as_array().expect("a list");
        results.iter().find(|result| result["Name"] == name).expect("a result")["Support"].clone()
    };
    assert_eq!((support("Outlook Windows"), support("Apple Mail macOS")), (json!("no"), json!("yes")));
    assert_eq!(warning("html-video")["Title"], "<video> element");
    let total = &check["Total"];
    assert!(total["Supported"].as_f64().is_some_and(|percent| percent < 100.0), "{total}");
    assert_eq!(total["Nodes"], 2);
}
