//! Two years of a trail: partitions that close and merge, policies by age, size and table, holds, archives. Then every
//! event that was ever made is accounted for.

// clippy.toml permits it in test functions, and these serve them.
#![allow(clippy::unwrap_used)]

use audit_testing::retention::{self, ALONE, SEE, Trail};
use audit_testing::server::wait_until;
use audit_testing::trail;

/// A step is three weeks.
const STEPS: u32 = 36;

const SETUP: &str = "
    CREATE TABLE customer (id int PRIMARY KEY, name text);
    CREATE TABLE click (id int PRIMARY KEY, page text);
    CREATE TABLE measure (id int PRIMARY KEY, value text);
    CREATE TABLE late (id int PRIMARY KEY);
    CREATE TABLE scratch (id int PRIMARY KEY);
    SELECT audit.enable('customer'), audit.enable('click'), audit.enable('measure'), audit.enable('late');
    SELECT audit.enable('scratch', 'comprehensive');
    SELECT audit.define_event_type('order.paid', parameters => '{\"amount\": \"numeric\"}');
    SELECT audit.set_retention('data', '1 year', archive => true);
    SELECT audit.set_retention('data', '30 days', archive => false, target => 'click');
    SELECT audit.set_retention('data', max_bytes => 1000000, target => 'measure', partition_interval => '21 days');
    SELECT audit.set_retention('read', '28 days');
    SELECT audit.set_retention('security', '6 months', archive => true);
    SELECT audit.set_retention('schema', '1 year', partition_interval => '14 days');
    SELECT audit.set_retention('system', '1 year', archive => true);
    SELECT audit.set_retention('application', '90 days', archive => true, archive_keep => '1 year');";

/// Noon of a day every three weeks, from the first of 2030 on.
fn time(step: u32) -> String {
    format!("2030-01-01 12:00+00'::timestamptz + interval '{} days", step * 21)
}

/// What happens at each step, in every category.
fn work(step: u32) -> String {
    let actor = ["ann", "bob", "cy"][step as usize % 3];
    let result = if step.is_multiple_of(2) { "'failure'" } else { "NULL" };
    format!(
        "SET audit.actor = '{actor}'; SET audit.reason = 'step {step}';
         INSERT INTO customer SELECT {step} * 10 + n, 'of step {step}' FROM generate_series(1, 5) n;
         UPDATE customer SET name = 'in step {step}' WHERE id IN (5, {step} * 10 + 1);
         DELETE FROM customer WHERE id = {step} * 10 + 2;
         INSERT INTO click SELECT {step} * 10 + n, '/' FROM generate_series(1, 3) n;
         INSERT INTO measure SELECT {step} * 100 + n, repeat(md5(n::text), 10) FROM generate_series(1, 40) n;
         INSERT INTO late VALUES ({step});
         INSERT INTO scratch SELECT n FROM generate_series(1, 3) n; TRUNCATE scratch;
         SELECT audit_internal.emit('table.read', '{{\"rows\": 3}}', NULL, NULL, 'customer', NULL),
                audit_internal.emit('session.login', '{{}}', NULL, NULL, NULL, {result}),
                audit_internal.emit('object.alter', '{{\"command\": \"ALTER TABLE\"}}', 'public.view{step}', NULL, NULL, NULL),
                audit.record('order.paid', '{{\"amount\": {step}.5}}', 'order', '{step}');
         RESET audit.actor;"
    )
}

/// What else happens at some steps, after the work.
fn special(step: u32) -> &'static str {
    match step {
        1 => "SELECT audit.hold('row', 'case 1', 'public.customer', entity_id => '5')",
        2 => "SELECT audit.hold('actor', 'case 2', actor => 'ann')",
        7 => "SELECT audit.set_retention('data', '18 months', target => 'late')",
        11 => "SELECT audit.hold('time', 'case 3', since => '2030-07-30', until => '2030-08-06')",
        13 => "SELECT audit.hold('table', 'case 4', 'public.click')",
        16 => "SELECT audit.release('table')",
        27 => "SELECT audit.release('actor', 'settled')",
        28 => "SELECT audit.hold('all', 'everything stops')",
        30 => "SELECT audit.release('all')",
        31 => "SELECT audit.release('row')",
        33 => "SELECT audit.release('time')",
        _ => "",
    }
}

/// Of a hold that has lasted: which of the events that were seen it covers. The step is the last one before its
/// release.
fn held(step: u32) -> Option<&'static str> {
    Some(match step {
        15 => "s.entity = 'public.click' AND s.occurred_at > '2030-09-15'",
        26 => "s.actor = 'ann' AND s.occurred_at > '2030-02-10'",
        29 => "s.occurred_at > '2031-07-25' OR s.category IN ('schema', 'system') AND s.occurred_at > '2030-08-15'",
        30 => "s.entity = 'public.customer' AND s.entity_id = '5'",
        32 => "s.occurred_at >= '2030-07-30' AND s.occurred_at < '2030-08-06'",
        _ => return None,
    })
}

#[test]
fn two_years_of_life_are_accounted_for() {
    let trail = Trail::start(&[ALONE], &time(0), SETUP);
    for step in 0..STEPS {
        // The server is off for a month.
        if (20..22).contains(&step) {
            continue;
        }
        trail.at(&time(step), &format!("{SEE}{};{};{SEE}CALL audit.maintain()", work(step), special(step)));
        if step == 17 {
            // A clock that is wrong by months leads to partitions that have closed.
            trail.at(&time(13), &format!("{};{SEE}", work(1000)));
            assert_ne!(trail.at(&time(17), "SELECT count(*) FROM audit_internal.events_overflow"), "0");
        }
        if let Some(covered) = held(step) {
            let missing = format!(
                "SELECT count(*) || ' of ' || (SELECT count(*) FROM proof.seen s WHERE {covered}) FROM proof.seen s
                 WHERE ({covered}) AND NOT EXISTS (SELECT FROM audit.trail t WHERE t.event_id = s.event_id)"
            );
            let missing = trail.at(&time(step), &missing);
            assert!(
                missing.starts_with("0 of ") && missing != "0 of 0",
                "step {step}: {missing} are gone under a hold"
            );
        }
        if step % 9 == 8 {
            // Two are ahead.
            let many = "SELECT l.parent, count(*) FROM audit.partitions l WHERE l.since <= audit_internal.clock() AND l.parent LIKE 'events%'
                        GROUP BY 1 HAVING count(*) > 24";
            assert_eq!(trail.at(&time(step), many), "", "too many partitions at step {step}");
            trail::expect_whole(&trail.server, "postgres");
        }
    }
    let end = time(STEPS);
    trail.at(&end, &format!("{SEE}CALL audit.maintain();{SEE}CALL audit.maintain();{SEE}"));
    expect_accounts(&trail, &end);
    let errors = trail.server.log();
    assert!(!errors.contains("ERROR") && !errors.contains("WARNING"), "{errors}");
}

/// The partitions' owner as prunes and archives name it: a category, or a retention of a table.
const OWNERS: &str = "
    CREATE VIEW proof.notes AS
    SELECT s.event, substring(s.entity FROM '^audit_internal\\.events_(dedicated_\\d+|[a-z]+)') AS owner, (s.parameters->>'events')::bigint AS events,
           s.parameters->>'archive_id' AS archive_id, s.parameters->>'action' AS action
    FROM proof.seen s WHERE s.event IN ('retention.prune', 'retention.archive');
    CREATE VIEW proof.owned AS
    SELECT s.*, coalesce((SELECT 'dedicated_' || p.retention_id FROM audit_internal.retention_settings p
                          WHERE s.category = 'data' AND p.lineage IS NOT NULL AND p.entity = s.entity), s.category) AS owner
    FROM proof.seen s;";

fn expect_accounts(trail: &Trail, end: &str) {
    trail.at(end, OWNERS);
    assert_eq!(trail.at(end, "SELECT count(*) FROM audit.holds"), "0");
    trail.expect_unchanged(end);
    // Nothing is left of the time that no policy keeps: no partition, no context, no session.
    let old = "SELECT l.partition_name FROM audit.partitions l
               WHERE l.until < audit_internal.clock() - interval '20 months'";
    assert_eq!(trail.at(end, old), "");
    let live =
        trail.at(end, "CREATE TABLE proof.live AS SELECT event_id FROM audit.trail; SELECT count(*) FROM proof.live");
    let restored = trail
        .at(end, "SELECT sum(audit.restore_archive(a.archive_id)) FROM audit.archives a WHERE a.pruned_at IS NOT NULL");
    let count = |sql: &str| trail.at(end, sql);
    assert!(restored.parse::<u64>().unwrap() > 1000, "{restored} of {live} events came back");
    trail::expect_whole(&trail.server, "postgres");
    trail.expect_unchanged(end);
    let twice = "SELECT count(*) FROM proof.live l JOIN audit.events e USING (event_id) WHERE e.retention_id < 0";
    assert_eq!(count(twice), "0", "events of the trail are in archives whose events had gone");

    // What has gone for good is what prunes without archive say, to the last event.
    let gone = "SELECT o.owner, count(*) FROM proof.owned o
                WHERE NOT EXISTS (SELECT FROM audit.trail t WHERE t.event_id = o.event_id) GROUP BY 1 ORDER BY 1";
    let noted = "SELECT n.owner, sum(n.events) FROM proof.notes n WHERE n.event = 'retention.prune'
                   AND (n.archive_id IS NULL OR n.action = 'delete archive') GROUP BY 1 ORDER BY 1";
    assert_eq!(count(gone), count(noted), "events that have gone, and prunes");
    let click = count(
        "SELECT 'dedicated_' || retention_id FROM audit_internal.retention_settings WHERE entity = 'public.click'",
    );
    let owners = count(&format!("SELECT string_agg(g.owner, ' ') FROM ({gone}) g"));
    assert_eq!(owners, format!("application {click} read schema"));

    // What was archived was let go with it, and came back unless the archive itself has been deleted.
    let archived =
        "SELECT n.owner, sum(n.events) FROM proof.notes n WHERE n.event = 'retention.archive' GROUP BY 1 ORDER BY 1";
    let let_go = "SELECT n.owner, sum(n.events) FROM proof.notes n
                  WHERE n.event = 'retention.prune' AND n.archive_id IS NOT NULL AND n.action <> 'delete archive' GROUP BY 1 ORDER BY 1";
    let back = "SELECT x.owner, sum(x.n) FROM (
                    SELECT o.owner, count(*) AS n FROM proof.owned o JOIN audit.events e USING (event_id) WHERE e.retention_id < 0 GROUP BY 1
                    UNION ALL SELECT n.owner, n.events FROM proof.notes n WHERE n.action = 'delete archive') x GROUP BY 1 ORDER BY 1";
    assert_eq!(count(archived), count(let_go), "events archived, and let go with an archive");
    assert_eq!(count(archived), count(back), "events archived, and brought back or deleted with the archive");
    for owner in ["data", "security", "system", "application"] {
        assert!(count(archived).contains(&format!("{owner}|")), "{owner} was never archived");
    }
}

/// A connection that rests for longer than its events are kept still says who it is.
#[test]
fn a_connection_outlives_its_session() {
    let trail = Trail::start(
        &[ALONE],
        "2030-01-15",
        "CREATE TABLE t (id int PRIMARY KEY);
         SELECT audit.enable('t');
         SELECT audit.set_retention(c, '1 month') FROM unnest('{data,read,security,schema,system,application}'::text[]) c;",
    );
    let mut client = trail.connect("2030-01-15");
    client.batch_execute("INSERT INTO t VALUES (1)").unwrap();
    // It rests for longer than events are kept, so that nothing refers to its session any more.
    for month in [3, 5, 7, 9] {
        let time = format!("2030-0{month}-20");
        trail.at(&time, "CALL audit.maintain()");
        client.batch_execute(&retention::clock(&time)).unwrap();
        // Twice, as the first may be rolled back.
        let sql = format!("BEGIN; INSERT INTO t VALUES ({month}); ROLLBACK; INSERT INTO t VALUES ({month})");
        client.batch_execute(&sql).unwrap();
        trail::expect_whole(&trail.server, "postgres");
    }
    let sessions = "SELECT count(*), count(DISTINCT t.session_id), count(*) FILTER (WHERE t.session_id IS NULL)
                    FROM audit.trail t WHERE t.event = 'row.insert'";
    assert_eq!(trail.at("2030-09-20", sessions), "1|1|0");
    assert_eq!(
        trail.at(
            "2030-09-20",
            "SELECT count(*) FROM audit.partitions l WHERE l.parent = 'sessions' AND l.until < '2030-09-01'"
        ),
        "0"
    );
}

/// Let go by the worker alone, whose clock is that of the configuration.
#[test]
fn the_worker_archives_and_prunes() {
    let trail = Trail::start(
        &[("shared_preload_libraries", "audit"), ("audit.naptime", "1s")],
        "2030-01-01",
        "CREATE TABLE t (id int PRIMARY KEY);
         SELECT audit.enable('t'), audit.set_retention('data', '2 months', archive => true, archive_keep => '4 months', partition_interval => '1 month');",
    );
    let query = |sql: &str| trail.server.query("postgres", sql);
    for month in 0..8 {
        let offset = query(&format!(
            "SELECT round(extract(epoch FROM timestamptz '2030-01-15' + interval '{month} months' - clock_timestamp()))"
        ));
        trail.configure(&[("audit.test_clock_offset", &offset)]);
        query(&format!("INSERT INTO t SELECT {month} * 100 + n FROM generate_series(1, 100) n; {SEE}"));
    }
    // June and later are live, April and May in archives; what is older has gone with its archive.
    let state = "SELECT (SELECT count(*) FROM audit.trail WHERE event = 'row.insert'),
                        (SELECT string_agg(to_char(since, 'MM'), ' ' ORDER BY since) FROM audit.archives WHERE category = 'data'),
                        (SELECT count(*) FROM audit.partitions l LEFT JOIN audit_internal.partition_catalog f USING (partition_name)
                         WHERE l.parent = 'events_data' AND l.until < audit_internal.clock() AND f.closed_at IS NULL)";
    wait_until("the worker has let go what is due", || query(state) == "300|04 05|0");
    let archives = "SELECT count(*), sum(events), count(*) FILTER (WHERE pruned_at IS NULL) FROM audit.archives";
    assert_eq!(query(archives), "2|200|0");
    let noted = "SELECT parameters->>'action', sum((parameters->>'events')::int) FROM audit.trail
                 WHERE event = 'retention.prune' GROUP BY 1 ORDER BY 1";
    assert_eq!(query(noted), "delete archive|300\ndrop|500");
    assert_eq!(trail.files().len(), 6, "{:?}", trail.files());
    let errors = trail.server.log();
    assert!(!errors.contains("ERROR") && !errors.contains("WARNING"), "{errors}");
}
