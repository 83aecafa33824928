//! Memory does not grow with the archive.

mod archive;

use std::io::Write;

use archive::{Place, REST, dictionaries, start};
use serde_json::json;

/// What the executable may take, whatever it writes.
const LIMIT_KB: u64 = 256 * 1024;
const EVENTS: u32 = 1_000_000;

/// The greatest resident memory of a process so far, in kB; none when it is gone.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A million events, each in a session and a context of its own with a statement that seldom compresses: the
/// dictionaries outgrow memory too.
#[test]
fn a_million_events_with_as_many_contexts_fit() {
    let place = Place::new();
    let mut child = start("write");
    let process = child.id();
    let observer = std::thread::spawn(move || {
        let mut greatest = 0;
        while let Some(now) = peak(process) {
            greatest = greatest.max(now);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        greatest
    });
    let mut input = std::io::BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    write!(input, "{}\n{}", place.request(json!({})), dictionaries()).unwrap();
    for n in 0..EVENTS {
        writeln!(input, r#"{{"session":{{"node_id":7,"session_id":{n},"token":"{n:x}.1","client_addr":"10.0.0.7"}}}}"#)
            .unwrap();
    }
    for n in 0..EVENTS {
        let noise = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        writeln!(
            input,
            r#"{{"context":{{"node_id":7,"context_id":{n},"session_id":{n},"login":"app","effective_role":"app","actor_source":"login","trace_id":"{noise:032x}","statement":"UPDATE customer SET credit = {n} WHERE name = '{:032x}'"}}}}"#,
            noise.rotate_left(64).wrapping_mul(noise)
        )
        .unwrap();
    }
    for n in 0..EVENTS {
        let noise = u128::from(n + 1).wrapping_mul(0xD134_2543_DE82_EF95_2545_F491_4F6C_DD1D);
        writeln!(
            input,
            "[\"2026-01-05T10:{:02}:{:02}.{:06}+00:00\",\"019b8d00-0000-7000-8000-{n:012x}\",{n},{n},7,1,4,0,\"data\",\"{n}\",\
             [{n},\"Customer {noise:032x} of a long street in a large town, who called on day {}\",{n}.50],{REST}]",
            n / 60_000, n / 1000 % 60, n % 1000, n % 365
        )
        .unwrap();
    }
    writeln!(input, "{{\"end\":{{\"events\":{EVENTS}}}}}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let greatest = observer.join().unwrap();
    assert!(greatest > 1024, "nothing was measured");
    assert!(greatest < LIMIT_KB, "{greatest} kB");
    println!("{greatest} kB at most");
}
