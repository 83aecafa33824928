//! What is kept, archived and deleted. The rules are in sql/retention/policy.sql, sql/retention/prune.sql and
//! sql/retention/archive.sql; here is what they cannot do: talk to the executable that writes archives.
//!
//! * [`archiver`] runs it and speaks its protocol; compressing, encrypting and uploading happen there, in a process of
//!   its own, whose libraries and threads no backend ever loads.
//! * [`write`] sends a partition to it, [`read`] takes one back.

mod archiver;
mod read;
mod write;
