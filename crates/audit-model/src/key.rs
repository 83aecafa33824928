//! jsonb's order of keys, which whole rows and the changes of an update follow.

use std::cmp::Ordering;

/// The shorter key first, then by bytes (src/backend/utils/adt/jsonb_util.c, lengthCompareJsonbString).
#[inline]
pub fn key_order(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// The members of two objects by name, each with its value on either side; both must be in the order of keys.
pub fn merge<N: AsRef<[u8]>, A, B>(
    one: impl Iterator<Item = (N, A)>,
    other: impl Iterator<Item = (N, B)>,
) -> impl Iterator<Item = (N, Option<A>, Option<B>)> {
    let mut one = one.peekable();
    let mut other = other.peekable();
    std::iter::from_fn(move || {
        let order = match (one.peek(), other.peek()) {
            (Some((one, _)), Some((other, _))) => key_order(one.as_ref(), other.as_ref()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let one = if order.is_le() { one.next() } else { None };
        let other = if order.is_ge() { other.next() } else { None };
        match (one, other) {
            (Some((name, one)), other) => Some((name, Some(one), other.map(|(_, other)| other))),
            (None, Some((name, other))) => Some((name, None, Some(other))),
            (None, None) => None,
        }
    })
}
