//! The built page inside the program, served as if it were a directory.

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

/// The text of a file.
pub(crate) fn text(path: &str) -> Option<String> {
    String::from_utf8(Dist::get(path)?.data.into_owned()).ok()
}

/// The files that were in `dist` when the program was built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Embedded;

/// A file of them.
#[derive(Debug)]
pub(crate) struct Content {
    octets: Cursor<Cow<'static, [u8]>>,
    about: About,
}

/// What is to know of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    octets: u64,
    modified: Option<SystemTime>,
}

impl Backend for Embedded {
    type File = Content;
    type Metadata = About;
    type OpenFuture = Ready<io::Result<Content>>;
    type MetadataFuture = Ready<io::Result<About>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        ready(find(&path).map(|file| Content { about: About::of(&file), octets: Cursor::new(file.data) }))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        ready(find(&path).map(|file| About::of(&file)))
    }
}

/// Paths come with `.` in front, the directory that they are relative to.
fn find(path: &Path) -> io::Result<EmbeddedFile> {
    let path = path.strip_prefix(".").unwrap_or(path);
    path.to_str().and_then(Dist::get).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl About {
    fn of(file: &EmbeddedFile) -> Self {
        let modified = file.metadata.last_modified().map(Duration::from_secs);
        Self {
            octets: file.data.len() as u64,
            modified: modified.map(|since| SystemTime::UNIX_EPOCH + since),
        }
    }
}

impl Metadata for About {
    fn is_dir(&self) -> bool {
        false
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.modified.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> u64 {
        self.octets
    }
}

impl File for Content {
    type Metadata = About;
    type MetadataFuture<'a> = Ready<io::Result<About>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.about))
    }
}

impl AsyncRead for Content {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.octets).poll_read(context, buffer)
    }
}

impl AsyncSeek for Content {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.octets).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.octets).poll_complete(context)
    }
}
