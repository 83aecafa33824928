//! Event ids: UUID version 7 (RFC 9562), increasing within one backend.
//!
//! The 48 bits of milliseconds are followed by 12 bits of the fraction, as in PostgreSQL 18's uuidv7. When
//! the clock stands still or steps back, the id goes on from the last one by the smallest step.

use pgrx::pg_sys;

/// Milliseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_OFFSET_US: i64 = 946_684_800_000_000;

static mut LAST: u64 = 0;
static mut RANDOM: [u64; 2] = [0; 2];

/// The id of an event that happens at `now`, in microseconds since 2000-01-01.
///
/// # Safety
/// Must run on the backend's thread.
pub unsafe fn next(now: i64) -> [u8; 16] {
    let microseconds = u64::try_from(now + EPOCH_OFFSET_US).unwrap_or(0);
    // 60 bits: milliseconds, then the rest of the millisecond in 4096ths.
    let ticks = ((microseconds / 1000) << 12) | ((microseconds % 1000) * 4096 / 1000);
    // SAFETY: plain variables of a single-threaded process.
    let (ticks, random) = unsafe {
        LAST = ticks.max(LAST + 1);
        (LAST, random())
    };
    let high = (ticks >> 12 << 16) | 0x7000 | (ticks & 0xFFF);
    let low = (random >> 2) | 0x8000_0000_0000_0000;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&low.to_be_bytes());
    id
}

/// xorshift128+, seeded once per process from the system: unique, not secret.
///
/// # Safety
/// Must run on the backend's thread.
unsafe fn random() -> u64 {
    // SAFETY: plain variables of a single-threaded process; the buffer is sixteen bytes.
    unsafe {
        if RANDOM == [0; 2] {
            let filled = pg_sys::pg_strong_random((&raw mut RANDOM).cast(), 16);
            if !filled || RANDOM == [0; 2] {
                RANDOM = [u64::from(std::process::id()), 0x9E37_79B9_7F4A_7C15];
            }
        }
        let [mut one, other] = RANDOM;
        one ^= one << 23;
        let mixed = one ^ other ^ (one >> 17) ^ (other >> 26);
        RANDOM = [other, mixed];
        mixed.wrapping_add(other)
    }
}
