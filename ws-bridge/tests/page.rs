//! The page as a browser gets it: types, headers, caching, compression.

mod support;

use std::fs;

use config::Target;
use support::Running;

const INDEX: &str = "<!doctype html><script type=\"module\">alert('Hello, world.');</script>";
const WASM: &str = "/web-client-0123456789abcdef_bg.wasm";

struct Site {
    folder: tempfile::TempDir,
    running: Running,
}

async fn site() -> Site {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path().join("dist");
    fs::create_dir(&root).expect("made");
    fs::write(folder.path().join("secret.txt"), "secret").expect("written");
    fs::write(root.join("index.html"), INDEX).expect("written");
    fs::write(root.join(&WASM[1..]), vec![b'a'; 10_000]).expect("written");
    fs::write(root.join("style.css"), "body { color: red; }".repeat(50)).expect("written");
    fs::write(root.join("style.css.br"), "as it was compressed before").expect("written");
    let target = Target { address: support::listen().await.1, proxy: false };
    let running = Running::with(target, |web| web.root.clone_from(&root));
    Site { folder, running }
}

impl Site {
    async fn get(&self, path: &str, more: &str) -> support::Answer {
        self.running.request(&format!("GET {path} HTTP/1.1\r\nHost: ADDRESS{more}")).await
    }
}

#[tokio::test]
async fn the_page_comes_with_its_policy_and_is_never_stale() {
    let site = site().await;
    for path in ["/", "/index.html", "/message/7"] {
        let answer = site.get(path, "").await;
        assert_eq!((answer.status(), answer.text()), (200, INDEX), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let policy = answer.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("http"), "{policy}");
    }
    // Built again under the running server.
    fs::write(site.folder.path().join("dist/index.html"), "<script>2</script>").expect("written");
    let answer = site.get("/", "").await;
    assert_eq!(answer.text(), "<script>2</script>");
    assert!(!answer.head.contains("qznLcsROx4GACP2dm0UCKCzCG"), "{}", answer.head);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let site = site().await;
    for path in ["/", WASM, "/style.css", "/none.js", "/ws/target"] {
        let answer = site.get(path, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {}", answer.head);
        }
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
        );
    }
}

#[tokio::test]
async fn a_file_named_by_its_hash_is_kept_and_another_is_asked_for_again() {
    let site = site().await;
    let wasm = site.get(WASM, "").await;
    assert_eq!((wasm.status(), wasm.header("content-type")), (200, Some("application/wasm")));
    assert_eq!(wasm.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let missing = site.get("/web-client-0000000000000000_bg.wasm", "").await;
    assert_eq!((missing.status(), missing.header("cache-control")), (404, Some("no-cache")));

    let style = site.get("/style.css", "").await;
    assert_eq!((style.status(), style.header("cache-control")), (200, Some("no-cache")));
    let tag = style.header("etag").expect("an entity tag").to_owned();
    let again = site.get("/style.css", &format!("\r\nIf-None-Match: {tag}")).await;
    assert_eq!((again.status(), again.body.len()), (304, 0));
}

#[tokio::test]
async fn files_come_compressed_where_the_browser_takes_it() {
    let site = site().await;
    for coding in ["br", "gzip"] {
        let answer = site.get(WASM, &format!("\r\nAccept-Encoding: {coding}")).await;
        assert_eq!((answer.status(), answer.header("content-encoding")), (200, Some(coding)));
        assert!(answer.body.len() < 1_000, "{} octets", answer.body.len());
    }
    let prepared = site.get("/style.css", "\r\nAccept-Encoding: gzip, br").await;
    assert_eq!(
        (prepared.header("content-encoding"), prepared.text()),
        (Some("br"), "as it was compressed before")
    );
    let plain = site.get(WASM, "").await;
    assert_eq!((plain.header("content-encoding"), plain.body.len()), (None, 10_000));
}

#[tokio::test]
async fn nothing_outside_the_directory_is_served() {
    let site = site().await;
    for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//secret.txt", "/none.txt"] {
        let answer = site.get(path, "").await;
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.head);
        assert!(!answer.text().contains("secret"), "{path}");
    }
}

#[cfg(feature = "embed")]
#[tokio::test]
async fn without_a_directory_the_page_inside_the_program_is_served() {
    let running = Running::start(support::listen().await.1);
    let page = running.request("GET / HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(page.status(), 200);
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("'sha256-")),
        "{}",
        page.head
    );
    let (_, rest) = page.text().split_once("module_or_path: '").expect("the loader names the program");
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
        let answer = running.request(&format!("GET {path} HTTP/1.1\r\nHost: ADDRESS")).await;
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.head);
    }
}

#[cfg(not(feature = "embed"))]
#[tokio::test]
async fn a_page_that_was_not_built_says_how_to_build_it() {
    let running = Running::start(support::listen().await.1);
    let answer = running.request("GET / HTTP/1.1\r\nHost: ADDRESS").await;
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("cargo xtask page"), "{}", answer.text());
}
