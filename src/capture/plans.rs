//! The plans of this backend: made at a relation's first row, dropped when PostgreSQL says that something about
//! the relation changed, told when what they wrote is rolled back.

use std::collections::HashMap;

use pgrx::pg_sys::{self, Oid};

use super::plan::Plan;
use crate::error::Error;
use crate::pg::local::Local;
use crate::pg::transaction::{self, Event, Step};

static PLANS: Local<Option<HashMap<Oid, Box<Plan>>>> = Local::new(None);
/// The plan used last and whether it still holds.
static LAST: Local<Option<(Oid, *mut Plan)>> = Local::new(None);
/// Plans that are out of date, freed when no row is being captured.
static STALE: Local<Vec<Oid>> = Local::new(Vec::new());

pub fn register() {
    // SAFETY: the callbacks are plain functions that live as long as the process.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0_usize));
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::TYPEOID as i32,
            Some(type_changed),
            pg_sys::Datum::from(0_usize),
        );
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            Some(schema_changed),
            pg_sys::Datum::from(0_usize),
        );
    }
    transaction::register(Step::Plans, ends);
}

/// The plan for a relation, made if need be. It stays in place until the next call.
///
/// # Safety
/// The relation must be open, inside a transaction.
#[inline(always)]
pub unsafe fn of(target: pg_sys::Relation) -> &'static mut Plan {
    // SAFETY: the relation is open; the plan used last is in its place as long as nothing has marked it stale.
    unsafe {
        let relation = (*target).rd_id;
        if let Some((last, plan)) = LAST.get()
            && last == relation
        {
            return &mut *plan;
        }
        find_or_make(relation, target)
    }
}

/// # Safety
/// As [`of`].
unsafe fn find_or_make(key: Oid, target: pg_sys::Relation) -> &'static mut Plan {
    // SAFETY: no reference to a plan is held here, so stale ones can go.
    unsafe {
        let plans = PLANS.in_place().get_or_insert_with(HashMap::new);
        LAST.set(None);
        for stale in STALE.in_place().drain(..) {
            if let Some(plan) = plans.remove(&stale) {
                plan.free();
            }
        }
        if !plans.contains_key(&key) {
            // Making a plan reads catalogs, which may mark others stale: nothing of the map is borrowed.
            let plan = Box::new(Plan::make(target));
            PLANS.in_place().get_or_insert_with(HashMap::new).insert(key, plan);
        }
        let plans = PLANS.in_place().get_or_insert_with(HashMap::new);
        let Some(plan) = plans.get_mut(&key) else { Error::Internal { problem: "a plan was lost".into() }.raise() };
        let plan: *mut Plan = &mut **plan;
        LAST.set(Some((key, plan)));
        &mut *plan
    }
}

unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: Oid) {
    // A partition's plan says the name and key of the table that was enabled.
    mark_stale(|key, plan| {
        relation == Oid::INVALID
            || *key == relation
            || plan.enabled() == relation
            || plan.row_types().contains(&relation)
    });
}

unsafe extern "C-unwind" fn type_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    mark_stale(|_, plan| !plan.row_types().is_empty());
}

unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    mark_stale(|_, _| true);
}

/// Notes plans as out of date. They may be in use: they go at the next look-up.
fn mark_stale(is_stale: impl Fn(&Oid, &Plan) -> bool) {
    LAST.set(None);
    // SAFETY: PostgreSQL may call this while a plan is in use, which is only read here, and never while one is freed.
    let (plans, stale) = unsafe { (&*PLANS.as_ptr(), STALE.in_place()) };
    for (key, plan) in plans.iter().flatten() {
        if is_stale(key, plan) && !stale.contains(key) {
            stale.push(*key);
        }
    }
}

fn ends(event: Event) {
    match event {
        Event::Commit => settle(|_| Some(0)),
        Event::Prepare | Event::Abort => settle(|pending| (pending == 0).then_some(0)),
        Event::SubAbort(subtransaction) => settle(|pending| (pending < subtransaction).then_some(pending)),
        Event::Ending => {}
    }
}

/// Lets `keep` decide about every version's row by the subtransaction that wrote it.
fn settle(keep: impl Fn(u32) -> Option<u32>) {
    // SAFETY: no row is being recorded when a transaction or a subtransaction ends.
    for plan in unsafe { PLANS.in_place() }.iter_mut().flat_map(HashMap::values_mut) {
        plan.settle(&keep);
    }
}
