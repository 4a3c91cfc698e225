//! Messages that this program makes itself: those of the API's `send`, and reports about released mail.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::lint::{Declared, Linter};
use crate::record::{Envelope, Record, Session, Timings};
use crate::store::{Analysis, Message, Store, initial_tags};

/// Stores a message. Blocks. `protocol` is for the record.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn store(
    store: &Store,
    octets: &[u8],
    (from, to): (String, Vec<String>),
    received: DateTime<Utc>,
    protocol: &str,
) -> io::Result<Arc<Message>> {
    let mut linter = Linter::default();
    linter.push(&Bytes::copy_from_slice(octets));
    let analysis = Analysis::of(octets);
    let envelope = Envelope { from, to, size: None, eight_bit: true, utf8: true };
    let record = Record {
        id: String::new(),
        received,
        size: octets.len() as u64,
        read: false,
        tags: initial_tags(&analysis, &envelope),
        session: Session {
            id: ulid::Ulid::generate().to_string(),
            client: None,
            connected: received,
            hello: String::new(),
            protocol: protocol.to_owned(),
            tls: None,
            cipher: None,
            user: None,
        },
        envelope,
        dialogue: Vec::new(),
        timings: Timings::default(),
        lint: linter.finish(Declared { eight_bit: true, utf8: true }),
        faults: Vec::new(),
    };
    let mut spool = store.files().spool()?;
    spool.write(octets)?;
    let published = store.publish(store.blocking_turn(), &spool, received)?;
    Ok(store.insert(published, analysis, record))
}
