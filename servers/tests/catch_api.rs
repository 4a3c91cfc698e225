//! The HTTP API of `pennypost catch`: waits, messages, deletion, and access from web pages.

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::TIMEOUT;
use support::catch::{Catcher, HttpResponse, MESSAGE};

fn ids(list: &Value) -> Vec<String> {
    list["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|mail| mail["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn wait_returns_a_stored_message_with_links_and_codes() {
    let catcher = Catcher::start(&[]);
    let html = "<p>Hello</p><p>Your code: <b>123456</b></p><a href='https://a.example/x?a=1&amp;b=2'>go</a>";
    let message = format!(
        "From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nDate: Sun, 22 Nov 2026 20:15:06 +0100\r\nMessage-ID: <1@a.example>\r\n\
         Subject: =?utf-8?q?Best=C3=A4tigung?=\r\nX-Two: 1\r\nx-two: 2\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n\
         --b\r\nContent-Type: text/csv; name=\"a b.csv\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYSxiCg==\r\n--b--\r\n"
    );
    catcher.deliver("bounce@a.example", &["bob@b.example"], &message);
    let mail = catcher
        .json("GET", "/api/v1/wait?to=BOB@b.example&from=ann@a.example&subject=best%C3%A4t&query=123456");
    assert_eq!(
        (&mail["subject"], &mail["html"], &mail["text"]),
        (&json!("Best\u{e4}tigung"), &json!(html), &json!("Hello\n\nYour code: 123456\ngo"))
    );
    assert_eq!(
        (&mail["links"], &mail["codes"]),
        (&json!(["https://a.example/x?a=1&b=2"]), &json!(["123456"]))
    );
    let headers: Vec<_> = mail["headers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|field| format!("{}={}", field["name"], field["value"]))
        .collect();
    assert_eq!(headers[4..7], ["\"Subject\"=\"Best\u{e4}tigung\"", "\"X-Two\"=\"1\"", "\"x-two\"=\"2\""]);
    let attachment = &mail["attachments"][0];
    assert_eq!(
        (&attachment["name"], &attachment["type"], &attachment["size"]),
        (&json!("a b.csv"), &json!("text/csv"), &json!(4))
    );
    let content = catcher.request("GET", attachment["url"].as_str().expect("a path"));
    assert_eq!((content.text().as_str(), content.headers["content-type"].as_str()), ("a,b\n", "text/csv"));
    assert_eq!((&mail["lint"], &mail["faults"]), (&json!([]), &json!([])));
    assert_eq!(catcher.json("GET", "/api/v1/wait?from=bounce@a.example")["id"], mail["id"]);
}

#[test]
fn wait_ends_when_the_message_arrives() {
    let catcher = Catcher::start(&[]);
    let other = catcher.deliver_to("other@b.example");
    let mut waiting = catcher.begin("GET", "/api/v1/wait?to=bob@b.example&timeout=60s", &[], "");
    catcher.deliver_to("third@b.example");
    let start = Instant::now();
    let id = catcher.deliver_to("bob@b.example");
    let response = HttpResponse::read(&mut waiting);
    assert_eq!((response.status, &response.json()["id"]), (200, &json!(id)));
    assert!(start.elapsed() < Duration::from_secs(30) && id > other, "{other} {id}");
}

#[test]
fn timed_out_wait_lists_what_arrived_instead() {
    let catcher = Catcher::start(&[]);
    let first = catcher.deliver_to("one@b.example");
    let second = catcher.deliver_to("two@b.example");
    let response =
        catcher.request("GET", &format!("/api/v1/wait?to=bob@b.example&after={first}&timeout=50ms"));
    assert_eq!(response.status, 408);
    let arrived = response.json()["arrived"].clone();
    assert_eq!(arrived.as_array().expect("a list").len(), 1, "{arrived}");
    assert_eq!(
        (&arrived[0]["id"], &arrived[0]["envelope"]["to"]),
        (&json!(second), &json!(["two@b.example"]))
    );
}

#[test]
fn wait_after_an_id_returns_the_oldest_later_message() {
    let catcher = Catcher::start(&[]);
    let ids: Vec<_> = (0..3).map(|_| catcher.deliver_to("bob@b.example")).collect();
    let wait =
        |query: &str| catcher.json("GET", &format!("/api/v1/wait?to=bob@b.example{query}"))["id"].clone();
    assert_eq!(wait(""), json!(ids[2]), "the newest without `after`");
    assert_eq!(wait(&format!("&after={}", ids[0])), json!(ids[1]));
    catcher.request("DELETE", &format!("/api/v1/mail?after={}", ids[1]));
    assert_eq!(catcher.request("GET", &format!("/api/v1/wait?after={}&timeout=1ms", ids[1])).status, 408);
}

#[test]
fn hundred_concurrent_waits_get_their_own_messages() {
    let catcher = Catcher::start(&[]);
    let mut waits: Vec<_> = (0..100)
        .map(|number| {
            catcher.begin("GET", &format!("/api/v1/wait?to=user{number}@b.example&timeout=60s"), &[], "")
        })
        .collect();
    let mut smtp = catcher.smtp();
    smtp.command("EHLO client.example");
    for number in (0..100).rev() {
        assert!(
            smtp.deliver("a@a.example", &[&format!("user{number}@b.example")], MESSAGE.as_bytes())
                .starts_with("250")
        );
    }
    for (number, wait) in waits.iter_mut().enumerate() {
        let response = HttpResponse::read(wait);
        assert_eq!(response.json()["envelope"]["to"], json!([format!("user{number}@b.example")]));
    }
}

#[test]
fn aborted_wait_frees_its_connection() {
    let catcher = Catcher::start(&[]);
    catcher.json("GET", "/api/v1/info");
    let before = catcher.open_files();
    let waits: Vec<_> = (0..50).map(|_| catcher.begin("GET", "/api/v1/wait?timeout=5m", &[], "")).collect();
    let start = Instant::now();
    // The connection of the first request may end in between.
    while catcher.open_files() < before + 49 {
        assert!(start.elapsed() < TIMEOUT, "the waits are not open");
    }
    drop(waits);
    while catcher.open_files() > before {
        assert!(start.elapsed() < TIMEOUT, "{} files are open, {before} were before", catcher.open_files());
    }
}

#[test]
fn delete_with_a_query_returns_what_it_deleted() {
    let catcher = Catcher::start(&[]);
    let (one, two) = (catcher.deliver_to("one@b.example"), catcher.deliver_to("two@b.example"));
    let deleted = catcher.json("DELETE", "/api/v1/mail?to=one@b.example");
    assert_eq!((ids(&deleted), &deleted["count"]), (vec![one.clone()], &json!(1)));
    assert_eq!(ids(&catcher.json("DELETE", "/api/v1/mail?to=one@b.example")), [""; 0]);
    assert_eq!(catcher.request("GET", &format!("/api/v1/mail/{one}")).status, 404);
    assert_eq!(ids(&catcher.json("GET", "/api/v1/mail")), std::slice::from_ref(&two));
    assert_eq!(ids(&catcher.json("DELETE", "/api/v1/mail")), [two]);
}

#[test]
fn latest_message_is_selected_by_the_parameters_of_a_list() {
    let catcher = Catcher::start(&[]);
    let one = catcher.deliver_to("one@b.example");
    let two = catcher.deliver_to("two@b.example");
    let latest = |query: &str| catcher.json("GET", &format!("/api/v1/mail/latest{query}"))["id"].clone();
    assert_eq!(latest(""), json!(two));
    assert_eq!(latest("?to=one@b.example"), json!(one));
    assert_eq!(latest("?query=bcc:one&subject=confirm&from=ann@a.example"), json!(one));
    assert_eq!(catcher.request("GET", "/api/v1/mail/latest?to=three@b.example").status, 404);
    // A message with an id has to match, too.
    assert_eq!(catcher.json("GET", &format!("/api/v1/mail/{one}?to=one@b.example"))["id"], json!(one));
    assert_eq!(catcher.request("GET", &format!("/api/v1/mail/{one}?to=two@b.example")).status, 404);
}

#[test]
fn unparsable_request_is_refused_with_the_field() {
    let catcher = Catcher::start(&[]);
    for (method, path, body, field) in [
        ("GET", "/api/v1/wait?timeout=soon", "", "timeout"),
        ("GET", "/api/v1/wait?to=bob", "", "to"),
        ("GET", "/api/v1/wait?too=bob@b.example", "", "too"),
        ("GET", "/api/v1/wait?after=first", "", "after"),
        ("GET", "/api/v1/mail?limit=many", "", "limit"),
        ("DELETE", "/api/v1/mail?subjct=x", "", "subjct"),
        ("GET", "/api/v1/search", "", "query"),
        ("GET", "/api/v1/search?query=before:x", "", "query"),
        ("GET", "/api/v1/messages?start=-1", "", "start"),
        ("PUT", "/api/v1/messages", "{", "body"),
        ("PUT", "/api/v1/messages", r#"{"IDs":"a"}"#, "ids"),
        ("PUT", "/api/v1/messages", r#"{"IDs":["a"],"Search":"b"}"#, "search"),
        ("DELETE", "/api/v1/messages", "IDs=", "body"),
        ("PUT", "/api/v1/tags/none", r#"{"Name":"x"}"#, "tag"),
        ("PUT", "/api/v1/faults", r#"[{"command":"DATA"}]"#, "faults"),
        ("PUT", "/api/v1/chaos", r#"{"Sender":{"ErrorCode":1}}"#, "body"),
        ("GET", "/api/v1/message/latest?query=is:x", "", "query"),
        ("GET", "/api/v1/mail/latest?to=bob", "", "to"),
        ("GET", "/api/v1/mail/01JD8W?too=bob@b.example", "", "too"),
    ] {
        let response = catcher.send(method, path, &["Content-Type: application/json"], body);
        assert_eq!(
            (response.status, &response.json()["field"]),
            (400, &json!(field)),
            "{method} {path} {response:?}"
        );
        assert!(
            response.json()["error"].as_str().expect("a sentence").contains(field),
            "{}",
            response.text()
        );
    }
    for path in
        ["/api/v1/nothing", "/api/v1/message/none", "/api/v1/mail/latest", "/view/latest.html", "/view/x"]
    {
        let response = catcher.request("GET", path);
        assert!(response.status == 404 && response.json()["error"].is_string(), "{path} {response:?}");
    }
    assert_eq!(catcher.request("POST", "/api/v1/wait").status, 405);
}

#[test]
fn page_of_another_origin_is_refused_unless_allowed() {
    let catcher = Catcher::start(&["--cors", "http://app.example:3000"]);
    let get = |headers: &[&str]| catcher.send("GET", "/api/v1/messages", headers, "");
    let own = format!("Origin: http://{}", catcher.web);
    for headers in [&[][..], &[own.as_str()], &["Sec-Fetch-Site: same-origin"], &["Sec-Fetch-Site: none"]] {
        assert_eq!(get(headers).status, 200, "{headers:?}");
    }
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    assert_eq!(catcher.send("GET", "/", &link, "").status, 200);
    for headers in [
        &["Origin: http://evil.example"][..],
        &["Origin: null"],
        &["Origin: http://localhost:1"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &["Sec-Fetch-Site: same-site"],
    ] {
        let response = get(headers);
        assert!(response.status == 403 && response.text().contains("--cors"), "{headers:?} {response:?}");
        assert!(!response.headers.contains_key("access-control-allow-origin"));
        assert_eq!(catcher.send("DELETE", "/api/v1/messages", headers, "").status, 403);
    }
    let allowed = ["Origin: http://app.example:3000"];
    let response = get(&allowed);
    assert_eq!(
        (response.status, response.headers["access-control-allow-origin"].as_str()),
        (200, "http://app.example:3000")
    );
    let preflight = catcher.send("OPTIONS", "/api/v1/messages", &allowed, "");
    assert!(
        preflight.status == 204 && preflight.headers["access-control-allow-methods"].contains("DELETE"),
        "{preflight:?}"
    );
    let open = Catcher::start(&["--cors", "*"]);
    let response = open.send("GET", "/api/v1/messages", &["Origin: http://any.example"], "");
    assert_eq!(
        (response.status, response.headers["access-control-allow-origin"].as_str()),
        (200, "http://any.example")
    );
}

#[test]
fn rebound_host_name_is_refused_unless_named() {
    let catcher = Catcher::start(&["--name", "mail.test"]);
    for host in ["localhost:8025", "127.0.0.1", "[::1]:8025", "mail.test", "MAIL.test:8025"] {
        assert_eq!(
            catcher.send("GET", "/api/v1/messages", &[&format!("Host: {host}")], "").status,
            200,
            "{host}"
        );
    }
    for host in ["evil.example", "localhost.evil.example", "mail.test.evil.example:8025", ""] {
        let response = catcher.send("GET", "/api/v1/messages", &[&format!("Host: {host}")], "");
        assert!(response.status == 403 && response.text().contains("--name"), "{host} {response:?}");
    }
}

#[test]
fn request_head_over_the_limit_and_silent_client_do_no_harm() {
    let catcher = Catcher::start(&[]);
    let mut stream = catcher.begin("GET", &format!("/api/v1/messages?x={}", "x".repeat(20 << 10)), &[], "");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the catcher answers");
    assert!(response.starts_with("HTTP/1.1 414") || response.starts_with("HTTP/1.1 431"), "{response}");
    let _silent = std::net::TcpStream::connect(catcher.web).expect("the catcher accepts");
    assert_eq!(catcher.request("GET", "/livez").status, 200);
}

#[test]
fn built_page_is_served_with_a_mark_and_the_api_keeps_its_errors() {
    let page = tempfile::tempdir().expect("a directory");
    let html = "<html><head><title>Pennypost</title></head><script>start()</script></html>";
    std::fs::write(page.path().join("index.html"), html).expect("the file is written");
    std::fs::write(page.path().join("a.js"), "start()").expect("the file is written");
    let catcher = Catcher::start(&["--root", page.path().to_str().expect("UTF-8")]);
    let index = catcher.request("GET", "/");
    assert_eq!(index.text(), html.replace("<head>", "<head><meta name=\"pennypost-catch\">"));
    assert!(index.headers["content-security-policy"].contains("script-src 'self'"), "{:?}", index.headers);
    assert_eq!(catcher.request("GET", "/a.js").text(), "start()");
    assert_eq!(catcher.request("GET", "/none.js").status, 404);
    let unknown = catcher.request("GET", "/api/v1/nothing");
    assert!(unknown.status == 404 && unknown.json()["error"].is_string(), "{unknown:?}");
    assert_eq!(catcher.request("POST", "/api/v1/wait").status, 405);
    let rebound = catcher.send("GET", "/", &["Host: evil.example"], "");
    assert_eq!(rebound.status, 403);
}

#[test]
fn recipients_are_listed_with_their_messages() {
    let catcher = Catcher::start(&[]);
    for to in [&["one@b.example"][..], &["two@b.example", "TWO@b.example", "one@b.example"]] {
        catcher.deliver("ann@a.example", to, MESSAGE);
    }
    let id = catcher.json("GET", "/api/v1/mail/latest")["id"].clone();
    catcher.put("/api/v1/messages", &json!({ "IDs": [id], "Read": true }).to_string());
    let list = catcher.json("GET", "/api/v1/recipients");
    assert_eq!(list["count"], 2);
    let mut recipients = list["recipients"].as_array().expect("a list").clone();
    recipients.sort_by_key(|recipient| recipient["address"].to_string());
    assert_eq!(
        recipients,
        [
            json!({ "address": "one@b.example", "messages": 2, "unread": 1 }),
            json!({ "address": "two@b.example", "messages": 1, "unread": 0 })
        ]
    );
}
