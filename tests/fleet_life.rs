//! A gathered trail over the years: networks that are cut, clocks that are wrong, partitions that close and go.

use audit_testing::fleet::*;
use audit_testing::server::wait_until;
use audit_testing::trail;

#[test]
fn a_cut_a_clock_and_retention_lose_and_double_nothing() {
    let source = source("a");
    let centre = start("centre");
    gather(&centre, &source, "a");
    expect_same(&centre, &source, "a");

    // The network is cut for longer than a partition of the centre is open.
    query(&centre, "ALTER SUBSCRIPTION audit_a DISABLE");
    query(
        &source,
        "UPDATE orders SET status = 'meanwhile'; INSERT INTO parts SELECT n, 'meanwhile' FROM generate_series(1000, 1500) n",
    );
    centre.stop();
    query(&source, "INSERT INTO parts SELECT n, 'while it was away' FROM generate_series(2000, 2500) n");
    centre.launch();
    set_clock(&centre, 70 * 24);
    query(&centre, "CALL audit.maintain()");
    let closed =
        "SELECT count(*) FROM audit_internal.partition_catalog f WHERE f.closed_at IS NOT NULL AND f.events > 100";
    assert_eq!(query(&centre, closed), "1");
    let loaded = "SELECT string_agg(t.parameters ->> 'server', ' '), sum((t.parameters ->> 'events')::int)
                  FROM audit.trail t WHERE t.event = 'evidence.load' AND t.entity LIKE 'audit_internal.events\\_%'";
    assert_eq!(
        query(&centre, loaded),
        query(
            &centre,
            "SELECT string_agg('a', ' '), sum(e.n) FROM (SELECT count(*) AS n FROM audit.events e
                            JOIN audit_internal.remote_nodes g USING (node_id) GROUP BY e.category) e"
        )
    );
    query(&centre, "ALTER SUBSCRIPTION audit_a ENABLE");
    expect_same(&centre, &source, "a");
    wait_until("late events are in their partitions", || {
        query(&centre, "CALL audit.maintain(); SELECT count(*) FROM audit_internal.events_overflow") == "0"
    });
    expect_same(&centre, &source, "a");
    let moved = "SELECT sum((t.parameters ->> 'events')::int) FROM audit.trail t WHERE t.event = 'evidence.move' AND t.server = 'centre'";
    assert_eq!(query(&centre, moved), "1004", "late events that were counted on their way through the overflow");
    expect_facts(&centre);

    // The source's clock is half a day ahead, and its own retention deletes what the centre keeps. While this session holds
    // the lock, the centre makes no partitions for the year that has begun there.
    let mut busy = centre.connect("postgres");
    busy.batch_execute("BEGIN; SELECT audit_internal.lock('maintenance')").unwrap();
    set_clock(&centre, 400 * 24 - 12);
    let before: i64 = query(&centre, "SELECT count(*) FROM audit.events WHERE category = 'data'").parse().unwrap();
    set_clock(&source, 400 * 24);
    query(&source, "SELECT audit.set_retention('data', keep => '1 month')");
    // A worker that the event above has asked for may be at work, whose steps are not waited for.
    let parts = "SELECT count(*) FROM audit.trail t WHERE t.category = 'data' AND t.entity = 'public.parts'";
    wait_until("what is due has gone", || query(&source, &format!("CALL audit.maintain(); {parts}")) == "0");
    query(&source, "INSERT INTO parts VALUES (9000, 'ahead')");
    assert_eq!(
        query(
            &source,
            "SELECT count(*) FROM audit.trail t WHERE t.category = 'data' AND t.entity = 'public.parts'; SELECT count(*) > 0 FROM audit.trail t WHERE t.event = 'retention.prune'"
        ),
        "1\nt"
    );
    catch_up(&source);
    assert_eq!(
        query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = '9000'"),
        "1",
        "what has no partition is seen at once"
    );
    assert_ne!(query(&centre, "SELECT count(*) FROM audit_internal.contexts_default"), "0");
    drop(busy);
    wait_until("events ahead have a partition", || {
        query(&centre, "CALL audit.maintain(); SELECT count(*) FROM audit_internal.events_overflow") == "0"
    });
    let after: i64 = query(&centre, "SELECT count(*) FROM audit.events WHERE category = 'data'").parse().unwrap();
    assert_eq!(after, before + 1);
    trail::expect_whole(&centre, "postgres");
    // The partitions of contexts that then are made take what had come before them.
    set_clock(&centre, 400 * 24);
    query(&centre, "CALL audit.maintain()");
    assert_eq!(query(&centre, "SELECT count(*) FROM audit_internal.contexts_default"), "0");
    trail::expect_whole(&centre, "postgres");
    expect_facts(&centre);

    // A subscription made anew copies all once more, and leaves out what is here.
    query(&centre, "DROP SUBSCRIPTION audit_a");
    query(&source, "INSERT INTO parts VALUES (9001, 'nobody subscribes')");
    subscribe(&centre, &source, "a");
    catch_up(&source);
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = '9001'"), "1");
    assert_eq!(
        query(&centre, "SELECT (t.parameters ->> 'known')::int > 0, t.parameters ->> 'events' FROM audit.trail t
                        WHERE t.event = 'evidence.load' AND t.entity = 'audit.events' ORDER BY t.occurred_at DESC LIMIT 1"),
        "t|1"
    );
    trail::expect_whole(&centre, "postgres");

    // The centre's retention goes by category, whosever the events are, under holds as ever.
    query(
        &centre,
        "SELECT audit.hold('matter', 'court', entity => 'public.orders'); SELECT audit.set_retention('data', keep => '1 month'); CALL audit.maintain()",
    );
    assert_eq!(
        query(&centre, "SELECT string_agg(DISTINCT t.entity, ' ' ORDER BY t.entity), count(*) FILTER (WHERE t.entity = 'public.parts')
                        FROM audit.trail t WHERE t.category = 'data'"),
        "public.orders public.parts|2"
    );
    query(&source, "INSERT INTO parts VALUES (9002, 'goes on')");
    catch_up(&source);
    assert_eq!(query(&centre, "SELECT count(*) FROM audit.trail t WHERE t.entity_id = '9002'"), "1");
    expect_facts(&centre);

    // A dump carries all of it: the same trail, and the same knowledge of whose it is.
    centre.dump_and_restore("postgres", &centre, "restored", &["--no-subscriptions"]);
    let content = format!(
        "{TRAIL}; SELECT count(*), count(g) FROM audit_internal.nodes LEFT JOIN audit_internal.remote_nodes g USING (node_id)"
    );
    assert_eq!(centre.query("restored", &content), query(&centre, &content));
    assert_eq!(errors(&source), "");
    assert_eq!(errors(&centre).replace("ERROR:  canceling statement due to user request", ""), "");
}

/// While a partition is being split a check is on it, which an event of a clock that is ahead must not fail.
#[test]
fn a_partition_may_be_split_while_events_arrive() {
    let source = source("a");
    let centre = start("centre");
    gather(&centre, &source, "a");
    query(&centre, "SELECT audit_internal.clock(); ALTER SYSTEM SET audit.partition_size = '1MB'");
    query(&centre, "SELECT pg_reload_conf()");
    query(&source, "UPDATE parts SET note = note || id");
    catch_up(&source);
    wait_until("the split begins", || query(&centre, "SELECT audit_internal.split_partition()") == "t");
    assert_eq!(
        query(
            &centre,
            "SELECT f.parent, f.split_at > audit_internal.clock() FROM audit_internal.partition_catalog f WHERE f.state = 'splitting'"
        ),
        "events_data|t"
    );
    set_clock(&source, 1);
    query(&source, "INSERT INTO parts VALUES (9000, 'ahead')");
    expect_same(&centre, &source, "a");
    // The event is in the partition, which then ends behind it.
    let partitions = "SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = l.partition::oid AND t.tgname = 'split'))
                  FROM audit.partitions l WHERE l.parent = 'events_data' AND l.since < audit_internal.clock() + interval '2 hours'";
    wait_until("the partition is split", || query(&centre, &format!("CALL audit.maintain(); {partitions}")) == "2|0");
    assert_eq!(
        query(&centre, "SELECT (SELECT count(*) FROM audit_internal.events_overflow), l.until - e.occurred_at BETWEEN interval '14 minutes' AND interval '15 minutes'
                        FROM audit.events e JOIN audit.partitions l ON l.partition::oid = e.tableoid WHERE e.entity_id = '9000'"),
        "0|t"
    );
    expect_same(&centre, &source, "a");
    assert_eq!(errors(&centre), "");
}
