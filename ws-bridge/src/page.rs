//! The built page: its files, compressed, cached by the hash in their names, under strict headers.
//!
//! The Content-Security-Policy lets the page run its own script and WebAssembly and talk to its own origin. The mails that
//! it shows in frames inherit it, so it lets their style and their `data:` and `blob:` pictures through, and nothing
//! from elsewhere. The loader that the build writes into index.html is let through by its hash, computed from the file
//! as it is served.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::warn;

const INDEX: &str = "index.html";

/// What every answer carries. The opener policy keeps a window that a mail's link opened from reaching back.
const HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The policy of what is no page.
const POLICY_OF_FILES: &str = "default-src 'none'; frame-ancestors 'none'";

/// Brotli's best is too slow for a request; this is within a tenth of it in size.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(5);

/// The page in a directory, or the one inside the program where the directory has none.
pub(crate) fn router(root: &Path) -> Router {
    let index = Index::find(root);
    let files = Router::new();
    let files = match &index {
        #[cfg(feature = "embed")]
        Index::Embedded => files.fallback_service(
            ServeDir::with_backend("", crate::embedded::Embedded)
                .append_index_html_on_directories(false)
                .precompressed_br()
                .fallback(fallback(&index)),
        ),
        Index::File(_) => files.fallback_service(
            ServeDir::new(root)
                .append_index_html_on_directories(false)
                .precompressed_br()
                .precompressed_gzip()
                .fallback(fallback(&index)),
        ),
    };
    files
        .route("/", get(page))
        .route("/index.html", get(page))
        .with_state(Arc::new(index.clone()))
        .layer(CompressionLayer::new().quality(COMPRESSION))
}

/// Every answer of these routes under the security headers, and with its rule for caches. `https_only` has browsers come back
/// by https alone (RFC 6797).
pub(crate) fn guarded(router: Router, https_only: bool) -> Router {
    let router = router.layer(middleware::from_fn(with_headers));
    if !https_only {
        return router;
    }
    let value = HeaderValue::from_static("max-age=31536000");
    router.layer(SetResponseHeaderLayer::overriding(STRICT_TRANSPORT_SECURITY, value))
}

/// Where index.html is.
#[derive(Debug, Clone)]
enum Index {
    File(Arc<Path>),
    #[cfg(feature = "embed")]
    Embedded,
}

impl Index {
    fn find(root: &Path) -> Self {
        let file = root.join(INDEX);
        #[cfg(feature = "embed")]
        if !file.exists() {
            return Self::Embedded;
        }
        if !file.exists() {
            warn!("there is no page in {}: {REMEDY}", root.display());
        }
        Self::File(file.into())
    }

    /// Read for each request: the page may be built again under a running server.
    async fn read(&self) -> Option<String> {
        match self {
            Self::File(path) => tokio::fs::read_to_string(path).await.ok(),
            #[cfg(feature = "embed")]
            Self::Embedded => crate::embedded::text(INDEX),
        }
    }
}

const REMEDY: &str = "build it with `cargo xtask page`, or name its directory with `root` in [web]";

/// A path without a file is one of the page's own views, unless it looks like a file.
fn fallback(index: &Index) -> Router {
    Router::new().fallback(view).with_state(Arc::new(index.clone()))
}

async fn view(state: State<Arc<Index>>, uri: Uri) -> Response {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    if name.contains('.') || uri.path().starts_with("/ws/") {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    }
    page(state).await
}

async fn page(State(index): State<Arc<Index>>) -> Response {
    let Some(html) = index.read().await else {
        return (StatusCode::NOT_FOUND, format!("The page is not here: {REMEDY}.\n")).into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_str(&policy(&html)).expect("a policy is ASCII and has no line end"),
        ),
    ];
    (headers, html).into_response()
}

async fn with_headers(request: Request, next: Next) -> Response {
    let is_named_by_hash = is_named_by_hash(request.uri().path());
    let mut response = next.run(request).await;
    let is_good = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let caching =
        if is_named_by_hash && is_good { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY_OF_FILES));
    response
}

/// The build writes `name-0123456789abcdef.css`: another content has another name. A hash may be shorter, as its leading
/// zeros are left out.
fn is_named_by_hash(path: &str) -> bool {
    let is_hash = |piece: &str| {
        (12..=16).contains(&piece.len()) && piece.bytes().all(|octet| octet.is_ascii_hexdigit())
    };
    path.split(['/', '-', '_', '.']).any(is_hash)
}

fn policy(html: &str) -> String {
    let hashes: String = inline_scripts(html)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
        .collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// What stands between `<script ...>` and `</script>` where the tag names no `src`. It reads what a build writes, not
/// every HTML that could be: a script that it misses doesn't run.
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
    fn the_policy_lets_the_inline_loader_through_by_its_hash() {
        let html =
            "<head><script src=\"/a.js\"></script><script type=\"module\">alert('Hello, world.');</script>";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["alert('Hello, world.');"]);
        let policy = policy(html);
        // The example of the Content Security Policy's own specification.
        assert!(
            policy.contains("'wasm-unsafe-eval' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=';"),
            "{policy}"
        );
    }

    #[test]
    fn a_name_with_a_hash_is_known() {
        for path in [
            "/web-client-3f0a1b2c4d5e6f70.js",
            "/web-client-f0a1b2c4d5e6f70_bg.wasm",
            "/snippets/gloo-0123456789abcdef/inline0.js",
        ] {
            assert!(is_named_by_hash(path), "{path}");
        }
        for path in ["/", "/index.html", "/style.css", "/web-client-3f0a.js", "/0123456789abcdeg.js"] {
            assert!(!is_named_by_hash(path), "{path}");
        }
    }
}
