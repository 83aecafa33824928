//! Integers and floats as the numerics that jsonb stores, without going through text.
//!
//! The format is that of src/backend/utils/adt/numeric.c: a header word, then base-10000 digits. The
//! result is what `numeric_in` makes of the number's shortest text, digit for digit.

use super::jsonb::Writer;

const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT_NEGATIVE: u16 = 0x0040;
const LONG_NEGATIVE: u16 = 0x4000;
/// The header bits of NaN and the infinities.
const SPECIAL: u16 = 0xC000;

/// Whether a numeric's payload is NaN or an infinity, which JSON has no number for.
pub fn is_special(payload: &[u8]) -> bool {
    matches!(payload, [low, high, ..] if u16::from_ne_bytes([*low, *high]) & SPECIAL == SPECIAL)
}

/// The text of a special numeric (NUMERIC_EXT_SIGNMASK of numeric.c).
pub fn special_text(payload: &[u8]) -> &'static [u8] {
    match payload {
        [low, high, ..] => match u16::from_ne_bytes([*low, *high]) & 0xF000 {
            0xD000 => b"Infinity",
            0xF000 => b"-Infinity",
            _ => b"NaN",
        },
        _ => b"NaN",
    }
}

/// Sign, weight of the first digit and base-10000 digits of a numeric's payload, which is all that its value is; none of
/// NaN and the infinities.
pub fn parts(payload: &[u8]) -> Option<(bool, i16, &[u8])> {
    let (header, rest) = payload.split_first_chunk::<2>()?;
    let header = u16::from_ne_bytes(*header);
    match header & SPECIAL {
        SPECIAL => None,
        SHORT => {
            let weight = i16::try_from(header & 0x3F).unwrap_or(0);
            let weight = if header & SHORT_WEIGHT_NEGATIVE != 0 { weight - 64 } else { weight };
            Some((header & SHORT_NEGATIVE != 0, weight, rest))
        }
        sign => {
            let (weight, digits) = rest.split_first_chunk::<2>()?;
            Some((sign == LONG_NEGATIVE, i16::from_ne_bytes(*weight), digits))
        }
    }
}

/// Writes a numeric whose payload is already canonical.
pub fn numeric(writer: &mut Writer, payload: &[u8]) {
    writer.pad();
    varlena(writer, payload.len());
    writer.push(payload);
}

/// Writes an integer.
pub fn integer(writer: &mut Writer, value: i64) {
    let mut groups = [0_i16; 5];
    let mut count = 0;
    let mut rest = value.unsigned_abs();
    while rest != 0 {
        // A group is below 10000.
        groups[4 - count] = i16::try_from(rest % 10_000).unwrap_or(0);
        rest /= 10_000;
        count += 1;
    }
    let weight = i32::try_from(count).unwrap_or(0) - 1;
    write(writer, value < 0, weight, 0, &groups[5 - count..]);
}

/// Writes a finite number from its shortest decimal text, such as `-1.5e-07`.
pub fn decimal(writer: &mut Writer, text: &[u8]) {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let split = text.iter().position(|byte| *byte == b'e').unwrap_or(text.len());
    let (mantissa, exponent) = (&text[..split], exponent(text.get(split + 1..).unwrap_or_default()));

    let mut digits = [0_u8; 40];
    let mut count = 0;
    let mut fraction = 0;
    let mut point: Option<i32> = None;
    for byte in mantissa {
        if *byte == b'.' {
            point = i32::try_from(count).ok();
        } else if count < digits.len() {
            digits[count] = byte - b'0';
            count += 1;
            fraction += i32::from(point.is_some());
        }
    }
    let scale = (fraction - exponent).max(0);
    let point = point.unwrap_or(i32::try_from(count).unwrap_or(0)) + exponent;
    let leading = digits[..count].iter().take_while(|digit| **digit == 0).count();
    let significant = &digits[leading..count];
    groups(writer, negative, significant, point - i32::try_from(leading).unwrap_or(0), scale);
}

fn exponent(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    if negative { -value } else { value }
}

/// Groups decimal digits by four around the decimal point; `point` counts the digits before it.
fn groups(writer: &mut Writer, negative: bool, digits: &[u8], point: i32, scale: i32) {
    if digits.is_empty() {
        return write(writer, false, 0, scale, &[]);
    }
    let weight = (point - 1).div_euclid(4);
    let padding = usize::try_from((weight + 1) * 4 - point).unwrap_or(0);
    let mut groups = [0_i16; 12];
    for (position, digit) in digits.iter().enumerate() {
        let place = padding + position;
        let unit = [1000, 100, 10, 1][place % 4];
        if let Some(group) = groups.get_mut(place / 4) {
            *group += i16::from(*digit) * unit;
        }
    }
    let count = (padding + digits.len()).div_ceil(4).min(groups.len());
    write(writer, negative, weight, scale, &groups[..count]);
}

fn write(writer: &mut Writer, negative: bool, weight: i32, scale: i32, groups: &[i16]) {
    let used = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    let groups = &groups[..used];
    let (negative, weight) = if used == 0 { (false, 0) } else { (negative, weight) };
    writer.pad();
    if scale <= 63 && (-64..=63).contains(&weight) {
        varlena(writer, 2 + used * 2);
        let mut header = SHORT | (u16::try_from(scale).unwrap_or(0) << 7);
        if negative {
            header |= SHORT_NEGATIVE;
        }
        if weight < 0 {
            header |= SHORT_WEIGHT_NEGATIVE;
        }
        header |= u16::try_from(weight.rem_euclid(64)).unwrap_or(0) & 0x3F;
        writer.push(&header.to_ne_bytes());
    } else {
        varlena(writer, 4 + used * 2);
        let header = u16::try_from(scale).unwrap_or(0) & 0x3FFF | if negative { LONG_NEGATIVE } else { 0 };
        writer.push(&header.to_ne_bytes());
        writer.push(&i16::try_from(weight).unwrap_or(0).to_ne_bytes());
    }
    for group in groups {
        writer.push(&group.to_ne_bytes());
    }
}

fn varlena(writer: &mut Writer, payload: usize) {
    let length = u32::try_from(payload + 4).unwrap_or(4);
    let header = if cfg!(target_endian = "little") { length << 2 } else { length };
    writer.push(&header.to_ne_bytes());
}
