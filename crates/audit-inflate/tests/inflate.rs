//! Decompression piece by piece, against compressors of both formats.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use audit_inflate::{Corrupt, Inflate};
use proptest::prelude::*;

const CHUNKS: [usize; 5] = [1, 2, 3, 7, 4096];

/// A compressor of PostgreSQL's format that takes the longest of all matches.
fn pglz(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut control = 0;
    let mut items = 8;
    let mut at = 0;
    while at < plain.len() {
        if items == 8 {
            (control, items) = (out.len(), 0);
            out.push(0);
        }
        let (length, offset) = longest(plain, at);
        if length < 3 {
            out.push(plain[at]);
            at += 1;
        } else {
            out[control] |= 1 << items;
            let high = u8::try_from(offset >> 8 << 4).unwrap();
            let low = u8::try_from(offset & 0xFF).unwrap();
            match length {
                18.. => out.extend([high | 0x0F, low, u8::try_from(length - 18).unwrap()]),
                _ => out.extend([high | u8::try_from(length - 3).unwrap(), low]),
            }
            at += length;
        }
        items += 1;
    }
    out
}

fn longest(plain: &[u8], at: usize) -> (usize, usize) {
    let equal = |offset: &usize| (at..plain.len()).take(273).take_while(|&i| plain[i] == plain[i - offset]).count();
    let offsets = [1, 2, 3, 5, 8, 26, 255, 256, 257, 1000, 4094, 4095];
    offsets.into_iter().filter(|&offset| offset <= at).map(|offset| (equal(&offset), offset)).max().unwrap_or((0, 0))
}

/// All that comes out when the data is pushed in chunks of one size, and the first error.
fn read(mut inflate: Inflate, data: &[u8], chunk: usize) -> (Vec<u8>, Result<(), Corrupt>) {
    let mut plain = Vec::new();
    for chunk in data.chunks(chunk) {
        if let Err(corrupt) = inflate.push(chunk, &mut |bytes| plain.extend_from_slice(bytes)) {
            let again = inflate.push(&[], &mut |_| panic!("bytes after an error"));
            assert_eq!((again, inflate.finish()), (Err(corrupt), Err(corrupt)));
            return (plain, Err(corrupt));
        }
    }
    (plain, inflate.finish())
}

fn samples() -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    };
    let block = noise(4095);
    let far = noise(65535);
    vec![
        b"a".to_vec(),
        b"abcabcabcabcabcabcd".to_vec(),
        vec![b'x'; 200_000],
        "to be or not to be, ".repeat(10_000).into_bytes(),
        [block.clone(), block.clone(), block].concat(),
        [far.clone(), far.clone(), far].concat(),
        noise(20_000),
        [noise(5000), vec![0; 5000], noise(300), vec![7; 19]].concat(),
    ]
}

#[test]
fn values_come_out_whole() {
    for plain in samples() {
        let (own, lz4) = (pglz(&plain), lz4_flex::block::compress(&plain));
        for chunk in CHUNKS {
            assert!(read(Inflate::pglz(plain.len()), &own, chunk) == (plain.clone(), Ok(())));
            assert!(read(Inflate::lz4(plain.len()), &lz4, chunk) == (plain.clone(), Ok(())));
        }
    }
}

#[test]
fn the_greatest_offset_is_reached() {
    let samples = samples();
    assert!(pglz(&samples[4]).len() < 6000);
    assert!(lz4_flex::block::compress(&samples[5]).len() < 70_000);
}

#[test]
fn pieces_are_bounded() {
    let plain = vec![b'x'; 1_000_000];
    for (inflate, data, bound) in [
        (Inflate::pglz(plain.len()), pglz(&plain), 8 * 1024),
        (Inflate::lz4(plain.len()), lz4_flex::block::compress(&plain), 128 * 1024),
    ] {
        let mut inflate = inflate;
        let mut length = 0;
        let mut piece = |bytes: &[u8]| {
            assert!(bytes.len() <= bound);
            length += bytes.len();
        };
        assert_eq!(inflate.push(&data, &mut piece), Ok(()));
        assert_eq!(inflate.finish(), Ok(()));
        assert_eq!(length, plain.len());
    }
}

#[test]
fn empty_values() {
    for chunk in CHUNKS {
        assert_eq!(read(Inflate::pglz(0), &[], chunk), (vec![], Ok(())));
        assert_eq!(read(Inflate::lz4(0), &[0], chunk), (vec![], Ok(())));
        assert_eq!(read(Inflate::pglz(0), &[0], chunk).1, Err(Corrupt::Surplus));
        assert_eq!(read(Inflate::lz4(0), &[], chunk).1, Err(Corrupt::Truncated));
    }
}

#[test]
fn the_last_pglz_reference_may_reach_beyond_the_end() {
    let data = [0b10, b'x', 0x0F, 1, 255];
    assert_eq!(read(Inflate::pglz(274), &data, 1), (vec![b'x'; 274], Ok(())));
    assert_eq!(read(Inflate::pglz(10), &data, 1), (vec![b'x'; 10], Ok(())));
    assert_eq!(read(Inflate::pglz(275), &data, 1).1, Err(Corrupt::Truncated));
}

#[test]
fn damage_is_found() {
    use Corrupt::{Reference, Surplus, Truncated};
    for chunk in CHUNKS {
        for (data, size, corrupt) in [
            (&[0b1, 0x00, 1][..], 3, Reference),
            (&[0b10, b'x', 0x00, 0][..], 4, Reference),
            (&[0b10, b'x', 0x00, 2][..], 4, Reference),
            (&[0b10, b'x', 0x0F, 1][..], 274, Truncated),
            (&[0, b'x', b'y'][..], 1, Surplus),
            (&[0, b'x'][..], 2, Truncated),
        ] {
            assert_eq!(read(Inflate::pglz(size), data, chunk).1, Err(corrupt), "pglz {data:?}");
        }
        for (data, size, corrupt) in [
            (&[0x10, b'x', 0, 0, 0x10, b'y'][..], 6, Reference),
            (&[0x10, b'x', 2, 0, 0x10, b'y'][..], 6, Reference),
            (&[0x10, b'x', 1, 0][..], 5, Truncated),
            (&[0x10, b'x', 1, 0, 0x00][..], 4, Surplus),
            (&[0x20, b'x', b'y'][..], 1, Surplus),
            (&[0x20, b'x'][..], 2, Truncated),
            (&[0xF0, 255, 255, 255, 255, 255][..], 600, Surplus),
            (&[0x1F, b'x', 1, 0, 255, 255, 255, 0][..], 600, Surplus),
        ] {
            assert_eq!(read(Inflate::lz4(size), data, chunk).1, Err(corrupt), "lz4 {data:?}");
        }
    }
    let messages = [Reference, Surplus, Truncated].map(|corrupt| corrupt.to_string());
    assert!(messages.iter().all(|message| message.starts_with("compressed data ")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_comes_back(plain in prop::collection::vec(0_u8..3, 0..3000), chunk in 1_usize..50) {
        prop_assert_eq!(read(Inflate::pglz(plain.len()), &pglz(&plain), chunk), (plain.clone(), Ok(())));
        let lz4 = lz4_flex::block::compress(&plain);
        prop_assert_eq!(read(Inflate::lz4(plain.len()), &lz4, chunk), (plain, Ok(())));
    }

    #[test]
    fn any_data_is_read_or_refused(
        data in prop::collection::vec(any::<u8>(), 0..300), size in 0_usize..10_000, chunk in 1_usize..50,
    ) {
        for begin in [Inflate::pglz, Inflate::lz4] {
            let (plain, result) = read(begin(size), &data, chunk);
            prop_assert!(plain.len() <= size);
            prop_assert_eq!(read(begin(size), &data, 4096).1, result);
            prop_assert_eq!(result.is_ok() && plain.len() != size, false);
        }
    }

    #[test]
    fn lz4_agrees_with_another_reader(data in prop::collection::vec(0_u8..32, 1..60), size in 1_usize..600) {
        if let Ok(expected) = lz4_flex::block::decompress(&data, size)
            && expected.len() == size
        {
            prop_assert_eq!(read(Inflate::lz4(size), &data, 3), (expected, Ok(())));
        }
    }
}
