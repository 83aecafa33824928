//! Dates and times as ISO 8601 text, in UTC where the type is a point in time.
//!
//! The same text as `to_jsonb` gives with TimeZone set to UTC (EncodeDateTime with USE_XSD_DATES), and
//! read back by the type's own input function whatever the session's settings are.

use super::digits::PAIRS;
use crate::jsonb::Writer;

const DAY: i64 = 86_400_000_000;
/// Days of the 400 years after which the Gregorian calendar repeats itself.
const ERA: i64 = 146_097;
/// Eras before the year 0 that the calendar is counted from, so that no day PostgreSQL knows (from 4714 BC on) is
/// negative.
const ERAS_BEFORE: i64 = 12;
/// Days from 0000-03-01 to 2000-01-01, PostgreSQL's epoch, in the proleptic Gregorian calendar.
const EPOCH: i64 = 730_425;

pub fn date(writer: &mut Writer, days: i32) {
    match days {
        i32::MIN => writer.push(b"-infinity"),
        i32::MAX => writer.push(b"infinity"),
        _ => {
            let day = Day::new(i64::from(days));
            day.write(writer);
            day.end(writer);
        }
    }
}

/// A timestamp in microseconds since 2000-01-01; `zone` is what to write after the seconds.
pub fn timestamp(writer: &mut Writer, microseconds: i64, zone: &[u8]) {
    match microseconds {
        i64::MIN => writer.push(b"-infinity"),
        i64::MAX => writer.push(b"infinity"),
        _ => {
            let day = Day::new(microseconds.div_euclid(DAY));
            day.write(writer);
            let (clock, length) = clock(microseconds.rem_euclid(DAY));
            writer.push(&clock[..length]);
            writer.push(zone);
            day.end(writer);
        }
    }
}

/// A time of day in microseconds, up to 24:00:00.
pub fn time(writer: &mut Writer, microseconds: i64) {
    let (clock, length) = clock(microseconds);
    writer.push(&clock[1..length]);
}

/// A zone offset in seconds west of Greenwich, as ISO text: `+02`, `-03:30`.
pub fn zone(writer: &mut Writer, seconds_west: i32) {
    let seconds = seconds_west.unsigned_abs();
    writer.push(if seconds_west <= 0 { b"+" } else { b"-" });
    writer.push(&two(seconds / 3600));
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    if minutes != 0 || seconds != 0 {
        let [a, b] = two(minutes);
        writer.push(&[b':', a, b]);
    }
    if seconds != 0 {
        let [a, b] = two(seconds);
        writer.push(&[b':', a, b]);
    }
}

/// A day of the calendar.
struct Day {
    /// Astronomical: 0 is 1 BC.
    year: i64,
    month: u32,
    day: u32,
}

impl Day {
    /// The day so many days after 2000-01-01, after Neri and Schneider, "Euclidean affine functions and their
    /// application to calendar algorithms" (2022): years begin in March, and no division is by a variable.
    fn new(days: i64) -> Day {
        let days = u64::try_from(days + EPOCH + ERAS_BEFORE * ERA).unwrap_or(0);
        let quarters = 4 * days + 3;
        let century = quarters / 146_097;
        let of_century = (quarters % 146_097) as u32 | 3;
        let product = u64::from(of_century) * 2_939_745;
        let year_of_century = product >> 32;
        let day_of_year = (product as u32) / 2_939_745 / 4;
        let months = day_of_year * 2141 + 197_913;
        let (month, day) = (months >> 16, (months & 0xFFFF) / 2141 + 1);
        let is_next_year = day_of_year >= 306;
        let year = (century * 100 + year_of_century) as i64 - 400 * ERAS_BEFORE + i64::from(is_next_year);
        Day { year, month: if is_next_year { month - 12 } else { month }, day }
    }

    fn write(&self, writer: &mut Writer) {
        let ([m, n], [d, e]) = (two(self.month), two(self.day));
        if let 1..10_000 = self.year {
            let year = self.year as u32;
            let ([a, b], [c, f]) = (two(year / 100), two(year % 100));
            return writer.push(&[a, b, c, f, b'-', m, n, b'-', d, e]);
        }
        let year = if self.year > 0 { self.year } else { 1 - self.year };
        writer.push(format!("{year:04}").as_bytes());
        writer.push(&[b'-', m, n, b'-', d, e]);
    }

    /// What stands after the time of a day before the first year.
    fn end(&self, writer: &mut Writer) {
        if self.year <= 0 {
            writer.push(b" BC");
        }
    }
}

/// `Thh:mm:ss` and the fraction of the second without trailing zeros, with the length of it all.
fn clock(microseconds: i64) -> ([u8; 16], usize) {
    let (seconds, fraction) = ((microseconds / 1_000_000) as u32, (microseconds % 1_000_000) as u32);
    let ([a, b], [c, d], [e, f]) = (two(seconds / 3600), two(seconds / 60 % 60), two(seconds % 60));
    let ([g, h], [i, j], [k, l]) = (two(fraction / 10_000), two(fraction / 100 % 100), two(fraction % 100));
    let text = [b'T', a, b, b':', c, d, b':', e, f, b'.', g, h, i, j, k, l];
    let mut length = text.len();
    if fraction == 0 {
        length = 9;
    }
    while text[length - 1] == b'0' && length > 10 {
        length -= 1;
    }
    (text, length)
}

/// Two decimal digits of a number below 100.
#[inline]
fn two(value: u32) -> [u8; 2] {
    PAIRS[value as usize % 100]
}
