//! Dictionary rows by their key, as many as there are: the rows met last are kept as they are, all others compressed in
//! blocks, in memory while they are few and in an unnamed temporary file beyond that.
//!
//! A trail without a connection pooler has a session and a context for every transaction, which may be millions. Events
//! in the order of time use them in about the order of their ids, so a few blocks answer nearly every look-up.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::error::{Failure, Result};

/// Node and id.
pub type Key = (i32, i64);

/// Text of rows in a block.
const BLOCK: usize = 256 << 10;
/// Blocks that are kept as they are.
const OPEN_BLOCKS: usize = 8;
/// Compressed blocks kept in memory.
const IN_MEMORY: usize = 32 << 20;

pub struct Spool<T> {
    parse: fn(&str) -> serde_json::Result<(Key, T)>,
    /// The block being filled.
    text: String,
    rows: HashMap<Key, Rc<T>>,
    blocks: Vec<Block>,
    open: VecDeque<(usize, HashMap<Key, Rc<T>>)>,
    memory: Vec<u8>,
    file: Option<File>,
    stored: u64,
    last: Option<(Key, Rc<T>)>,
}

struct Block {
    least: Key,
    greatest: Key,
    start: u64,
    length: usize,
    text_length: usize,
}

impl<T> Spool<T> {
    /// `parse` makes a row from its JSON text.
    pub fn new(parse: fn(&str) -> serde_json::Result<(Key, T)>) -> Spool<T> {
        Spool {
            parse,
            text: String::new(),
            rows: HashMap::new(),
            blocks: Vec::new(),
            open: VecDeque::new(),
            memory: Vec::new(),
            file: None,
            stored: 0,
            last: None,
        }
    }

    pub fn add(&mut self, row: &str) -> Result<()> {
        let (key, parsed) = (self.parse)(row).map_err(not_a_row)?;
        self.rows.insert(key, Rc::new(parsed));
        self.text.push_str(row);
        self.text.push('\n');
        if self.text.len() >= BLOCK { self.close_block() } else { Ok(()) }
    }

    /// The row with that key.
    pub fn get(&mut self, key: Key) -> Result<Option<Rc<T>>> {
        if let Some((last, row)) = &self.last
            && *last == key
        {
            return Ok(Some(row.clone()));
        }
        let found = self.find(key)?;
        if let Some(row) = &found {
            self.last = Some((key, row.clone()));
        }
        Ok(found)
    }

    fn find(&mut self, key: Key) -> Result<Option<Rc<T>>> {
        let open = self.open.iter().map(|(_, rows)| rows);
        if let Some(row) = open.chain([&self.rows]).find_map(|rows| rows.get(&key)) {
            return Ok(Some(row.clone()));
        }
        for number in 0..self.blocks.len() {
            let block = &self.blocks[number];
            let is_open = || self.open.iter().any(|(open, _)| *open == number);
            if !(block.least..=block.greatest).contains(&key) || is_open() {
                continue;
            }
            let rows = self.read(block)?;
            let found = rows.get(&key).cloned();
            self.keep(number, rows);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn keep(&mut self, number: usize, rows: HashMap<Key, Rc<T>>) {
        self.open.push_front((number, rows));
        self.open.truncate(OPEN_BLOCKS);
    }

    fn close_block(&mut self) -> Result<()> {
        let keys = || self.rows.keys().copied();
        let (Some(least), Some(greatest)) = (keys().min(), keys().max()) else { return Ok(()) };
        let compressed = zstd::bulk::compress(self.text.as_bytes(), 1)
            .map_err(|error| Failure::io("could not compress a dictionary", error))?;
        let (start, length) = (self.stored, compressed.len());
        self.blocks.push(Block { least, greatest, start, length, text_length: self.text.len() });
        self.store(&compressed)?;
        self.text.clear();
        let rows = std::mem::take(&mut self.rows);
        self.keep(self.blocks.len() - 1, rows);
        Ok(())
    }

    fn store(&mut self, compressed: &[u8]) -> Result<()> {
        if self.file.is_none() && self.memory.len() + compressed.len() > IN_MEMORY {
            let file = tempfile::tempfile().and_then(|file| file.write_all_at(&self.memory, 0).map(|()| file));
            self.file = Some(file.map_err(temporary)?);
            self.memory = Vec::new();
        }
        match &self.file {
            Some(file) => file.write_all_at(compressed, self.stored).map_err(temporary)?,
            None => self.memory.extend_from_slice(compressed),
        }
        self.stored += compressed.len() as u64;
        Ok(())
    }

    fn read(&self, block: &Block) -> Result<HashMap<Key, Rc<T>>> {
        let from_file;
        let compressed = match &self.file {
            Some(file) => {
                let mut bytes = vec![0; block.length];
                file.read_exact_at(&mut bytes, block.start).map_err(temporary)?;
                from_file = bytes;
                &from_file[..]
            }
            None => {
                let start = usize::try_from(block.start).unwrap_or(usize::MAX);
                self.memory.get(start..start.saturating_add(block.length)).unwrap_or_default()
            }
        };
        let bytes = zstd::bulk::decompress(compressed, block.text_length)
            .map_err(|error| Failure::io("could not read a dictionary back", error))?;
        let text = String::from_utf8(bytes).map_err(|error| Failure::internal(error.to_string()))?;
        text.lines().map(|row| (self.parse)(row).map(|(key, row)| (key, Rc::new(row))).map_err(not_a_row)).collect()
    }
}

fn not_a_row(error: serde_json::Error) -> Failure {
    Failure::bad_request(format!("a dictionary row is not understood: {error}"))
}

fn temporary(error: std::io::Error) -> Failure {
    let directory = std::env::temp_dir();
    Failure::io(format_args!("could not keep dictionaries in a temporary file in \"{}\"", directory.display()), error)
        .hint("TMPDIR names the directory of temporary files.")
}
