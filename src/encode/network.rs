//! The types inet and cidr.

use super::digits::PAIRS;
use crate::jsonb::Writer;

/// The family of an IPv4 address (PGSQL_AF_INET of utils/inet.h), and the bits of a whole one.
const IPV4: u8 = 2;
const BITS: u8 = 32;

/// Writes an IPv4 address as network_out of network.c prints it; `false` where it is none. `is_network` is true of
/// cidr, which always has its number of bits.
pub fn ipv4(writer: &mut Writer, payload: &[u8], is_network: bool) -> bool {
    let &[IPV4, bits @ 0..=BITS, a, b, c, d] = payload else { return false };
    let mut text = [0; 18];
    let mut length = 0;
    for (place, octet) in [a, b, c, d].into_iter().enumerate() {
        if place > 0 {
            text[length] = b'.';
            length += 1;
        }
        length = number(&mut text, length, octet);
    }
    if is_network || bits != BITS {
        text[length] = b'/';
        length = number(&mut text, length + 1, bits);
    }
    writer.push(&text[..length]);
    true
}

/// Writes a number of up to three digits at `position` and returns where it ends.
fn number(text: &mut [u8; 18], mut position: usize, value: u8) -> usize {
    if value >= 100 {
        text[position] = b'0' + value / 100;
        position += 1;
    }
    let [tens, ones] = PAIRS[usize::from(value % 100)];
    if value >= 10 {
        text[position] = tens;
        position += 1;
    }
    text[position] = ones;
    position + 1
}
