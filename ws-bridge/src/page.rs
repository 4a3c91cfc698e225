//! The built page: index.html with its Content-Security-Policy, and the files of the build.
//!
//! The policy allows the page's own scripts, WebAssembly and connections to its own origin. Frames that show mails inherit it,
//! so it also allows inline styles and `data:` and `blob:` images. The inline loader that the build writes into index.html is
//! allowed by its hash, computed from the served file.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tracing::warn;

const INDEX: &str = "index.html";

const HOW_TO_BUILD: &str = "build it with `cargo xtask page`, or set `root` in [web] to its directory";

/// Brotli at its best level is too slow for a request; level 5 comes within a tenth of its size.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(5);

fn compression() -> CompressionLayer {
    CompressionLayer::new().quality(COMPRESSION)
}

/// Location of the built page.
#[derive(Debug, Clone)]
pub(crate) enum PageSource {
    /// index.html in the configured directory.
    File(Arc<Path>),
    #[cfg(feature = "embed")]
    Embedded,
}

impl PageSource {
    /// The directory if it has an index.html, else the page embedded in the program.
    pub(crate) fn find(root: &Path) -> Self {
        let file = root.join(INDEX);
        #[cfg(feature = "embed")]
        if !file.exists() {
            return Self::Embedded;
        }
        if !file.exists() {
            warn!("no page in {}: {HOW_TO_BUILD}", root.display());
        }
        Self::File(file.into())
    }

    /// Reads index.html for each request, because the page may be rebuilt while the server runs.
    async fn read_index(&self) -> Option<String> {
        match self {
            Self::File(path) => tokio::fs::read_to_string(path).await.ok(),
            #[cfg(feature = "embed")]
            Self::Embedded => crate::embedded::text(INDEX),
        }
    }
}

/// The routes of the page: index.html with `head` added to its `<head>` and the files of the build, which it looks for below `path`. Other paths are 404.
pub(crate) fn router(root: &Path, source: PageSource, head: &'static str, path: &str) -> Router {
    let files = files(root, &source);
    let index = get(index).with_state(Arc::new(Index { source, head, path: path.to_owned() }));
    let index = Router::new().route("/", index.clone()).route("/index.html", index);
    index.fallback_service(files).layer(compression())
}

/// The page for another server than the bridge: from this directory, else embedded in the program. `head` is added to the
/// `<head>` of index.html. `None` without a directory if no page is embedded.
#[must_use]
pub fn page(root: Option<&Path>, head: &'static str) -> Option<Router> {
    match root {
        Some(root) => Some(router(root, PageSource::find(root), head, "/")),
        #[cfg(feature = "embed")]
        None => Some(router(Path::new(""), PageSource::Embedded, head, "/")),
        #[cfg(not(feature = "embed"))]
        None => None,
    }
}

/// Serves the files of the build. The page keeps its views in the URL's fragment, so every other path is 404.
fn files(root: &Path, source: &PageSource) -> Router {
    let not_found = Router::new().fallback(not_found);
    let router = match source {
        #[cfg(feature = "embed")]
        PageSource::Embedded => Router::new().fallback_service(
            ServeDir::with_backend("", crate::embedded::Embedded)
                .append_index_html_on_directories(false)
                .precompressed_br()
                .fallback(not_found),
        ),
        PageSource::File(_) => Router::new().fallback_service(
            ServeDir::new(root)
                .append_index_html_on_directories(false)
                .precompressed_br()
                .precompressed_gzip()
                .fallback(not_found),
        ),
    };
    router.layer(middleware::from_fn(cache_hashed_files))
}

/// Lets browsers cache a file of the build forever if its name contains its hash. Other responses set their own Cache-Control
/// or are not successful.
async fn cache_hashed_files(request: Request, next: Next) -> Response {
    let has_hash = has_hash(request.uri().path());
    let mut response = next.run(request).await;
    let is_file = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if has_hash && is_file {
        let immutable = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().entry(CACHE_CONTROL).or_insert(immutable);
    }
    response
}

/// True for names such as `name-0123456789abcdef.css`. The build drops leading zeros of a hash.
fn has_hash(path: &str) -> bool {
    let is_hash =
        |part: &str| (12..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.split(['/', '-', '_', '.']).any(is_hash)
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "no such file\n")
}

#[derive(Debug)]
struct Index {
    source: PageSource,
    head: &'static str,
    /// The files of the build are below this path.
    path: String,
}

/// Axum handler: index.html.
async fn index(State(index): State<Arc<Index>>) -> Response {
    let Some(html) = index.source.read_index().await else {
        return (StatusCode::NOT_FOUND, format!("The page is not built: {HOW_TO_BUILD}.\n")).into_response();
    };
    let html = below(&index.path, html);
    let html = html.replacen("<head>", &format!("<head>{}", index.head), 1);
    let policy = HeaderValue::from_str(&policy(&html)).expect("a policy is ASCII without line breaks");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, html).into_response()
}

/// Moves the references to files of the build, which the build writes as `"/name` and `'/name`, below a path.
fn below(path: &str, html: String) -> String {
    if path == "/" {
        return html;
    }
    html.replace("=\"/", &format!("=\"{path}")).replace("'/", &format!("'{path}"))
}

fn policy(html: &str) -> String {
    let hashes: String = inline_scripts(html)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action https:; \
         frame-ancestors 'none'"
    )
}

/// Contents of `<script>` elements without `src`. Handles the HTML that the build writes; a script that this misses is blocked
/// by the policy.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script")?;
        (!tag.contains(" src=")).then_some(script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_contains_the_hash_of_the_inline_loader() {
        let html =
            "<head><script src=\"/a.js\"></script><script type=\"module\">alert('Hello, world.');</script>";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["alert('Hello, world.');"]);
        let policy = policy(html);
        // The example of the Content Security Policy specification.
        assert!(
            policy.contains("'wasm-unsafe-eval' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=';"),
            "{policy}"
        );
    }

    #[test]
    fn files_are_below_the_configured_path() {
        let html =
            "<link href=\"/a.css\"><script>import x from '/b.js';</script><a href=\"https://c.example/\">";
        assert_eq!(below("/", html.to_owned()), html);
        let moved = html.replace("/a.css", "/mail/a.css").replace("/b.js", "/mail/b.js");
        assert_eq!(below("/mail/", html.to_owned()), moved);
    }

    #[test]
    fn has_hash_recognizes_names_of_the_build() {
        for path in [
            "/web-client-3f0a1b2c4d5e6f70.js",
            "/web-client-f0a1b2c4d5e6f70_bg.wasm",
            "/snippets/gloo-0123456789abcdef/inline0.js",
        ] {
            assert!(has_hash(path), "{path}");
        }
        for path in ["/", "/index.html", "/style.css", "/web-client-3f0a.js", "/0123456789abcdeg.js"] {
            assert!(!has_hash(path), "{path}");
        }
    }
}
