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
    two(writer, seconds / 3600);
    writer.push(b":");
    two(writer, seconds / 60 % 60);
    writer.push(b":");
    two(writer, seconds % 60);
    fraction(writer, microseconds % 1_000_000);
}

/// A zone offset in seconds west of Greenwich, as ISO text: `+02`, `-03:30`.
pub fn zone(writer: &mut Writer, seconds_west: i32) {
    let seconds = i64::from(seconds_west.unsigned_abs());
    writer.push(if seconds_west <= 0 { b"+" } else { b"-" });
    two(writer, seconds / 3600);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    if minutes != 0 || seconds != 0 {
        writer.push(b":");
        two(writer, minutes);
    }
    if seconds != 0 {
        writer.push(b":");
        two(writer, seconds);
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
    number(writer, year, 4);
    writer.push(b"-");
    two(writer, month);
    writer.push(b"-");
    two(writer, day);
}

fn before_christ(writer: &mut Writer, year: i64) {
    if year <= 0 {
        writer.push(b" BC");
    }
}

fn fraction(writer: &mut Writer, microseconds: i64) {
    if microseconds == 0 {
        return;
    }
    writer.push(b".");
    let start = writer.len();
    number(writer, microseconds, 6);
    let zeros = (0..6).take_while(|power| microseconds % 10_i64.pow(power + 1) == 0).count();
    writer.truncate(start + 6 - zeros);
}

fn two(writer: &mut Writer, value: i64) {
    number(writer, value, 2);
}

/// Decimal digits, padded with zeros to `width`.
fn number(writer: &mut Writer, value: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    while rest != 0 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    writer.push(&digits[start.min(digits.len() - width)..]);
}
