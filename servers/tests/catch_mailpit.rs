//! Mailpit's routes and shapes, as its documentation has them, and its published clients for Node.js and Python.

mod support;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::catch::{Catcher, MESSAGE};
use support::{TIMEOUT, is_installed, run_program};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// A message with an inline image and an attachment.
const RICH: &str = "Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nFrom: Ann <ann@a.example>\r\nTo: Bob <bob+urgent@b.example>\r\n\
    Cc: carl@c.example\r\nReply-To: reply@a.example\r\nSubject: Report\r\nMessage-ID: <7@a.example>\r\nX-Tags: Beta, Alpha\r\n\
    Delivered-To: bob@b.example\r\nList-Unsubscribe: <https://a.example/u>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n\
    --r\r\nContent-Type: text/html\r\n\r\n<p>The report</p><img src=\"cid:logo\">\r\n\
    --r\r\nContent-Type: image/gif; name=logo.gif\r\nContent-ID: <logo>\r\nContent-Disposition: inline\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--r--\r\n\
    --m\r\nContent-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nnotes\r\n--m--\r\n";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn list_has_mailpits_shape() {
    let catcher = Catcher::start(&[]);
    catcher.deliver("bounce@a.example", &["bob+urgent@b.example", "hidden@d.example"], RICH);
    let list = catcher.json("GET", "/api/v1/messages?limit=10");
    assert_eq!(
        keys(&list),
        ["count", "messages", "messages_count", "messages_unread", "start", "tags", "total", "unread"]
    );
    assert_eq!(
        (&list["total"], &list["unread"], &list["tags"]),
        (&json!(1), &json!(1), &json!(["Alpha", "Beta", "urgent"]))
    );
    let message = &list["messages"][0];
    assert_eq!(
        keys(message),
        [
            "Attachments",
            "Bcc",
            "Cc",
            "Created",
            "From",
            "ID",
            "MessageID",
            "Read",
            "ReplyTo",
            "Size",
            "Snippet",
            "Subject",
            "Tags",
            "To",
            "Username"
        ]
    );
    assert_eq!(message["From"], json!({ "Name": "Ann", "Address": "ann@a.example" }));
    assert_eq!(message["To"], json!([{ "Name": "Bob", "Address": "bob+urgent@b.example" }]));
    assert_eq!(
        message["Bcc"],
        json!([{ "Name": "", "Address": "hidden@d.example" }]),
        "a recipient that no field names"
    );
    assert_eq!(
        (&message["MessageID"], &message["Attachments"], &message["Read"]),
        (&json!("7@a.example"), &json!(1), &json!(false))
    );
    assert_eq!((&message["Snippet"], &message["Size"]), (&json!("The report"), &json!(RICH.len())));
    assert!(message["Created"].as_str().expect("a time").ends_with('Z'));
}

#[test]
fn message_has_mailpits_shape_and_becomes_read() {
    let catcher = Catcher::start(&[]);
    catcher.deliver("bounce@a.example", &["bob+urgent@b.example"], RICH);
    let message = catcher.json("GET", "/api/v1/message/latest");
    assert_eq!(
        keys(&message),
        [
            "Attachments",
            "Bcc",
            "Cc",
            "Date",
            "From",
            "HTML",
            "ID",
            "Inline",
            "ListUnsubscribe",
            "MessageID",
            "Read",
            "ReplyTo",
            "ReturnPath",
            "Size",
            "Subject",
            "Tags",
            "Text",
            "To",
            "Username"
        ]
    );
    assert_eq!(
        (&message["ReturnPath"], &message["Date"]),
        (&json!("bounce@a.example"), &json!("2026-11-22T20:15:06+01:00"))
    );
    assert_eq!(
        (&message["Text"], &message["HTML"]),
        (&json!("The report"), &json!("<p>The report</p><img src=\"cid:logo\">"))
    );
    assert_eq!(message["ListUnsubscribe"]["Links"], json!(["https://a.example/u"]));
    let inline = &message["Inline"][0];
    assert_eq!(
        (&inline["PartID"], &inline["ContentID"], &inline["FileName"]),
        (&json!("1.2"), &json!("logo"), &json!("logo.gif"))
    );
    let attachment = &message["Attachments"][0];
    assert_eq!(
        (&attachment["PartID"], &attachment["ContentType"], &attachment["Size"]),
        (&json!("2"), &json!("text/plain"), &json!(5))
    );
    // printf notes | md5sum, sha1sum
    assert_eq!(attachment["Checksums"]["MD5"], "4358b5009c67d0e31d7fbf1663fcd3bf");
    assert_eq!(attachment["Checksums"]["SHA1"].as_str().map(str::len), Some(40));
    let id = message["ID"].as_str().expect("an id");
    assert_eq!(catcher.request("GET", &format!("/api/v1/message/{id}/part/2")).text(), "notes");
    let headers = catcher.json("GET", &format!("/api/v1/message/{id}/headers"));
    assert_eq!(
        (&headers["Message-Id"], &headers["Mime-Version"]),
        (&json!(["<7@a.example>"]), &json!(["1.0"]))
    );
    assert_eq!(catcher.request("GET", &format!("/api/v1/message/{id}/raw")).text(), RICH);
    let html = catcher.request("GET", &format!("/view/{id}.html"));
    // A sandboxed document has no origin, so that a request for the part would be refused.
    assert_eq!(html.text(), "<p>The report</p><img src=\"data:image/gif;base64,R0lG\">");
    let policy = &html.headers["content-security-policy"];
    assert!(policy.contains("sandbox") && policy.contains("img-src data:;"), "{policy}");
    assert_eq!(catcher.request("GET", "/view/latest.txt").text(), "The report");
    assert_eq!(catcher.json("GET", "/api/v1/messages")["unread"], 0);
}

#[test]
fn search_read_state_tags_and_deletion() {
    let catcher = Catcher::start(&[]);
    for to in ["one@b.example", "two@b.example", "three@b.example"] {
        catcher.deliver_to(to);
    }
    let search = |query: &str| catcher.json("GET", &format!("/api/v1/search?query={query}"));
    let found = search("bcc:two");
    assert_eq!((&found["messages_count"], &found["total"]), (&json!(1), &json!(3)));
    let id = found["messages"][0]["ID"].as_str().expect("an id").to_owned();
    assert_eq!(
        catcher.put("/api/v1/messages", &json!({ "IDs": [id], "Read": true }).to_string()).text(),
        "ok"
    );
    assert_eq!(search("is:unread")["messages_count"], 2);
    catcher.put("/api/v1/messages", &json!({ "Search": "bcc:one", "Read": true }).to_string());
    assert_eq!(
        (&search("is:read")["messages_count"], &search("confirm")["messages_unread"]),
        (&json!(2), &json!(1))
    );
    catcher.put("/api/v1/messages", "{}");
    assert_eq!(catcher.json("GET", "/api/v1/messages")["unread"], 3);

    catcher.put("/api/v1/tags", &json!({ "IDs": [id], "Tags": ["b", "a"] }).to_string());
    assert_eq!(catcher.json("GET", "/api/v1/tags"), json!(["a", "b"]));
    catcher.put("/api/v1/tags/a", r#"{"Name":"c d"}"#);
    assert_eq!(search("tag:%22c%20d%22")["messages"][0]["ID"], json!(id));
    catcher.request("DELETE", "/api/v1/tags/c%20d");
    assert_eq!(catcher.json("GET", "/api/v1/tags"), json!(["b"]));

    assert_eq!(catcher.request("DELETE", "/api/v1/search?query=bcc:three").text(), "ok");
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 2);
    catcher.send("DELETE", "/api/v1/messages", &[], &json!({ "IDs": [id] }).to_string());
    assert_eq!(catcher.json("GET", "/api/v1/messages")["total"], 1);
    catcher.request("DELETE", "/api/v1/messages");
    let info = catcher.json("GET", "/api/v1/info");
    assert_eq!(
        (&info["Messages"], &info["RuntimeStats"]["SMTPAccepted"], &info["RuntimeStats"]["MessagesDeleted"]),
        (&json!(0), &json!(3), &json!(3))
    );
}

#[test]
fn send_stores_a_message() {
    let catcher = Catcher::start(&[]);
    let request = json!({
        "From": { "Email": "ann@a.example", "Name": "Ann" },
        "To": [{ "Email": "bob@b.example" }],
        "Bcc": ["dan@d.example"],
        "Subject": "Gr\u{fc}\u{df}e",
        "Text": "plain",
        "HTML": "<b>html</b>",
        "Attachments": [{ "Content": "data:text/plain;base64,bm90ZXM=", "Filename": "n.txt", "ContentType": "text/plain" }],
        "Tags": ["sent"],
        "Headers": { "X-Own": "1" },
    });
    let sent = catcher.send("POST", "/api/v1/send", &[], &request.to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    let mail = catcher.json("GET", &format!("/api/v1/mail/{}", sent.json()["ID"].as_str().expect("an id")));
    assert_eq!(
        (&mail["subject"], &mail["html"], &mail["tags"]),
        (&json!("Gr\u{fc}\u{df}e"), &json!("<b>html</b>"), &json!(["sent"]))
    );
    assert_eq!(mail["envelope"]["to"], json!(["bob@b.example", "dan@d.example"]));
    assert_eq!((&mail["attachments"][0]["name"], &mail["lint"]), (&json!("n.txt"), &json!([])));
    for (key, value, part) in [
        ("To", json!([{ "Email": "bob" }]), "invalid To address: bob"),
        ("Headers", json!({ "Subject": "x" }), "cannot overwrite header: \"Subject\""),
        ("Headers", json!({ "X\r\nY": "x" }), "not the name of a header field"),
        ("Attachments", json!([{ "Content": "%", "Filename": "f" }]), "base64"),
        ("Nothing", json!(1), "Nothing"),
    ] {
        let mut request = request.clone();
        request[key] = value;
        let refused = catcher.send("POST", "/api/v1/send", &[], &request.to_string());
        assert_eq!(refused.status, 400);
        assert!(refused.json()["Error"].as_str().expect("a sentence").contains(part), "{}", refused.text());
    }
}

#[test]
fn events_report_changes() {
    let catcher = Catcher::start(&[]);
    let stream = TcpStream::connect(catcher.web).expect("the catcher accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let (mut socket, _) =
        tungstenite::client(format!("ws://{}/api/events", catcher.web), stream).expect("a WebSocket");
    let mut next = |kind: &str| loop {
        let Frame::Text(text) = socket.read().expect("an event") else { continue };
        let event: Value = serde_json::from_str(&text).expect("JSON");
        if event["Type"] == kind {
            return event["Data"].clone();
        }
    };
    assert_eq!(next("stats")["Total"], 0);
    let id = catcher.deliver_to("bob@b.example");
    let new = next("new");
    assert_eq!((&new["ID"], &new["Subject"]), (&json!(id), &json!("Please confirm")));
    assert_eq!(next("stats")["Total"], 1);
    catcher.json("GET", &format!("/api/v1/message/{id}"));
    let update = next("update");
    assert_eq!((&update["ID"], &update["Read"]), (&json!(id), &json!(true)));
    catcher.json("DELETE", "/api/v1/mail");
    assert_eq!(next("delete")["ID"], json!(id));
    catcher.request("DELETE", "/api/v1/messages");
    next("truncate");
    catcher.signal_terminate();
    loop {
        match socket.read() {
            Ok(Frame::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

/// A directory below `target/` into which `cargo xtask setup` installs packages.
fn packages(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below the target directory");
    target.join(name)
}

fn run_client(program: &str, directory: &Path, script: &str, catcher: &Catcher) -> String {
    assert!(
        is_installed(program) && directory.exists(),
        "`cargo xtask setup` installs {program} and {}",
        directory.display()
    );
    let path = catcher.smtp.port().to_string();
    let mut command = Command::new(program);
    command
        .args(if program == "node" { ["--input-type=module", "-e"].as_slice() } else { &["-c"] })
        .arg(script);
    command.env("WEB", format!("http://{}", catcher.web)).env("SMTP_PORT", path).env("PYTHONPATH", directory);
    let output = run_program(command.current_dir(directory), b"");
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

#[test]
fn published_client_for_node_works_unchanged() {
    let catcher = Catcher::start(&[]);
    catcher.deliver("bounce@a.example", &["bob+urgent@b.example"], RICH);
    let script = r"
        import assert from 'node:assert';
        import { MailpitClient } from 'mailpit-api';
        const mailpit = new MailpitClient(process.env.WEB);
        const list = await mailpit.listMessages();
        assert.equal(list.messages[0].Subject, 'Report');
        const message = await mailpit.getMessageSummary();
        assert.equal(message.Attachments[0].FileName, 'notes.txt');
        const blob = await mailpit.getMessageAttachment(message.ID, message.Attachments[0].PartID);
        assert.equal(await blob.text(), 'notes');
        assert.deepEqual((await mailpit.getMessageHeaders(message.ID))['Message-Id'], ['<7@a.example>']);
        assert.match(await mailpit.getMessageSource(), /^Date: /);
        assert.match(await mailpit.renderMessageHTML(), /The report/);
        assert.equal(await mailpit.renderMessageText(), 'The report');
        const { ID } = await mailpit.sendMessage({ From: { Email: 'x@x.example' }, To: [{ Email: 'y@y.example' }], Subject: 'Sent' });
        assert.equal((await mailpit.waitForMessage({ query: 'subject:Sent' })).ID, ID);
        await mailpit.setReadStatus({ IDs: [ID], Read: false });
        assert.equal((await mailpit.searchMessages({ query: 'is:unread' })).messages_count, 1);
        await mailpit.setTags({ IDs: [ID], Tags: ['t'] });
        await mailpit.renameTag('t', 'u');
        assert.deepEqual(await mailpit.getTags(), ['Alpha', 'Beta', 'u', 'urgent']);
        await mailpit.deleteTag('u');
        await mailpit.setChaosTriggers({ Sender: { ErrorCode: 451, Probability: 1 } });
        assert.equal((await mailpit.getChaosTriggers()).Sender.Probability, 1);
        await mailpit.deleteMessagesBySearch({ query: 'subject:Sent' });
        assert.equal((await mailpit.getInfo()).Messages, 1);
        assert.equal((await mailpit.getConfiguration()).ChaosEnabled, true);
        await mailpit.deleteMessages();
        assert.equal((await mailpit.listMessages()).total, 0);
        console.log('done');
    ";
    assert_eq!(run_client("node", &packages("npm"), script, &catcher), "done\n");
}

#[test]
fn every_command_of_cypress_mailpit_works_unchanged() {
    let catcher = Catcher::start(&[]);
    let script = include_str!("support/cypress.mjs");
    assert_eq!(run_client("node", &packages("npm"), script, &catcher), "done\n");
}

#[test]
fn path_with_repeated_slashes_is_redirected_to_this_host() {
    let catcher = Catcher::start(&[]);
    let response = catcher.request("GET", "//evil.example//view/latest.html?query=x");
    assert_eq!(
        (response.status, response.headers["location"].as_str()),
        (308, "/evil.example/view/latest.html?query=x")
    );
}

#[test]
fn published_client_for_python_works_unchanged() {
    let catcher = Catcher::start(&[]);
    catcher.deliver("bounce@a.example", &["bob+urgent@b.example"], RICH);
    catcher.deliver("ann@a.example", &["bob@b.example"], MESSAGE);
    let script = r"
import os
from mailpit.client.api import API
api = API(os.environ['WEB'])
messages = api.get_messages()
assert (messages.total, messages.unread) == (2, 2), messages
report = messages.messages[1]
assert report.from_.address == 'ann@a.example' and report.attachments == 1, report
message = api.get_message(report.id)
assert message.date.isoformat() == '2026-11-22T20:15:06+01:00', message
assert message.attachments[0].file_name == 'notes.txt' and message.inline[0].content_id == 'logo', message
assert api.get_message_attachment(message.id, message.attachments[0].part_id) == 'notes'
headers = api.get_message_headers(message.id)
assert headers.message_id == ['<7@a.example>'], headers
api.put_messages([report.id], 'Read', False)
assert api.get_messages().unread == 2
api.delete_messages([report.id])
assert [left.subject for left in api.get_messages().messages] == ['Please confirm']
api.delete_messages([])
assert api.get_messages().total == 0
print('done')
";
    assert_eq!(run_client("python3", &packages("python"), script, &catcher), "done\n");
}
