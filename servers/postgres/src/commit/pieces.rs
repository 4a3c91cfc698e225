//! A large message as rows of table body_piece.

use std::io;
use std::sync::Arc;

use mail_store::disk::DiskFile;
use mail_store::spool::Spooled;
use tokio::sync::mpsc;

use crate::database::Connection;
use crate::failure::Failure;

pub(crate) const PIECE_OCTETS: usize = 256 << 10;

const INSERT: &str = "INSERT INTO body_piece (account, id, piece, content) VALUES ($1, $2, $3, $4)";

/// Inserts the pieces of a message in the open transaction.
pub(super) async fn insert<F: DiskFile>(
    connection: &Connection,
    (account, id): (&str, &str),
    head: &[u8],
    rest: &Arc<Spooled<F>>,
) -> Result<(), Failure> {
    let statement = connection.prepare(INSERT).await?;
    let mut pieces = read(head.to_vec(), Arc::clone(rest));
    let mut number = 0_i32;
    while let Some(piece) = pieces.recv().await {
        let piece =
            piece.map_err(|error| Failure::Permanent(format!("cannot read a temporary file: {error}")))?;
        connection.change(&statement, &[&account, &id, &number, &piece]).await?;
        number += 1;
    }
    Ok(())
}

/// Reads the message on another thread, one piece ahead.
fn read<F: DiskFile>(head: Vec<u8>, rest: Arc<Spooled<F>>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, pieces) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let mut piece = head;
        let ended = || io::Error::other("the transaction has ended");
        let send = |piece: Vec<u8>| sender.blocking_send(Ok(piece)).map_err(|_| ended());
        let read = rest.read(|octets| {
            piece.extend_from_slice(octets);
            while piece.len() >= PIECE_OCTETS {
                let next = piece.split_off(PIECE_OCTETS);
                send(std::mem::replace(&mut piece, next))?;
            }
            Ok(())
        });
        let read = read.and_then(|()| if piece.is_empty() { Ok(()) } else { send(piece) });
        if let Err(error) = read {
            // Nobody waits if the transaction has ended.
            let _ = sender.blocking_send(Err(error));
        }
    });
    pieces
}
