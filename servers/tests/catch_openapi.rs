//! The description of the catcher's HTTP API, compared with real answers: by requests for every documented answer, and by schemathesis.

mod support;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::catch::{Catcher, HttpResponse};
use support::mail_host::MailHost;
use support::run_program;

/// A message with HTML, whose link is not permitted, and an attachment, whose part is `2`.
const RICH: &str = "Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nFrom: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\n\
    Subject: Report\r\nMessage-ID: <7@a.example>\r\nX-Tags: alpha\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/html\r\n\r\n<p style='display:flex'>The <a href='http://10.0.0.1/'>report</a></p>\r\n\
    --m\r\nContent-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment\r\n\r\na,b\r\n--m--\r\n";

/// Documented answers without a request: a WebSocket, and the time of the shutdown. Other tests cover them.
const NOT_REQUESTED: [&str; 3] = ["GET /api/events 101", "GET /api/v1/wait 503", "GET /readyz 503"];

/// Method, route, its parameters, query, body, status. `{new}` is the id of a message of its own.
type Exchange = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, u16);

const EXCHANGES: &[Exchange] = &[
    ("GET", "/", &[], "", "", 200),
    ("GET", "/livez", &[], "", "", 200),
    ("GET", "/readyz", &[], "", "", 200),
    ("GET", "/api/events", &[], "", "", 400),
    ("GET", "/api/v1/openapi.json", &[], "", "", 200),
    ("GET", "/api/v1/wait", &[], "?to=bob@b.example&query=report", "", 200),
    ("GET", "/api/v1/wait", &[], "?timeout=soon", "", 400),
    ("GET", "/api/v1/wait", &[], "?to=nobody@b.example&timeout=10ms", "", 408),
    ("GET", "/api/v1/mail", &[], "?to=bob@b.example&limit=1", "", 200),
    ("GET", "/api/v1/mail", &[], "?limit=x", "", 400),
    ("GET", "/api/v1/mail/{id}", &["{new}"], "", "", 200),
    ("GET", "/api/v1/mail/{id}", &["latest"], "?to=bob@b.example", "", 200),
    ("GET", "/api/v1/mail/{id}", &["latest"], "?to=bob", "", 400),
    ("GET", "/api/v1/mail/{id}", &["none"], "", "", 404),
    ("GET", "/api/v1/recipients", &[], "", "", 200),
    ("GET", "/api/v1/sessions", &[], "", "", 200),
    (
        "PUT",
        "/api/v1/faults",
        &[],
        "",
        r#"[{"command":"RCPT","for":"x@y.example","reply":"450 later","times":2}]"#,
        200,
    ),
    ("PUT", "/api/v1/faults", &[], "", r#"[{"command":"RCPT"}]"#, 400),
    ("GET", "/api/v1/faults", &[], "", "", 200),
    ("DELETE", "/api/v1/faults", &[], "", "", 200),
    ("GET", "/api/v1/messages", &[], "?limit=1", "", 200),
    ("GET", "/api/v1/messages", &[], "?start=x", "", 400),
    ("PUT", "/api/v1/messages", &[], "", r#"{"IDs":["{new}"],"Read":true}"#, 200),
    ("PUT", "/api/v1/messages", &[], "", "{", 400),
    ("GET", "/api/v1/search", &[], "?query=report", "", 200),
    ("GET", "/api/v1/search", &[], "", "", 400),
    ("GET", "/api/v1/tags", &[], "", "", 200),
    ("PUT", "/api/v1/tags", &[], "", r#"{"IDs":["{new}"],"Tags":["beta"]}"#, 200),
    ("PUT", "/api/v1/tags", &[], "", r#"{"Tags":1}"#, 400),
    ("PUT", "/api/v1/tags/{tag}", &["beta"], "", r#"{"Name":"gamma"}"#, 200),
    ("PUT", "/api/v1/tags/{tag}", &["none"], "", r#"{"Name":"x"}"#, 400),
    ("DELETE", "/api/v1/tags/{tag}", &["gamma"], "", "", 200),
    ("DELETE", "/api/v1/tags/{tag}", &["none"], "", "", 400),
    ("GET", "/api/v1/message/{id}", &["{new}"], "", "", 200),
    ("GET", "/api/v1/message/{id}", &["latest"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}", &["none"], "", "", 404),
    ("GET", "/api/v1/message/{id}/headers", &["{new}"], "", "", 200),
    ("GET", "/api/v1/message/{id}/headers", &["latest"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}/headers", &["none"], "", "", 404),
    ("GET", "/api/v1/message/{id}/raw", &["{new}"], "", "", 200),
    ("GET", "/api/v1/message/{id}/raw", &["latest"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}/raw", &["none"], "", "", 404),
    ("GET", "/api/v1/message/{id}/part/{part}", &["{new}", "2"], "", "", 200),
    ("GET", "/api/v1/message/{id}/part/{part}", &["latest", "2"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}/part/{part}", &["{new}", "9"], "", "", 404),
    ("GET", "/api/v1/message/{id}/part/{part}/thumb", &["{new}", "2"], "", "", 400),
    ("GET", "/api/v1/message/{id}/html-check", &["{new}"], "", "", 200),
    ("GET", "/api/v1/message/{id}/html-check", &["latest"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}/html-check", &["none"], "", "", 404),
    ("GET", "/api/v1/message/{id}/link-check", &["{new}"], "?follow=true", "", 200),
    ("GET", "/api/v1/message/{id}/link-check", &["latest"], "?query=is:x", "", 400),
    ("GET", "/api/v1/message/{id}/link-check", &["none"], "", "", 404),
    ("GET", "/api/v1/message/{id}/sa-check", &["{new}"], "", "", 400),
    ("POST", "/api/v1/message/{id}/release", &["{new}"], "", r#"{"To":["ann@a.example"]}"#, 200),
    ("POST", "/api/v1/message/{id}/release", &["{new}"], "", r#"{"To":["ann"]}"#, 400),
    ("POST", "/api/v1/message/{id}/release", &["{new}"], "", r#"{"To":["ann@b.example"]}"#, 403),
    ("POST", "/api/v1/message/{id}/release", &["none"], "", r#"{"To":["ann@a.example"]}"#, 404),
    (
        "POST",
        "/api/v1/send",
        &[],
        "",
        r#"{"From":{"Email":"x@a.example"},"To":[{"Email":"y@b.example"}]}"#,
        200,
    ),
    ("POST", "/api/v1/send", &[], "", "{}", 400),
    ("PUT", "/api/v1/chaos", &[], "", r#"{"Sender":{"ErrorCode":451,"Probability":0}}"#, 200),
    ("PUT", "/api/v1/chaos", &[], "", r#"{"Sender":{"ErrorCode":1}}"#, 400),
    ("GET", "/api/v1/chaos", &[], "", "", 200),
    ("GET", "/api/v1/info", &[], "", "", 200),
    ("GET", "/api/v1/webui", &[], "", "", 200),
    ("GET", "/view/{file}", &["{new}.html"], "", "", 200),
    ("GET", "/view/{file}", &["{new}.txt"], "", "", 200),
    ("GET", "/view/{file}", &["latest.txt"], "?query=is:x", "", 400),
    ("GET", "/view/{file}", &["none.html"], "", "", 404),
    ("DELETE", "/api/v1/search", &[], "?query=subject:nothing", "", 200),
    ("DELETE", "/api/v1/search", &[], "", "", 400),
    ("DELETE", "/api/v1/messages", &[], "", r#"{"IDs":["{new}"]}"#, 200),
    ("DELETE", "/api/v1/messages", &[], "", "IDs", 400),
    ("DELETE", "/api/v1/mail", &[], "?to=bob@b.example", "", 200),
    ("DELETE", "/api/v1/mail", &[], "?subjct=x", "", 400),
];

/// `GET /route status`, from the description.
fn documented(description: &Value) -> BTreeSet<String> {
    let mut answers = BTreeSet::new();
    for (route, operations) in description["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for status in operation["responses"].as_object().expect("responses").keys() {
                answers.insert(format!("{} {route} {status}", method.to_uppercase()));
            }
        }
    }
    answers
}

#[test]
fn every_documented_answer_is_given_and_has_its_shape() {
    let (host, directory) =
        (MailHost::start(Ipv4Addr::LOCALHOST, 0), tempfile::tempdir().expect("a directory"));
    let config = directory.path().join("catch.toml");
    let smarthost = format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{}', tls = 'off' }}\n",
        host.address
    );
    std::fs::write(&config, smarthost).expect("the file is written");
    let catcher =
        Catcher::start(&["--config", config.to_str().expect("UTF-8"), "--release-to", "ann@a.example"]);
    let description = catcher.json("GET", "/api/v1/openapi.json");
    let mut given = BTreeSet::from(NOT_REQUESTED.map(str::to_owned));
    for (method, route, parameters, query, body, status) in EXCHANGES {
        assert!(catcher.deliver("ann@a.example", &["bob@b.example"], RICH).starts_with("250"));
        let id = catcher.json("GET", "/api/v1/mail/latest")["id"].as_str().expect("an id").to_owned();
        let mut path = (*route).to_owned();
        for parameter in *parameters {
            let (start, end) = (path.find('{').expect("a parameter"), path.find('}').expect("a parameter"));
            path.replace_range(start..=end, &parameter.replace("{new}", &id));
        }
        let (path, body) = (path + query, body.replace("{new}", &id));
        let response = catcher.send(method, &path, &["Content-Type: application/json"], &body);
        assert_eq!(response.status, *status, "{method} {path}: {response:?}");
        let operation = &description["paths"][route][method.to_lowercase()];
        check_answer(&description, operation, &response)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        given.insert(format!("{method} {route} {status}"));
    }
    assert_eq!(given, documented(&description), "requested and documented");
}

/// Compares an answer with its media type and schema.
fn check_answer(description: &Value, operation: &Value, response: &HttpResponse) -> Result<(), String> {
    let documented = &operation["responses"][response.status.to_string()]["content"];
    let media_type =
        response.headers.get("content-type").map_or("", |value| value.split(';').next().unwrap_or(""));
    let content = [media_type, "*/*"].into_iter().find_map(|name| documented.get(name));
    let content = content.ok_or_else(|| format!("{media_type} is not in {documented}"))?;
    if media_type != "application/json" {
        return Ok(());
    }
    check(description, &content["schema"], &response.json())
        .map_err(|error| format!("{error}: {}", response.text()))
}

/// The keywords of JSON Schema that the description uses in answers.
fn check(description: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return check(description, description.pointer(pointer).expect("the reference exists"), value);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let is_of = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        kind => panic!("unknown type {kind}"),
    };
    if !types.is_empty() && !types.iter().any(is_of) {
        return Err(format!("{value} is not of type {types:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("`{name}` is missing"));
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, value) in object {
            let schema = properties.get(name).ok_or_else(|| format!("`{name}` is not described"))?;
            check(description, schema, value).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    value.as_array().into_iter().flatten().try_for_each(|item| check(description, &schema["items"], item))
}

/// Generated requests, valid and invalid; many more of them with PENNYPOST_LONG=1.
#[test]
fn schemathesis_finds_no_difference() {
    let catcher = Catcher::start(&[]);
    for to in ["bob@b.example", "carl@c.example"] {
        catcher.deliver("ann@a.example", &[to], RICH);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below the target directory");
    let packages = target.join("python");
    assert!(
        packages.join("schemathesis").exists(),
        "`cargo xtask setup` installs schemathesis in {}",
        packages.display()
    );
    let is_long = std::env::var_os("PENNYPOST_LONG").is_some();
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).args(["-m", "schemathesis.cli"]);
    command.args(["run", &format!("http://{}/api/v1/openapi.json", catcher.web), "--no-color"]);
    command.args(["--max-examples", if is_long { "200" } else { "5" }]);
    // Searches, addresses and faults have a syntax that JSON Schema does not express, so that a valid request may be refused.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    // Waits would take most of the time, and a WebSocket has no answer.
    command.args(["--exclude-path", "/api/events", "--request-timeout", "20"]);
    if !is_long {
        command.args([
            "--phases",
            "examples,coverage,fuzzing",
            "--exclude-path",
            "/api/v1/wait",
            "--seed",
            "1",
        ]);
    }
    let output = run_program(command.current_dir(env!("CARGO_TARGET_TMPDIR")), b"");
    assert_eq!(output.code, Some(0), "{}\n{}", output.stdout, output.stderr);
}
