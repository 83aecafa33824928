-- A made-up upgrade step, in the form that each has (docs/internals/upgrade.md). The functions and views that it replaces are taken
-- from the script of the version after it, and follow.

-- No maintenance is under way until the end of the transaction, and no partition is made.
SELECT audit_internal.enter_maintenance();
SELECT audit_internal.lock('partitions');

-- All locks at once, within a quarter of a second, or none: a writer that holds one of them and waits for another must not wait
-- until PostgreSQL looks for deadlocks, which is after a second. While all are held no writer holds any, so that whatever follows
-- waits for nobody. This session looks for deadlocks at once.
DO $$
DECLARE
    -- Views first, as readers lock them before their tables.
    views CONSTANT text[] := ARRAY['audit_internal.trail_events', 'audit.coverage', 'audit.report_system_access', 'audit_internal.stored_events'];
    tables CONSTANT text[] := ARRAY['audit.events', 'audit_internal.events_overflow', 'audit_internal.contexts', 'audit.holds'];
    gives_up_at CONSTANT timestamptz := clock_timestamp() + interval '5 minutes';
    lock_timeout CONSTANT text := current_setting('lock_timeout');
    deadlock_timeout CONSTANT text := current_setting('deadlock_timeout');
    next_try_at timestamptz;
    target record;
BEGIN
    LOOP
        next_try_at := clock_timestamp() + interval '250 milliseconds';
        BEGIN
            PERFORM set_config('deadlock_timeout', '1ms', true);
            FOR target IN
                -- LOCK TABLE would lock what a view is of, too, tables of the catalog among it; this changes nothing.
                SELECT format('ALTER VIEW %s RESET (check_option)', v.name) AS locked FROM unnest(views) v (name)
                UNION ALL
                (SELECT format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', coalesce(p.relid, t.name::regclass))
                 FROM unnest(tables) WITH ORDINALITY t (name, place)
                 LEFT JOIN LATERAL pg_partition_tree(t.name::regclass) WITH ORDINALITY p ON true ORDER BY t.place, p.ordinality)
            LOOP
                PERFORM set_config('lock_timeout', greatest(ceil(extract(epoch FROM next_try_at - clock_timestamp()) * 1000), 1)::text, true);
                EXECUTE target.locked;
            END LOOP;
            PERFORM set_config('lock_timeout', lock_timeout, true), set_config('deadlock_timeout', deadlock_timeout, true);
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF clock_timestamp() > gives_up_at THEN
                RAISE EXCEPTION 'the trail is in use by transactions that do not end'
                    USING ERRCODE = 'lock_not_available', HINT = 'Nothing was changed. Run ALTER EXTENSION audit UPDATE again when they have ended.';
            END IF;
        END;
        PERFORM pg_sleep(0.25);
    END LOOP;
END $$;

-- What a merge has filled but not yet attached would lack the column. The next run of maintenance fills it again.
SELECT audit_internal.execute_permitted(format('DROP TABLE IF EXISTS audit_internal.%I CASCADE', c.partition_name))
FROM audit_internal.partition_catalog c WHERE c.state = 'merging';

-- Appended, nullable, without default: nothing is rewritten, and rows that are there read as NULL. Partitions follow.
ALTER TABLE audit.events ADD COLUMN made_up text;
ALTER TABLE audit_internal.events_overflow ADD COLUMN made_up text;
ALTER TABLE audit_internal.contexts ADD COLUMN made_up text;
ALTER TABLE audit.holds ADD COLUMN made_up text;
COMMENT ON COLUMN audit.events.made_up IS 'Appended by a step that is made up';

SELECT audit_internal.upsert_config(ROW(999, 'made.up', 'system', 'low', 'made up', 'An event that is made up', true)::audit.event_types);

CREATE FUNCTION audit.made_up(event_id uuid) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT e.made_up FROM audit.events e WHERE e.event_id = made_up.event_id;
END;
COMMENT ON FUNCTION audit.made_up(uuid) IS 'What a step has appended to an event';
REVOKE ALL ON FUNCTION audit.made_up(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.made_up(uuid) TO audit_reader;
