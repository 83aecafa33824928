//! Event ids: UUID version 7 (RFC 9562), increasing within one backend.
//!
//! The 48 bits of milliseconds are followed by 12 bits of the fraction, as in PostgreSQL 18's uuidv7. When
//! the clock stands still or steps back, the id goes on from the last one by the smallest step.

use pgrx::pg_sys;

use crate::pg::local::Local;

/// Milliseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_OFFSET_US: i64 = 946_684_800_000_000;

static LAST: Local<u64> = Local::new(0);
static RANDOM: Local<[u64; 2]> = Local::new([0; 2]);

/// The id of an event that happens at `now`, in microseconds since 2000-01-01.
pub fn next(now: i64) -> [u8; 16] {
    let microseconds = u64::try_from(now + EPOCH_OFFSET_US).unwrap_or(0);
    // 60 bits: milliseconds, then the rest of the millisecond in 4096ths.
    let ticks = ((microseconds / 1000) << 12) | ((microseconds % 1000) * 4096 / 1000);
    let ticks = ticks.max(LAST.get() + 1);
    LAST.set(ticks);
    let random = random();
    let high = (ticks >> 12 << 16) | 0x7000 | (ticks & 0xFFF);
    let low = (random >> 2) | 0x8000_0000_0000_0000;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&low.to_be_bytes());
    id
}

/// xorshift128+, seeded once per process from the system: unique, not secret.
fn random() -> u64 {
    let mut state = RANDOM.get();
    if state == [0; 2] {
        // SAFETY: the buffer is sixteen bytes.
        let is_filled = unsafe { pg_sys::pg_strong_random((&raw mut state).cast(), 16) };
        if !is_filled || state == [0; 2] {
            state = [u64::from(std::process::id()), 0x9E37_79B9_7F4A_7C15];
        }
    }
    let [mut one, other] = state;
    one ^= one << 23;
    let mixed = one ^ other ^ (one >> 17) ^ (other >> 26);
    RANDOM.set([other, mixed]);
    mixed.wrapping_add(other)
}
