//! Which database the launcher runs maintenance in next, without a server.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::expect_used)]

use std::time::{Duration, Instant};

use audit_schedule::{Outcome, Schedule};

const NAP: Duration = Duration::from_secs(180);

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A schedule of these databases, each with one run at `now` with this outcome.
fn after_a_run(databases: &[u32], outcome: Outcome, now: Instant) -> Schedule {
    let mut schedule = Schedule::default();
    assert!(schedule.needs_list(now, NAP));
    schedule.list(databases, now);
    for _ in databases {
        let next = schedule.next(now, NAP).expect("one without a run is due");
        schedule.settle(next, outcome, now);
    }
    schedule
}

#[test]
fn every_database_has_its_turn_after_the_nap() {
    let now = Instant::now();
    let mut schedule = after_a_run(&[3, 1, 2], Outcome::Done, now);
    // Whatever has more to do waits until the others, which are due as long, have had theirs.
    for (second, database) in [(0, 1), (1, 2), (2, 3)] {
        schedule.settle(database, Outcome::Done, now + seconds(second));
    }
    assert_eq!(schedule.rest(now, NAP), NAP);
    assert_eq!(schedule.next(now + NAP - seconds(1), NAP), None);
    let later = now + NAP + seconds(3);
    let order = [1, 2, 3].map(|_| {
        let next = schedule.next(later, NAP).expect("all are due");
        schedule.settle(next, if next == 1 { Outcome::Unfinished } else { Outcome::Done }, later);
        next
    });
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(schedule.next(later, NAP), Some(1));
}

#[test]
fn a_shorter_nap_holds_at_once() {
    let now = Instant::now();
    let schedule = after_a_run(&[1], Outcome::Done, now);
    assert_eq!(schedule.next(now + seconds(2), NAP), None);
    assert_eq!(schedule.next(now + seconds(2), seconds(2)), Some(1));
    assert!(schedule.needs_list(now + seconds(2), seconds(2)));
}

#[test]
fn who_asks_comes_first_and_not_more_than_once_a_second() {
    let now = Instant::now();
    let mut schedule = after_a_run(&[1, 2], Outcome::Done, now);
    let later = now + NAP;
    schedule.ask(2);
    assert_eq!(schedule.next(now, NAP), None);
    assert_eq!(schedule.rest(now, NAP), seconds(1));
    assert_eq!(schedule.next(now + seconds(1), NAP), Some(2));
    assert_eq!(schedule.next(later, NAP), Some(2));
    schedule.settle(2, Outcome::Done, later);
    assert_eq!(schedule.next(later, NAP), Some(1));
    schedule.settle(1, Outcome::Done, later);
    schedule.ask_all();
    assert!(schedule.needs_list(later, NAP));
    assert_eq!(schedule.next(later + seconds(1), NAP), Some(1));
}

#[test]
fn who_asks_and_is_not_listed_makes_the_list_be_read() {
    let now = Instant::now();
    let mut schedule = after_a_run(&[1], Outcome::Done, now);
    assert!(!schedule.needs_list(now, NAP));
    schedule.ask(2);
    assert!(schedule.needs_list(now, NAP));
    assert_eq!(schedule.rest(now, NAP), Duration::ZERO);
    schedule.list(&[2], now);
    assert_eq!(schedule.next(now, NAP), Some(2));
    schedule.forget(2);
    assert_eq!(schedule.next(now + NAP, NAP), None);
}

#[test]
fn a_database_without_the_extension_is_checked_hourly_or_on_request() {
    let now = Instant::now();
    let mut schedule = after_a_run(&[1], Outcome::Absent, now);
    assert_eq!(schedule.next(now + seconds(3599), NAP), None);
    assert_eq!(schedule.next(now + seconds(3600), NAP), Some(1));
    schedule.ask(1);
    assert_eq!(schedule.next(now + seconds(1), NAP), Some(1));
}

/// The rest after each of several runs that end so one after another.
fn rests(outcome: Outcome, nap: Duration) -> Vec<u64> {
    let mut now = Instant::now();
    let mut schedule = after_a_run(&[1], outcome, now);
    let rest_again = |_| {
        schedule.list(&[1], now);
        let due =
            (0..).find(|second| schedule.next(now + seconds(*second), nap).is_some()).expect("it is due some time");
        now += seconds(due);
        schedule.settle(1, outcome, now);
        due
    };
    (0..8).map(rest_again).collect()
}

#[test]
fn failures_and_waiting_make_runs_rarer() {
    assert_eq!(rests(Outcome::Failed, NAP), [180, 360, 720, 900, 900, 900, 900, 900]);
    assert_eq!(rests(Outcome::Failed, seconds(1)), [1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!(rests(Outcome::Failed, seconds(5000))[..2], [5000, 5000]);
    assert_eq!(rests(Outcome::Waiting, NAP), [1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!(rests(Outcome::Left, NAP)[..2], [180, 180]);
    assert_eq!(rests(Outcome::Early, NAP)[..2], [180, 180]);
    // Asking does not hurry one that fails, and a success forgets the failures.
    let now = Instant::now();
    let mut schedule = after_a_run(&[1], Outcome::Failed, now);
    schedule.ask(1);
    assert_eq!(schedule.next(now + seconds(100), NAP), None);
    schedule.settle(1, Outcome::Done, now);
    schedule.settle(1, Outcome::Failed, now);
    assert_eq!(schedule.rest(now, NAP), NAP);
}

#[test]
fn a_pause_holds_for_all() {
    let now = Instant::now();
    let mut schedule = Schedule::default();
    schedule.list(&[1], now);
    schedule.pause(now + seconds(60));
    assert_eq!(schedule.next(now, NAP), None);
    assert_eq!(schedule.rest(now, NAP), seconds(60));
    assert_eq!(schedule.next(now + seconds(60), NAP), Some(1));
}
