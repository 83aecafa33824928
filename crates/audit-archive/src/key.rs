//! The key file: an identity file of `age`, as `age-keygen` and `audit-archive keygen` write it.
//!
//! JSON lines are encrypted to the identity, so `age --decrypt --identity KEYFILE` reads them. Parquet needs a key of
//! 32 bytes, which is the SHA-256 digest of the identity's line: one file is kept, both formats open with stock tools,
//! and neither key tells the other. A file may hold several identities: the first one encrypts, all of them decrypt,
//! which is how a key is replaced without losing old archives.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use base64::Engine;
use sha2::{Digest, Sha256};

use crate::error::{Failure, Kind, Result};

/// A key file is a few lines; what is longer was named by mistake.
const LONGEST_FILE: u64 = 64 * 1024;

/// One key of the key file.
pub struct Key {
    identity: Identity,
    recipient: Recipient,
    parquet: Vec<u8>,
}

impl Key {
    pub fn generate() -> Key {
        Key::new(Identity::generate())
    }

    fn new(identity: Identity) -> Key {
        let parquet = Sha256::digest(identity.to_string().expose_secret().as_bytes()).to_vec();
        Key { recipient: identity.to_public(), identity, parquet }
    }

    /// The public half, `age1…`, which manifests name.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The key of 256 bits for Parquet's modular encryption.
    pub fn parquet(&self) -> &[u8] {
        &self.parquet
    }

    /// A key file with this key, which says what it is for.
    pub fn file(&self) -> String {
        format!(
            "# Key of audit archives. Without it they cannot be read: keep a copy elsewhere, readable by no other user.\n\
             # public key: {}\n\
             # Parquet key (base64): {}\n\
             {}\n",
            self.recipient,
            base64::engine::general_purpose::STANDARD.encode(&self.parquet),
            self.identity.to_string().expose_secret(),
        )
    }
}

/// The keys of the file, in its order.
pub fn read(path: &Path) -> Result<Vec<Key>> {
    let shown = path.display();
    let file =
        File::open(path).map_err(|error| Failure::io(format_args!("could not open key file \"{shown}\""), error))?;
    check_permissions(path, &file)?;
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(|_| not_a_key(path))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // The reason why a line is no identity might quote it.
    let keys: Vec<Key> =
        lines.map(|line| line.parse().map(Key::new).map_err(|_| not_a_key(path))).collect::<Result<_>>()?;
    if keys.is_empty() { Err(not_a_key(path)) } else { Ok(keys) }
}

/// PostgreSQL's rule for private keys: no other user may read it, or root owns it and our group may read it.
fn check_permissions(path: &Path, file: &File) -> Result<()> {
    let shown = path.display();
    let metadata =
        file.metadata().map_err(|error| Failure::io(format_args!("could not stat key file \"{shown}\""), error))?;
    if !metadata.is_file() {
        return Err(Failure::new(Kind::WrongKey, format!("key file \"{shown}\" is not a regular file")));
    }
    let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(Failure::new(Kind::Denied, format!("key file \"{shown}\" has group or world access")).hint(
            "It must have permissions 0600 or less if owned by the user of PostgreSQL, or 0640 or less if owned by root.",
        ));
    }
    Ok(())
}

fn not_a_key(path: &Path) -> Failure {
    Failure::new(Kind::WrongKey, format!("\"{}\" is not a key file", path.display()))
        .hint("A key file holds a line AGE-SECRET-KEY-1…, as \"audit-archive keygen\" or \"age-keygen\" writes it.")
}
