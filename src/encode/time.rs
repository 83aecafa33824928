//! Dates and times as ISO 8601 text, in UTC where the type is a point in time.
//!
//! The same text as `to_jsonb` gives with TimeZone set to UTC (EncodeDateTime with USE_XSD_DATES), and
//! read back by the type's own input function whatever the session's settings are.

use super::jsonb::Writer;

const DAY: i64 = 86_400_000_000;
/// Days from 0000-03-01 to 2000-01-01, PostgreSQL's epoch, in the proleptic Gregorian calendar.
const EPOCH: i64 = 730_425;

pub fn date(writer: &mut Writer, days: i32) {
    match days {
        i32::MIN => writer.push(b"-infinity"),
        i32::MAX => writer.push(b"infinity"),
        _ => {
            let (year, month, day) = civil(i64::from(days));
            year_month_day(writer, year, month, day);
            before_christ(writer, year);
        }
    }
}

/// A timestamp in microseconds since 2000-01-01; `zone` is what to write after the seconds.
pub fn timestamp(writer: &mut Writer, microseconds: i64, zone: &[u8]) {
    match microseconds {
        i64::MIN => writer.push(b"-infinity"),
        i64::MAX => writer.push(b"infinity"),
        _ => {
            let (year, month, day) = civil(microseconds.div_euclid(DAY));
            year_month_day(writer, year, month, day);
            writer.push(b"T");
            time(writer, microseconds.rem_euclid(DAY));
            writer.push(zone);
            before_christ(writer, year);
        }
    }
}

/// A time of day in microseconds, up to 24:00:00.
pub fn time(writer: &mut Writer, microseconds: i64) {
    let seconds = microseconds / 1_000_000;
    let ([a, b], [c, d], [e, f]) = (two(seconds / 3600), two(seconds / 60 % 60), two(seconds % 60));
    writer.push(&[a, b, b':', c, d, b':', e, f]);
    fraction(writer, microseconds % 1_000_000);
}

/// A zone offset in seconds west of Greenwich, as ISO text: `+02`, `-03:30`.
pub fn zone(writer: &mut Writer, seconds_west: i32) {
    let seconds = i64::from(seconds_west.unsigned_abs());
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

/// Year (astronomical: 0 is 1 BC), month and day of a day counted from 2000-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

fn year_month_day(writer: &mut Writer, year: i64, month: i64, day: i64) {
    let year = if year > 0 { year } else { 1 - year };
    if year < 10_000 {
        let [a, b] = two(year / 100);
        let [c, d] = two(year % 100);
        writer.push(&[a, b, c, d]);
    } else {
        writer.push(year.to_string().as_bytes());
    }
    let ([m, n], [d, e]) = (two(month), two(day));
    writer.push(&[b'-', m, n, b'-', d, e]);
}

fn before_christ(writer: &mut Writer, year: i64) {
    if year <= 0 {
        writer.push(b" BC");
    }
}

/// The fraction of a second, without trailing zeros.
fn fraction(writer: &mut Writer, microseconds: i64) {
    if microseconds == 0 {
        return;
    }
    let ([a, b], [c, d], [e, f]) = (two(microseconds / 10_000), two(microseconds / 100 % 100), two(microseconds % 100));
    let digits = [b'.', a, b, c, d, e, f];
    let length = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    writer.push(&digits[..length]);
}

/// Two decimal digits of a number below 100.
#[inline]
fn two(value: i64) -> [u8; 2] {
    let value = u8::try_from(value).unwrap_or(0);
    [b'0' + value / 10, b'0' + value % 10]
}
