//! `audit-archive` writes, reads, checks and removes the archives of an audit trail.
//!
//! It is a program of its own, started by the extension's backend or worker with pipes, so that compression, encryption
//! and the network cost no backend anything, and no thread and no future comes near PostgreSQL. README.md beside this
//! package has the protocol and the layout of the files.
//!
//! * [`request`] is what the caller requests, [`error`] what it receives when that cannot be done.
//! * [`write`], [`read`] and [`remove`] are the commands, [`verify`] reads back what was written.
//! * [`event`] and [`dictionary`] are what comes in; [`spool`] holds dictionaries of any size.
//! * [`table`] is the Parquet file, with [`values`] and summaries as the trail shows them; [`lines`] are the JSON
//!   lines.
//! * [`manifest`] says what an archive consists of, [`store`] is where it lies, [`key`] what it is encrypted with.

mod dictionary;
mod digest;
mod error;
mod event;
mod key;
mod lines;
mod manifest;
mod read;
mod remove;
mod request;
mod spool;
mod store;
mod table;
mod values;
#[cfg(test)]
mod vectors;
mod verify;
mod write;

use std::io::{self, BufReader, BufWriter, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::error::{Failure, Result};

const BUFFER: usize = 1 << 18;

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    match run(command.as_deref().unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where the caller has closed its end, the exit status has to do.
            if let Ok(line) = serde_json::to_string(&failure) {
                let _ = writeln!(io::stderr(), "{line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str) -> Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    match command {
        "write" => answer(&mut out, &write::write(request::read(&mut input)?, &mut input)?),
        "read" => read::read(&request::read(&mut input)?, &mut out),
        "check" => answer(&mut out, &read::check(&request::read(&mut input)?)?),
        "remove" => answer(&mut out, &Removed { removed: remove::remove(&request::read(&mut input)?)? }),
        "keygen" => out.write_all(key::Key::generate().file().as_bytes()).and_then(|()| out.flush()).map_err(unheard),
        _ => Err(Failure::bad_request(format!("\"{command}\" is no command"))
            .hint("The commands are write, read, check, remove and keygen.")),
    }
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<String>,
}

/// One line of JSON.
fn answer(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|error| Failure::internal(error.to_string()))?;
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(unheard)
}

fn unheard(error: io::Error) -> Failure {
    Failure::io("could not answer", error)
}
