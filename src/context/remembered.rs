//! The contexts that this backend has written, by the hash of what they say.

/// Contexts kept; an application that sets a trace for every transaction never finds one again anyway.
const MOST: usize = 64;

struct Entry {
    hash: u128,
    id: i64,
    written_at: i64,
    /// The subtransaction that wrote the row, 0 once its top-level transaction has committed.
    pending: u32,
}

pub struct Remembered {
    entries: Vec<Entry>,
    next: usize,
}

impl Remembered {
    pub const fn new() -> Remembered {
        Remembered { entries: Vec::new(), next: 0 }
    }

    /// The id and the time of writing.
    pub fn find(&self, hash: u128) -> Option<(i64, i64)> {
        self.entries.iter().rev().find(|entry| entry.hash == hash).map(|entry| (entry.id, entry.written_at))
    }

    pub fn add(&mut self, hash: u128, id: i64, written_at: i64, pending: u32) {
        self.entries.retain(|entry| entry.hash != hash);
        let entry = Entry { hash, id, written_at, pending };
        if self.entries.len() < MOST {
            self.entries.push(entry);
        } else {
            self.entries[self.next] = entry;
            self.next = (self.next + 1) % MOST;
        }
    }

    pub fn commit(&mut self) {
        for entry in &mut self.entries {
            entry.pending = 0;
        }
    }

    /// Forgets what `subtransaction` and those after it wrote.
    pub fn abort(&mut self, subtransaction: u32) {
        self.entries.retain(|entry| entry.pending == 0 || entry.pending < subtransaction);
        self.next = 0;
    }
}
