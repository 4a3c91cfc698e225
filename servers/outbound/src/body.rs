//! The message of an entry of the text queue, read in pieces.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use mail_store::disk::{DiskFile, read_exact};
use mail_store::offload::Offload;

use crate::store::MessageBody;

/// Most messages fit.
const PIECE_OCTETS: u64 = 64 << 10;

/// A message in a file.
#[derive(Debug)]
pub struct FileBody<F, O> {
    pub(crate) file: Arc<F>,
    pub(crate) rest: Range<u64>,
    pub(crate) offload: O,
}

impl<F: DiskFile, O: Offload> MessageBody for FileBody<F, O> {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (at, length) = (self.rest.start, (self.rest.end - self.rest.start).min(PIECE_OCTETS));
        if length == 0 {
            return Ok(None);
        }
        self.rest.start += length;
        let file = Arc::clone(&self.file);
        let read = move || -> io::Result<Vec<u8>> {
            let mut piece = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            read_exact(&*file, &mut piece, at)?;
            Ok(piece)
        };
        self.offload.run(read).await.map(Some)
    }
}
