//! Requests to the routes for users of the page.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{ServerProcess, TIMEOUT, connect_from};

/// Status and body of the response to a POST.
pub(crate) fn post_from(
    source: [u8; 4],
    web: SocketAddr,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = connect_from(source, web);
    stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the server reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the server responds");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

pub(crate) fn post(server: &ServerProcess, path: &str, body: &Value) -> (u16, String) {
    let web = server.address("web");
    post_from([127, 0, 0, 1], web, path, &format!("Origin: http://{web}\r\n"), &body.to_string())
}

pub(crate) fn session(server: &ServerProcess, user: &str, password: &str) -> Value {
    let (status, body) = post(server, "/account/session", &json!({ "user": user, "password": password }));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}
