//! What time it is: PostgreSQL's clock. A build for tests can set it forwards and back, because nothing else makes two
//! years pass in a minute, and no test may edit the time of an event.

use super::raw;

/// Microseconds since 2000-01-01.
#[inline]
pub fn now() -> i64 {
    // SAFETY: reads the system's clock.
    let now = unsafe { raw::GetCurrentTimestamp() };
    #[cfg(feature = "testing")]
    let now = now + crate::settings::clock_offset();
    now
}
