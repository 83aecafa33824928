//! Integers and floats as the numerics that jsonb stores, without going through text.
//!
//! The format is that of src/backend/utils/adt/numeric.c: a header word, then base-10000 digits. The
//! result is what `numeric_in` makes of the number's shortest text, digit for digit.

use crate::jsonb::Writer;

const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT_NEGATIVE: u16 = 0x0040;
const LONG_NEGATIVE: u16 = 0x4000;
/// The header bits of NaN and the infinities.
const SPECIAL: u16 = 0xC000;

/// 32 digits, and up to three zeros after them.
const MOST_GROUPS: usize = 9;

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

/// Sign, weight of the first digit and base-10000 digits of a numeric's payload, which is all that its value is; none
/// of NaN and the infinities.
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
    writer.push(&header(payload.len() + 4).to_ne_bytes());
    writer.push(payload);
}

/// Writes an integer.
pub fn integer(writer: &mut Writer, value: i64) {
    let magnitude = value.unsigned_abs();
    if magnitude < 10_000 {
        let groups = [magnitude as u16];
        return write(writer, value < 0, 0, 0, &groups[..usize::from(magnitude != 0)]);
    }
    scaled(writer, value < 0, u128::from(magnitude), 0, 0);
}

/// Writes a finite number from its decimal text, such as `-1.5e-07`, of no more than 32 characters.
pub fn decimal(writer: &mut Writer, text: &[u8]) {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Eighteen digits and a point fit a word, which is quicker.
    let (mantissa, power) = if text.len() <= 19 {
        let mut word = 0_u64;
        let power = digits(text, |digit| word = word * 10 + u64::from(digit));
        (u128::from(word), power)
    } else {
        let mut wide = 0_u128;
        let power = digits(text, |digit| wide = wide * 10 + u128::from(digit));
        (wide, power)
    };
    scaled(writer, negative, mantissa, power, (-power).max(0));
}

/// Hands over the digits of a number without sign, and returns the power of ten that the last one counts.
#[inline]
fn digits(text: &[u8], mut take: impl FnMut(u8)) -> i32 {
    let (mut fraction, mut after_point) = (0, 0);
    for (position, byte) in text.iter().enumerate() {
        match byte {
            b'.' => after_point = 1,
            b'e' | b'E' => return exponent(&text[position + 1..]) - fraction,
            digit => {
                take(digit - b'0');
                fraction += after_point;
            }
        }
    }
    -fraction
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

/// Writes `mantissa` × 10^`power`, displayed with `scale` digits after the point.
fn scaled(writer: &mut Writer, negative: bool, mantissa: u128, power: i32, scale: i32) {
    // The lowest group counts a power of 10000.
    let shift = [1, 10, 100, 1000][power.rem_euclid(4) as usize];
    let mut groups = [0_u16; MOST_GROUPS];
    let mut first = groups.len();
    let mut rest = match u64::try_from(mantissa).ok().and_then(|mantissa| mantissa.checked_mul(shift)) {
        Some(rest) => rest,
        None => {
            let mut wide = mantissa * u128::from(shift);
            while wide > u128::from(u64::MAX) {
                first -= 1;
                groups[first] = (wide % 10_000) as u16;
                wide /= 10_000;
            }
            wide as u64
        }
    };
    while rest != 0 {
        first -= 1;
        groups[first] = (rest % 10_000) as u16;
        rest /= 10_000;
    }
    let count = groups.len() - first;
    let weight = power.div_euclid(4) + count as i32 - 1;
    let mut last = groups.len();
    while last > first && groups[last - 1] == 0 {
        last -= 1;
    }
    if first == last {
        return write(writer, false, 0, scale, &[]);
    }
    write(writer, negative, weight, scale, &groups[first..last]);
}

/// Writes groups without leading or trailing zeros, of which there are [`MOST_GROUPS`] at most.
fn write(writer: &mut Writer, negative: bool, weight: i32, scale: i32, groups: &[u16]) {
    let mut bytes = [0_u8; 8 + 2 * MOST_GROUPS];
    let digits = if scale <= 63 && (-64..=63).contains(&weight) {
        let mut header = SHORT | (scale as u16) << 7 | (weight & 0x3F) as u16;
        if negative {
            header |= SHORT_NEGATIVE;
        }
        if weight < 0 {
            header |= SHORT_WEIGHT_NEGATIVE;
        }
        bytes[4..6].copy_from_slice(&header.to_ne_bytes());
        6
    } else {
        let header = (scale as u16) & 0x3FFF | if negative { LONG_NEGATIVE } else { 0 };
        bytes[4..6].copy_from_slice(&header.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(weight as i16).to_ne_bytes());
        8
    };
    let mut length = digits;
    for group in groups {
        bytes[length..length + 2].copy_from_slice(&group.to_ne_bytes());
        length += 2;
    }
    bytes[..4].copy_from_slice(&header(length).to_ne_bytes());
    writer.pad();
    writer.push(&bytes[..length]);
}

/// The four-byte header of a varlena of this length, header included.
fn header(length: usize) -> u32 {
    let length = u32::try_from(length).unwrap_or(4);
    if cfg!(target_endian = "little") { length << 2 } else { length }
}
