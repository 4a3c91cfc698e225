//! Small messages of a temporary directory, which need not be in files, up to a limit.

use std::collections::HashMap;

/// Maximum size of all messages and records, in octets.
const OCTETS_MAX: usize = 16 << 20;

/// Messages by id.
#[derive(Debug, Default)]
pub(super) struct MessagesInMemory {
    messages: HashMap<String, Stored>,
    octets: usize,
}

#[derive(Debug)]
struct Stored {
    message: Box<[u8]>,
    record: Box<[u8]>,
}

impl MessagesInMemory {
    /// Whether there is room for a message.
    pub(super) const fn has_room(&self, octets: usize) -> bool {
        self.octets.saturating_add(octets) <= OCTETS_MAX
    }

    pub(super) fn insert(&mut self, id: &str, message: Vec<u8>) {
        self.octets += message.len();
        self.messages.insert(id.to_owned(), Stored { message: message.into(), record: Box::default() });
    }

    pub(super) fn message(&self, id: &str) -> Option<Vec<u8>> {
        self.messages.get(id).map(|stored| stored.message.to_vec())
    }

    pub(super) fn record(&self, id: &str) -> Option<Vec<u8>> {
        self.messages.get(id).map(|stored| stored.record.to_vec())
    }

    /// Stores the record of a message; false if the message is not in memory.
    pub(super) fn set_record(&mut self, id: &str, record: &[u8]) -> bool {
        let Some(stored) = self.messages.get_mut(id) else { return false };
        self.octets = self.octets + record.len() - stored.record.len();
        stored.record = record.into();
        true
    }

    /// False if the message is not in memory.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(Stored { message, record }) = self.messages.remove(id) else { return false };
        self.octets -= message.len() + record.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_includes_records_and_ends_with_the_message() {
        let mut memory = MessagesInMemory::default();
        memory.insert("1", vec![0; OCTETS_MAX - 10]);
        assert!(memory.has_room(10) && !memory.has_room(11));
        assert!(
            memory.set_record("1", b"12345")
                && memory.set_record("1", b"1234567")
                && !memory.set_record("2", b"")
        );
        assert!(memory.has_room(3) && !memory.has_room(4));
        assert_eq!(memory.record("1"), Some(b"1234567".to_vec()));
        assert!(memory.remove("1") && !memory.remove("1"));
        assert!(memory.has_room(OCTETS_MAX) && memory.message("1").is_none());
    }
}
