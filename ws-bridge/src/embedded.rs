//! The built page embedded in the program, as a [`Backend`] of `ServeDir`.

use std::borrow::Cow;
use std::future::{Ready, ready};
use std::io::{self, Cursor, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use rust_embed::{EmbeddedFile, RustEmbed};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File, Metadata};

#[derive(RustEmbed)]
#[folder = "../dist"]
struct Dist;

/// EmbeddedContent of a UTF-8 file.
pub(crate) fn text(path: &str) -> Option<String> {
    String::from_utf8(Dist::get(path)?.data.into_owned()).ok()
}

/// The files that `dist` contained when the program was built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Embedded;

#[derive(Debug)]
pub(crate) struct EmbeddedContent {
    bytes: Cursor<Cow<'static, [u8]>>,
    metadata: EmbeddedMetadata,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddedMetadata {
    length: u64,
    modified: Option<SystemTime>,
}

impl Backend for Embedded {
    type File = EmbeddedContent;
    type Metadata = EmbeddedMetadata;
    type OpenFuture = Ready<io::Result<EmbeddedContent>>;
    type MetadataFuture = Ready<io::Result<EmbeddedMetadata>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        ready(find(&path).map(|file| EmbeddedContent {
            metadata: EmbeddedMetadata::of(&file),
            bytes: Cursor::new(file.data),
        }))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        ready(find(&path).map(|file| EmbeddedMetadata::of(&file)))
    }
}

/// `ServeDir` prefixes paths with its root, `.`.
fn find(path: &Path) -> io::Result<EmbeddedFile> {
    let path = path.strip_prefix(".").unwrap_or(path);
    path.to_str().and_then(Dist::get).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl EmbeddedMetadata {
    fn of(file: &EmbeddedFile) -> Self {
        let modified = file.metadata.last_modified().map(Duration::from_secs);
        Self {
            length: file.data.len() as u64,
            modified: modified.map(|since_epoch| SystemTime::UNIX_EPOCH + since_epoch),
        }
    }
}

impl Metadata for EmbeddedMetadata {
    fn is_dir(&self) -> bool {
        false
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.modified.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> u64 {
        self.length
    }
}

impl File for EmbeddedContent {
    type Metadata = EmbeddedMetadata;
    type MetadataFuture<'a> = Ready<io::Result<EmbeddedMetadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.metadata))
    }
}

impl AsyncRead for EmbeddedContent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(cx, buffer)
    }
}

impl AsyncSeek for EmbeddedContent {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.bytes).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.bytes).poll_complete(cx)
    }
}
