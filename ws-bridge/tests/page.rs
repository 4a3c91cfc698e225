//! HTTP responses of the page: content types, headers, caching, compression.

mod support;

use std::fs;

use config::Target;
use support::Running;

const INDEX: &str = "<!doctype html><script type=\"module\">alert('Hello, world.');</script>";
const WASM: &str = "/web-client-0123456789abcdef_bg.wasm";

struct Page {
    folder: tempfile::TempDir,
    running: Running,
}

async fn page() -> Page {
    page_at("/").await
}

async fn page_at(path: &str) -> Page {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path().join("dist");
    fs::create_dir(&root).expect("made");
    fs::write(folder.path().join("secret.txt"), "secret").expect("written");
    fs::write(root.join("index.html"), INDEX).expect("written");
    fs::write(root.join(&WASM[1..]), vec![b'a'; 10_000]).expect("written");
    fs::write(root.join("style.css"), "body { color: red; }".repeat(50)).expect("written");
    fs::write(root.join("style.css.br"), "precompressed").expect("written");
    let target = Target { address: support::listen().await.1, proxy: false };
    let running = Running::with(target, |web| {
        web.root.clone_from(&root);
        web.path = path.to_owned();
    });
    Page { folder, running }
}

impl Page {
    async fn get(&self, path: &str, more: &str) -> support::Response {
        self.running.request(&format!("GET {path} HTTP/1.1\r\nHost: ADDRESS{more}")).await
    }
}

#[tokio::test]
async fn index_has_its_policy_and_is_revalidated() {
    let page = page().await;
    for path in ["/", "/index.html"] {
        let response = page.get(path, "").await;
        assert_eq!((response.status(), response.text()), (200, INDEX), "{path}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.header("cache-control"), Some("no-cache"));
        let policy = response.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            &format!("script-src 'self' 'wasm-unsafe-eval' {SCRIPT}"),
            "connect-src 'self'",
            // For unsubscribing with one click (RFC 8058), which the user asks for.
            "form-action https:",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(policy.matches("http").count(), 1, "{policy}");
    }
    // The page is rebuilt while the server runs.
    fs::write(page.folder.path().join("dist/index.html"), "<script>2</script>").expect("written");
    let response = page.get("/", "").await;
    assert_eq!(response.text(), "<script>2</script>");
    assert!(!response.head.contains("qznLcsROx4GACP2dm0UCKCzCG"), "{}", response.head);
}

const SCRIPT: &str = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";

#[tokio::test]
async fn frame_has_a_policy_for_remote_images_in_a_sandbox() {
    let page = page().await;
    assert_eq!(page.get("/frame.html", "").await.status(), 404);
    fs::write(page.folder.path().join("dist/frame.html"), INDEX).expect("written");
    let response = page.get("/frame.html", "").await;
    assert_eq!((response.status(), response.text()), (200, INDEX));
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    let expected = format!(
        "default-src 'none'; script-src {SCRIPT}; style-src 'unsafe-inline'; img-src https: data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox"
    );
    assert_eq!(response.header("content-security-policy"), Some(&*expected));
}

#[tokio::test]
async fn service_worker_is_revalidated_and_changes_with_the_page() {
    let page = page().await;
    assert_eq!(page.get("/sw.js", "").await.status(), 404);
    fs::write(page.folder.path().join("dist/sw.js"), "use(VERSION)").expect("written");
    let response = page.get("/sw.js", "").await;
    assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    let policy = response.header("content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; connect-src 'self'"));
    let (version, rest) = response.text().split_once('\n').expect("a line with the version");
    assert!(version.starts_with("const VERSION = \"") && rest == "use(VERSION)", "{}", response.text());
    assert_eq!(page.get("/sw.js", "").await.text(), response.text());
    fs::write(page.folder.path().join("dist/index.html"), "<script>2</script>").expect("written");
    let next = page.get("/sw.js", "").await;
    assert!(!next.text().starts_with(version), "{}", next.text());
}

/// Only the bridge has what the service worker needs.
#[tokio::test]
async fn index_tells_the_page_to_register_the_service_worker() {
    let page = page().await;
    fs::write(page.folder.path().join("dist/index.html"), "<head></head>").expect("written");
    let response = page.get("/", "").await;
    assert_eq!(response.text(), "<head><meta name=\"pennypost-service-worker\"></head>");
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let page = page().await;
    for path in ["/", WASM, "/style.css", "/none.js", "/ws/target"] {
        let response = page.get(path, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}: {}", response.head);
        }
        assert!(
            response
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
        );
    }
}

#[tokio::test]
async fn hashed_file_is_immutable_and_others_are_revalidated() {
    let page = page().await;
    let wasm = page.get(WASM, "").await;
    assert_eq!((wasm.status(), wasm.header("content-type")), (200, Some("application/wasm")));
    assert_eq!(wasm.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let missing = page.get("/web-client-0000000000000000_bg.wasm", "").await;
    assert_eq!((missing.status(), missing.header("cache-control")), (404, Some("no-cache")));

    let style = page.get("/style.css", "").await;
    assert_eq!((style.status(), style.header("cache-control")), (200, Some("no-cache")));
    let tag = style.header("etag").expect("an entity tag").to_owned();
    let again = page.get("/style.css", &format!("\r\nIf-None-Match: {tag}")).await;
    assert_eq!((again.status(), again.body.len()), (304, 0));
}

/// Only a file of the build is immutable, whatever a path looks like.
#[tokio::test]
async fn path_without_a_file_is_not_found() {
    let page = page().await;
    for path in [
        "/healthz",
        "/.well-known/security.txt",
        "/.well-known/acme-challenge/token",
        "/message/7",
        "/deadbeefcafe",
        "/message/0123456789abcdef",
        "/livez/",
        "/ws/",
    ] {
        let response = page.get(path, "").await;
        assert_eq!(response.status(), 404, "{path}");
        assert!(!response.text().contains("script"), "{path}: {}", response.text());
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
    }
}

#[tokio::test]
async fn health_routes_answer_200_while_the_program_serves() {
    let page = page().await;
    for path in ["/livez", "/readyz"] {
        let response = page.get(path, "").await;
        assert_eq!((response.status(), response.text()), (200, "ok\n"), "{path}");
    }
}

#[tokio::test]
async fn files_are_compressed_if_the_browser_accepts_it() {
    let page = page().await;
    for coding in ["br", "gzip"] {
        let response = page.get(WASM, &format!("\r\nAccept-Encoding: {coding}")).await;
        assert_eq!((response.status(), response.header("content-encoding")), (200, Some(coding)));
        assert!(response.body.len() < 1_000, "{} bytes", response.body.len());
    }
    let prepared = page.get("/style.css", "\r\nAccept-Encoding: gzip, br").await;
    assert_eq!((prepared.header("content-encoding"), prepared.text()), (Some("br"), "precompressed"));
    let plain = page.get(WASM, "").await;
    assert_eq!((plain.header("content-encoding"), plain.body.len()), (None, 10_000));
}

#[tokio::test]
async fn files_outside_the_directory_are_not_served() {
    let page = page().await;
    for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//secret.txt", "/none.txt"] {
        let response = page.get(path, "").await;
        assert!((400..500).contains(&response.status()), "{path}: {}", response.head);
        assert!(!response.text().contains("secret"), "{path}");
    }
}

#[cfg(feature = "embed")]
#[tokio::test]
async fn embedded_page_is_served_without_a_directory() {
    let running = Running::start(support::listen().await.1);
    let index = running.request("GET / HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(index.status(), 200);
    assert!(
        index.header("content-security-policy").is_some_and(|policy| policy.contains("'sha256-")),
        "{}",
        index.head
    );
    let (_, rest) = index.text().split_once("module_or_path: '").expect("the loader names the wasm file");
    let (wasm, _) = rest.split_once('\'').expect("the name ends");
    let wasm = running.request(&format!("GET {wasm} HTTP/1.1\r\nHost: ADDRESS")).await;
    assert_eq!((wasm.status(), wasm.header("content-type")), (200, Some("application/wasm")));
    assert!(
        wasm.header("cache-control").is_some_and(|caching| caching.contains("immutable")),
        "{}",
        wasm.head
    );
    assert!(wasm.body.starts_with(b"\0asm"));
    for path in ["/none.js", "/../Cargo.toml", "/.."] {
        let response = running.request(&format!("GET {path} HTTP/1.1\r\nHost: ADDRESS")).await;
        assert!((400..500).contains(&response.status()), "{path}: {}", response.head);
    }
}

#[test]
fn other_servers_have_the_embedded_page_without_a_directory() {
    assert_eq!(ws_bridge::page(None, "<meta>").is_some(), cfg!(feature = "embed"));
}

#[cfg(not(feature = "embed"))]
#[tokio::test]
async fn missing_page_is_answered_with_build_instructions() {
    let running = Running::start(support::listen().await.1);
    let response = running.request("GET / HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(response.status(), 404);
    assert!(response.text().contains("cargo xtask page"), "{}", response.text());
}

#[tokio::test]
async fn page_below_a_path_leaves_other_paths_to_other_programs() {
    let page = page_at("/mail/").await;
    fs::write(
        page.folder.path().join("dist/index.html"),
        "<link href=\"/style.css\"><script>'/a.js'</script>",
    )
    .expect("written");
    let index = page.get("/mail/", "").await;
    assert_eq!(index.text(), "<link href=\"/mail/style.css\"><script>'/mail/a.js'</script>");
    for (path, status) in [
        ("/mail/style.css", 200),
        ("/mail/index.html", 200),
        ("/mail/livez", 200),
        ("/livez", 200),
        ("/mail/nothing", 404),
        ("/nothing", 404),
        ("/mailbox", 404),
    ] {
        assert_eq!(page.get(path, "").await.status(), status, "{path}");
    }
    for path in ["/", "/mail"] {
        let response = page.get(path, "").await;
        assert_eq!((response.status(), response.header("location")), (307, Some("/mail/")), "{path}");
    }
    let upgrade = "GET /mail/ws/target HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://ADDRESS\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(page.running.status(upgrade).await, 101);
}
