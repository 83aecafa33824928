//! Which database maintenance runs in next, and when.
//!
//! The caller passes the time and the rest between runs, which may change while the server runs; a step of the system's
//! clock has no effect. A database is the number of its OID, and nothing here calls PostgreSQL.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// Nothing but for events of transactions that are still under way.
    Waiting,
    /// There is more to do; others have their turn first.
    Unfinished,
    /// The database is being restored.
    Early,
    /// The extension is not there.
    Absent,
    /// Another session needed exclusive access to the database, or the server shuts down.
    Left,
    /// An error ended it.
    Failed,
}

/// When a database without the extension is checked again, unless a backend requests it.
const RARELY: Duration = Duration::from_secs(3600);
/// The longest rest after failures, where runs are not rarer than that anyway.
const LONGEST_REST: Duration = Duration::from_secs(900);
/// The shortest time between runs in databases that request them.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The databases, how their last runs ended, and the requests for others.
#[derive(Default)]
pub struct Schedule {
    plans: BTreeMap<u32, Plan>,
    listed_at: Option<Instant>,
    /// Before it nothing runs.
    paused_until: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Plan {
    /// The end of the last run and how it ended.
    last: Option<(Instant, Outcome)>,
    /// How many runs in a row have ended so.
    repeated: u32,
    is_asked: bool,
}

impl Schedule {
    /// Notes the request of a database. One that is not listed makes the list due.
    pub fn ask(&mut self, database: u32) {
        match self.plans.get_mut(&database) {
            Some(plan) => plan.is_asked = true,
            None => self.listed_at = None,
        }
    }

    /// Treats every database as if it had requested a run.
    pub fn ask_all(&mut self) {
        self.listed_at = None;
        self.plans.values_mut().for_each(|plan| plan.is_asked = true);
    }

    /// Whether the list of databases is older than the time between runs.
    pub fn needs_list(&self, now: Instant, nap: Duration) -> bool {
        self.listed_at.is_none_or(|listed_at| now >= listed_at + nap)
    }

    /// Takes the databases that there are now. A new one is due at once.
    pub fn list(&mut self, databases: &[u32], now: Instant) {
        self.listed_at = Some(now);
        self.plans.retain(|database, _| databases.contains(database));
        for database in databases {
            self.plans.entry(*database).or_default();
        }
    }

    /// Removes a database until the next list that has it.
    pub fn forget(&mut self, database: u32) {
        self.plans.remove(&database);
    }

    /// The database whose turn it is: of those that are due, first those with a request, then the one that has waited
    /// longest.
    pub fn next(&self, now: Instant, nap: Duration) -> Option<u32> {
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.plans
            .iter()
            .filter(|(_, plan)| plan.due(nap).is_none_or(|due| due <= now))
            .min_by_key(|(_, plan)| (!plan.is_asked, plan.due(nap)))
            .map(|(database, _)| *database)
    }

    /// Records the end of a run.
    pub fn settle(&mut self, database: u32, outcome: Outcome, now: Instant) {
        if let Some(plan) = self.plans.get_mut(&database) {
            let is_again = plan.last.is_some_and(|(_, before)| before == outcome);
            let repeated = if is_again { plan.repeated.saturating_add(1) } else { 1 };
            *plan = Plan { last: Some((now, outcome)), repeated, is_asked: false };
        }
    }

    /// Runs nothing for a time, as where no worker can be started.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// How long nothing is to be done.
    pub fn rest(&self, now: Instant, nap: Duration) -> Duration {
        let due = self.plans.values().map(|plan| plan.due(nap).unwrap_or(now)).min();
        let next = self.listed_at.map_or(now, |listed_at| due.unwrap_or(now + nap).min(listed_at + nap));
        let next = self.paused_until.map_or(next, |until| next.max(until));
        next.saturating_duration_since(now)
    }
}

impl Plan {
    /// When the next run is due; `None` where there was none yet.
    fn due(&self, nap: Duration) -> Option<Instant> {
        let (at, outcome) = self.last?;
        Some(at + self.rest(outcome, nap))
    }

    fn rest(&self, outcome: Outcome, nap: Duration) -> Duration {
        // Doubled with each repetition.
        let doubled = |first: Duration| first.saturating_mul(1 << self.repeated.saturating_sub(1).min(20));
        match outcome {
            // A request does not shorten the rest of a database that fails: every one of its backends may request a
            // run.
            Outcome::Failed => doubled(nap).min(LONGEST_REST.max(nap)),
            _ if self.is_asked => SHORTEST_REST,
            Outcome::Done | Outcome::Early | Outcome::Left => nap,
            Outcome::Waiting => doubled(SHORTEST_REST).min(nap),
            Outcome::Unfinished => Duration::ZERO,
            Outcome::Absent => RARELY.max(nap),
        }
    }
}
