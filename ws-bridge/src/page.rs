//! The built page: index.html, frame.html and the service worker, each with its Content-Security-Policy, and the files of the
//! build.
//!
//! The policy of index.html allows the page's own scripts, WebAssembly and connections to its own origin. Frames that show mails
//! inherit it, so it also allows inline styles and `data:` and `blob:` images. The inline loader that the build writes into
//! index.html is allowed by its hash, computed from the served file.
//!
//! frame.html shows a mail whose remote images the user wants to see. Its policy allows images of other hosts by `https`, and
//! its one inline script, by hash. It puts the document into a sandbox without an origin, wherever it is opened.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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
    /// The configured directory.
    Directory(Arc<Path>),
    #[cfg(feature = "embed")]
    Embedded,
}

impl PageSource {
    /// The directory if it has an index.html, else the page embedded in the program.
    pub(crate) fn find(root: &Path) -> Self {
        let exists = root.join(INDEX).exists();
        #[cfg(feature = "embed")]
        if !exists {
            return Self::Embedded;
        }
        if !exists {
            warn!("no page in {}: {HOW_TO_BUILD}", root.display());
        }
        Self::Directory(root.into())
    }

    /// Reads a file for each request, because the page may be rebuilt while the server runs.
    async fn read(&self, name: &str) -> Option<String> {
        match self {
            Self::Directory(root) => tokio::fs::read_to_string(root.join(name)).await.ok(),
            #[cfg(feature = "embed")]
            Self::Embedded => crate::embedded::text(name),
        }
    }
}

/// The routes of the page: index.html with `head` added to its `<head>`, and the files of the build, which it looks for below `path`.
/// Other paths are 404.
pub(crate) fn router(root: &Path, source: PageSource, head: String, path: &str) -> Router {
    let files = files(root, &source);
    let documents = Router::new()
        .route("/", get(index))
        .route("/index.html", get(index))
        .route("/frame.html", get(frame))
        .route("/sw.js", get(service_worker))
        .with_state(Arc::new(Page { source, head, path: path.to_owned() }));
    documents.fallback_service(files).layer(compression())
}

/// The page for another server than the bridge: from this directory, else embedded in the program. `head` is added to the
/// `<head>` of index.html. `None` without a directory if no page is embedded.
#[must_use]
pub fn page(root: Option<&Path>, head: &str) -> Option<Router> {
    match root {
        Some(root) => Some(router(root, PageSource::find(root), head.to_owned(), "/")),
        #[cfg(feature = "embed")]
        None => Some(router(Path::new(""), PageSource::Embedded, head.to_owned(), "/")),
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
        PageSource::Directory(_) => Router::new().fallback_service(
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
struct Page {
    source: PageSource,
    /// Added to the `<head>` of index.html.
    head: String,
    /// The files of the build are below this path.
    path: String,
}

impl Page {
    /// index.html as it is served, and its policy.
    async fn index(&self) -> Option<(String, String)> {
        let html = self.source.read(INDEX).await?;
        let html = below(&self.path, html).replacen("<head>", &format!("<head>{}", self.head), 1);
        let policy = index_policy(&html);
        Some((html, policy))
    }
}

/// Moves the references to files of the build, which the build writes as `"/name` and `'/name`, below a path.
fn below(path: &str, html: String) -> String {
    if path == "/" {
        return html;
    }
    html.replace("=\"/", &format!("=\"{path}")).replace("'/", &format!("'{path}"))
}

/// Axum handler: index.html.
async fn index(State(page): State<Arc<Page>>) -> Response {
    match page.index().await {
        Some((html, policy)) => document("text/html; charset=utf-8", &policy, html),
        None => (StatusCode::NOT_FOUND, format!("The page is not built: {HOW_TO_BUILD}.\n")).into_response(),
    }
}

/// Axum handler: the document of the frame with remote images.
async fn frame(State(page): State<Arc<Page>>) -> Response {
    match page.source.read("frame.html").await {
        Some(html) => document("text/html; charset=utf-8", &frame_policy(&html), html),
        None => not_found().await.into_response(),
    }
}

/// Axum handler: the service worker. A constant in front of it changes with index.html and its policy, so that browsers detect
/// a new version of the page.
async fn service_worker(State(page): State<Arc<Page>>) -> Response {
    let (Some(script), Some((html, policy))) = (page.source.read("sw.js").await, page.index().await) else {
        return not_found().await.into_response();
    };
    let hash = Sha256::new().chain_update(policy).chain_update(html).finalize();
    let version = URL_SAFE_NO_PAD.encode(&hash[..12]);
    document(
        "text/javascript; charset=utf-8",
        "default-src 'none'; connect-src 'self'",
        format!("const VERSION = \"{version}\";\n{script}"),
    )
}

fn document(content_type: &'static str, policy: &str, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_str(policy).expect("a policy is ASCII without line breaks"),
        ),
    ];
    (headers, text).into_response()
}

fn index_policy(html: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self'; \
         base-uri 'none'; form-action https:; frame-ancestors 'none'",
        script_hashes(html)
    )
}

fn frame_policy(html: &str) -> String {
    format!(
        "default-src 'none'; script-src{}; style-src 'unsafe-inline'; img-src https: data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox",
        script_hashes(html)
    )
}

/// A source expression for each inline script, each with a space in front.
fn script_hashes(html: &str) -> String {
    inline_scripts(html)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
        .collect()
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
        let policy = index_policy(html);
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
