//! A directory. A file is written beside its place, synchronised, renamed into it, and the directory synchronised.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Store, Upload};
use crate::error::{Failure, Kind, Result};

pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory must be there: one that we made might lie below the mount point of a disk that is missing.
    pub fn open(root: &Path) -> Result<Directory> {
        let shown = root.display();
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => Ok(Directory { root: root.to_path_buf() }),
            Ok(_) => Err(Failure::new(Kind::NotFound, format!("the archive location \"{shown}\" is not a directory"))),
            Err(error) => {
                let failure = Failure::io(format_args!("the archive location \"{shown}\" cannot be used"), error);
                Err(if failure.kind == Kind::NotFound {
                    failure.hint("Create the directory, owned by the operating system user of PostgreSQL.")
                } else {
                    failure
                })
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the missing directories above a file durable.
    fn make_directories(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_directories(parent)?;
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => synchronise(parent)?,
            }
        }
        Ok(())
    }
}

/// Where a file is written until it is complete.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    path.with_file_name(name)
}

fn synchronise(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn failed(verb: &str, path: &Path, error: io::Error) -> Failure {
    Failure::io(format_args!("could not {verb} \"{}\"", path.display()), error)
}

impl Store for Directory {
    fn describe(&self, name: &str) -> String {
        format!("\"{}\"", self.path(name).display())
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        let path = self.path(name);
        let create = || {
            if let Some(directory) = path.parent() {
                self.make_directories(directory)?;
            }
            File::create(partial(&path))
        };
        let file = create().map_err(|error| failed("create", &path, error))?;
        Ok(Box::new(PartialFile { file: BufWriter::with_capacity(1 << 18, file), path, is_complete: false }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        let path = self.path(name);
        let file = File::open(&path).map_err(|error| failed("open", &path, error))?;
        Ok(Box::new(file))
    }

    fn size(&self, name: &str) -> Result<u64> {
        let path = self.path(name);
        Ok(fs::metadata(&path).map_err(|error| failed("open", &path, error))?.len())
    }

    fn range(&self, name: &str, start: u64, length: usize) -> Result<Bytes> {
        let path = self.path(name);
        let mut bytes = vec![0; length];
        File::open(&path)
            .and_then(|file| file.read_exact_at(&mut bytes, start))
            .map_err(|error| failed("read", &path, error))?;
        Ok(bytes.into())
    }

    fn remove(&self, name: &str) -> Result<bool> {
        let path = self.path(name);
        let mut removed = false;
        for (path, counts) in [(partial(&path), false), (path, true)] {
            match fs::remove_file(&path) {
                Ok(()) => {
                    removed |= counts;
                    if let Some(directory) = path.parent() {
                        synchronise(directory).map_err(|error| failed("synchronise", directory, error))?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("remove", &path, error)),
            }
        }
        Ok(removed)
    }
}

struct PartialFile {
    file: BufWriter<File>,
    path: PathBuf,
    is_complete: bool,
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| failed("write", &self.path, error).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| failed("write", &self.path, error).into())
    }
}

impl Upload for PartialFile {
    fn complete(mut self: Box<Self>) -> Result<()> {
        let path = self.path.clone();
        self.file.flush().map_err(|error| failed("write", &path, error))?;
        self.file.get_ref().sync_all().map_err(|error| failed("synchronise", &path, error))?;
        fs::rename(partial(&path), &path).map_err(|error| failed("complete", &path, error))?;
        self.is_complete = true;
        if let Some(directory) = path.parent() {
            synchronise(directory).map_err(|error| failed("synchronise", directory, error))?;
        }
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_complete {
            // Another failure is being reported; what stays is overwritten when the archive is written again.
            let _ = fs::remove_file(partial(&self.path));
        }
    }
}
