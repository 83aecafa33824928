-- Reconciliation: replays the events of an audited table into an empty copy of it and compares the copy with the table.
--
--   SELECT * FROM reconcile.check('shop.orders');          one row a problem; none if the trail explains the table
--   SELECT * FROM reconcile.replay('shop.orders');         the same with counts
--   SELECT * FROM reconcile.proof('shop.orders');          that the check fails on an incomplete or reordered trail
--   SELECT * FROM reconcile.check('shop.orders', 'mine');  the same from the events in "mine", shaped as reconcile.events
--
-- It needs the table's whole history at level standard or comprehensive: audited since it was empty, or baselined. It is
-- no part of the extension; it only reads the trail, through reconcile.events, and the images, through audit.row. Writers
-- of the table wait while it runs.
--
-- The order. Within a transaction the versions of a row are ordered by (command, event), because a trigger of the user's
-- own may change a row before the event of the outer command on that row is captured. Across transactions no number that
-- is given out at their beginning will do, and neither will the time of their first event: what orders them is the lock
-- on the row, held until commit and obtained before capture. So each event is taken to happen at the latest time of the
-- events up to it in its own transaction. That time lies between its capture and its commit; for every row, also one
-- that comes to a key that another one gave up, all such times of the earlier transaction precede all of the later one.
-- TRUNCATE locks the whole table and is captured after it has the lock. A clock set back shows up as a problem.
--
-- The copy. Every event must find the row version that it says it changed: an insert none under its key, all others one
-- that equals their old values byte for byte (*=). In a table without key the version is found by its whole image, so
-- UPDATE there needs level comprehensive, unless the old values happen to fit one version only. Only the order of events
-- that concern the same key matters, so they are replayed key by key, with those of keys that an update gave up or took
-- together in one group, and the first insert of each key is done for all keys at once.
--
-- Left out of every comparison: the columns that audit.tables lists as ignored or redacted. The comparison at the end
-- goes by the text of the rows, which unlike = tells 1.0 from 1.00 and knows no type without it. Not provided for:
-- columns added or altered on the way, TRUNCATE of a single partition, and two rows that share a key for a moment, as a
-- DEFERRABLE primary key permits.

SET client_min_messages = warning;
DROP SCHEMA IF EXISTS reconcile CASCADE;
RESET client_min_messages;
CREATE SCHEMA reconcile;

-- All that is read of the trail. A table that was renamed, moved or restored keeps its lineage.
CREATE VIEW reconcile.events AS
SELECT current.relation_oid AS target, t.name AS event, e.node_id, e.transaction_id, e.command_id, e.occurred_at,
       e.event_id, e.entity_id, e.new_entity_id,
       CASE WHEN t.name IN ('row.insert', 'row.baseline') THEN audit_internal.new_values(e.event_type, e.changes, NULL, r.recorded_columns)
            WHEN t.name IN ('row.delete', 'row.truncate') THEN audit_internal.old_values(e.event_type, e.changes, NULL, r.recorded_columns)
            ELSE e.changes END AS changes,
       CASE WHEN e.image IS NOT NULL THEN audit_internal.old_values(e.event_type, e.changes, e.image, r.recorded_columns) END AS image
FROM (SELECT * FROM audit.events WHERE category = 'data' UNION ALL
      SELECT * FROM audit_internal.events_overflow WHERE category = 'data') e
JOIN audit.event_types t ON t.event_type = e.event_type AND (t.name LIKE 'row.%' OR t.name = 'table.truncate')
JOIN audit_internal.relations r ON (r.node_id, r.relation_id) = (e.node_id, e.relation_id)
JOIN (SELECT DISTINCT ON (lineage) lineage, relation_oid FROM audit_internal.relations ORDER BY lineage, since DESC, relation_id DESC) current
     ON current.lineage = r.lineage;

-- The columns whose values the trail does not hold.
CREATE FUNCTION reconcile.columns_left_out(target regclass) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT coalesce(array_agg(name), '{}')
    FROM audit_internal.table_settings s,
         LATERAL (SELECT jsonb_array_elements_text(coalesce(nullif(s.options -> 'ignore_columns', 'null'), '[]'))
                  UNION ALL SELECT jsonb_object_keys(coalesce(nullif(s.options -> 'redact', 'null'), '{}'))) AS c (name)
    WHERE s.relation_oid = target;
END;

CREATE FUNCTION reconcile.replay(target regclass, source regclass DEFAULT 'reconcile.events',
                                 OUT events bigint, OUT live bigint, OUT missing bigint, OUT unexpected bigint, OUT problems text[])
LANGUAGE plpgsql SET client_min_messages = warning SET extra_float_digits = 1 SET work_mem = '256MB'
AS $$
DECLARE
    partitioned CONSTANT boolean := relkind = 'p' FROM pg_class WHERE oid = target;
    left_out    CONSTANT text[]  := reconcile.columns_left_out(target);
    keyed       boolean;
    found_here  text[];
    row_live    text;
    row_copied  text;
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE MODE', target);
    PERFORM reconcile.take_steps(target, source, left_out);
    EXECUTE format('CREATE TEMP TABLE reconcile_copy (found_by text, version %s) ON COMMIT DROP', target);

    SELECT count(*), coalesce(bool_and(t.entity_id IS NOT NULL) FILTER (WHERE t.event <> 'table.truncate'), true)
    INTO events, keyed FROM pg_temp.reconcile_taken t;
    EXECUTE format('SELECT reconcile.%I(null::%s, null)', CASE WHEN keyed THEN 'apply_by_key' ELSE 'apply_by_image' END, target)
    INTO problems;

    SELECT format('ROW(%s)::text COLLATE "C"', string_agg(format('t.%I', attname), ', ' ORDER BY attnum)),
           format('ROW(%s)::text COLLATE "C"', string_agg(format('(c.version).%I', attname), ', ' ORDER BY attnum))
    INTO row_live, row_copied
    FROM pg_attribute WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attname <> ALL (left_out);
    EXECUTE format('CREATE TEMP TABLE reconcile_live ON COMMIT DROP AS SELECT %s AS line FROM %s %s t',
                   row_live, CASE WHEN partitioned THEN '' ELSE 'ONLY' END, target);
    EXECUTE format('CREATE TEMP TABLE reconcile_copied ON COMMIT DROP AS SELECT %s AS line FROM pg_temp.reconcile_copy c', row_copied);
    SELECT count(*) INTO live FROM pg_temp.reconcile_live;

    SELECT count(*), (array_agg('in the table, but not by its events: ' || left(line, 200)))[:20] INTO missing, found_here
    FROM (TABLE pg_temp.reconcile_live EXCEPT ALL TABLE pg_temp.reconcile_copied) d;
    problems := problems || found_here;
    SELECT count(*), (array_agg('by its events, but not in the table: ' || left(line, 200)))[:20] INTO unexpected, found_here
    FROM (TABLE pg_temp.reconcile_copied EXCEPT ALL TABLE pg_temp.reconcile_live) d;
    problems := problems || found_here;

    DROP TABLE pg_temp.reconcile_taken, pg_temp.reconcile_steps, pg_temp.reconcile_copy, pg_temp.reconcile_live, pg_temp.reconcile_copied;
END $$;

CREATE FUNCTION reconcile.check(target regclass, source regclass DEFAULT 'reconcile.events') RETURNS TABLE (problem text)
LANGUAGE sql
BEGIN ATOMIC
    SELECT unnest(r.problems) FROM reconcile.replay(target, source) r;
END;

-- The events of one table, and apart from them, since they are to be sorted several times, the steps: their order. A
-- generation ends with each TRUNCATE of the table; "seed" is an insert that no earlier step of its generation concerns;
-- "of_key" is the key by which a step may be replayed apart from others, null where only the whole order will do.
CREATE FUNCTION reconcile.take_steps(target regclass, source regclass, left_out text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('CREATE TEMP TABLE reconcile_taken ON COMMIT DROP AS
                    SELECT row_number() OVER () AS place, event, node_id, transaction_id, command_id, occurred_at, event_id,
                           entity_id, new_entity_id, changes - $2 AS changes, image - $2 AS image
                    FROM %s WHERE target = $1', source) USING target::oid, left_out;
    ANALYZE pg_temp.reconcile_taken;

    CREATE TEMP TABLE reconcile_steps ON COMMIT DROP AS
    WITH settled AS (
        SELECT *, event = 'table.truncate' AS truncate, event IN ('row.insert', 'row.baseline') AS adds,
               max(occurred_at) OVER (PARTITION BY node_id, transaction_id
                                      ORDER BY command_id, event = 'table.truncate', event_id) AS settled_at
        FROM (SELECT place, event, node_id, transaction_id, command_id, occurred_at, event_id, entity_id, new_entity_id
              FROM pg_temp.reconcile_taken) taken
    ), numbered AS (
        SELECT place, event, entity_id, new_entity_id, adds, row_number() OVER in_order AS step,
               count(*) FILTER (WHERE truncate) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS generation
        FROM settled
        WINDOW in_order AS (ORDER BY settled_at, node_id, transaction_id, command_id, truncate, event_id)
    ), keyed AS (
        SELECT *, CASE WHEN entity_id IN (SELECT unnest(ARRAY[entity_id, new_entity_id]) FROM pg_temp.reconcile_taken
                                          WHERE new_entity_id IS NOT NULL) THEN NULL ELSE entity_id END AS of_key
        FROM numbered
    )
    SELECT place, step, generation, event, of_key,
           adds AND CASE WHEN entity_id IS NULL THEN bool_and(adds) OVER (PARTITION BY generation ORDER BY step)
                         ELSE of_key IS NOT NULL AND row_number() OVER (PARTITION BY generation, entity_id ORDER BY step) = 1
                    END AS seed
    FROM keyed;
    ANALYZE pg_temp.reconcile_steps;
END $$;

-- What is left to replay one by one when the seeds are there, in its order and with the values before and after.
CREATE FUNCTION reconcile.steps_of(at_work bigint)
    RETURNS TABLE (event text, event_id uuid, entity_id text, new_entity_id text,
                   old_values jsonb, new_values jsonb, old_image jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    SELECT t.event, t.event_id, t.entity_id, t.new_entity_id,
           CASE WHEN t.event IN ('row.delete', 'row.truncate') THEN t.changes ELSE u.old_values END,
           CASE WHEN t.event IN ('row.insert', 'row.baseline') THEN t.changes ELSE u.new_values END, t.image
    FROM pg_temp.reconcile_steps s JOIN pg_temp.reconcile_taken t USING (place)
    LEFT JOIN LATERAL (SELECT coalesce(jsonb_object_agg(c.key, c.value -> 0), '{}') AS old_values,
                              coalesce(jsonb_object_agg(c.key, c.value -> 1), '{}') AS new_values
                       FROM jsonb_each(CASE jsonb_typeof(t.changes) WHEN 'object' THEN t.changes END) c) u
              ON t.event = 'row.update' AND jsonb_typeof(t.changes) = 'object'
    WHERE s.generation = at_work AND NOT s.seed AND s.event <> 'table.truncate'
    ORDER BY s.of_key, s.step;
END $$;

CREATE FUNCTION reconcile.seed(base anyelement, of_generation bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO pg_temp.reconcile_copy
    SELECT coalesce(seeded.entity_id, md5(seeded.version::text)), seeded.version
    FROM (SELECT t.entity_id, audit.row(base, t.changes) AS version
          FROM pg_temp.reconcile_steps s JOIN pg_temp.reconcile_taken t USING (place)
          WHERE s.generation = of_generation AND s.seed OFFSET 0) seeded;
END $$;

-- Rows are found by key. The version that the steps of a key are working on is held in a variable: updating it in place a
-- thousand times within one transaction would leave a thousand dead versions to walk through. The variable is a parameter
-- only because that gives it the table's type.
CREATE FUNCTION reconcile.apply_by_key(base anyelement, held anyelement) RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    problems text[] := '{}';
    problem  text;
    at_work  bigint;
    step     record;
    held_key text;
    there    boolean := false;
BEGIN
    CREATE UNIQUE INDEX ON pg_temp.reconcile_copy (found_by);
    FOR at_work IN SELECT DISTINCT generation FROM pg_temp.reconcile_steps ORDER BY 1 LOOP
        TRUNCATE pg_temp.reconcile_copy;
        PERFORM reconcile.seed(base, at_work);
        ANALYZE pg_temp.reconcile_copy;
        held_key := NULL;
        there := false;
        FOR step IN SELECT * FROM reconcile.steps_of(at_work) LOOP
            IF held_key IS DISTINCT FROM step.entity_id THEN
                IF there THEN
                    INSERT INTO pg_temp.reconcile_copy VALUES (held_key, held);
                END IF;
                held_key := step.entity_id;
                held := (SELECT c.version FROM pg_temp.reconcile_copy c WHERE c.found_by = held_key);
                DELETE FROM pg_temp.reconcile_copy c WHERE c.found_by = held_key;
                there := FOUND;
            END IF;

            problem := CASE
                WHEN step.event IN ('row.insert', 'row.baseline') THEN
                    CASE WHEN NOT there THEN NULL
                         WHEN step.event = 'row.baseline' AND audit.row(base, step.new_values) *= held THEN NULL
                         ELSE 'there is such a row already' END
                WHEN step.old_values IS NULL THEN 'the event holds no values'
                WHEN NOT there THEN 'there is no such row'
                WHEN step.event = 'row.update' AND NOT audit.row(held, step.old_values) *= held
                THEN format('the row is %s, the event says it was %s', held, audit.row(held, step.old_values))
                WHEN step.event = 'row.update' AND step.old_image IS NOT NULL AND NOT audit.row(base, step.old_image) *= held
                THEN format('the row is %s, the image says it was %s', held, audit.row(base, step.old_image))
                WHEN step.event <> 'row.update' AND NOT audit.row(base, step.old_values) *= held
                THEN format('the row is %s, the event says it was %s', held, audit.row(base, step.old_values))
            END;

            IF step.event IN ('row.insert', 'row.baseline') THEN
                held := audit.row(base, step.new_values);
                there := true;
            ELSIF step.event <> 'row.update' THEN
                there := false;
            ELSIF there AND step.old_values IS NOT NULL THEN
                held := audit.row(held, step.new_values);
                IF step.new_entity_id <> held_key THEN
                    held_key := step.new_entity_id;
                    DELETE FROM pg_temp.reconcile_copy c WHERE c.found_by = held_key;
                    IF FOUND THEN
                        problem := 'there is a row with the new key already';
                    END IF;
                END IF;
            END IF;
            IF problem IS NOT NULL AND cardinality(problems) < 20 THEN
                problems := problems || format('%s %s %s: %s', step.event, step.entity_id, step.event_id, problem);
            END IF;
        END LOOP;
        IF there THEN
            INSERT INTO pg_temp.reconcile_copy VALUES (held_key, held);
        END IF;
        IF EXISTS (SELECT FROM pg_temp.reconcile_steps s WHERE s.generation = at_work AND s.event = 'table.truncate') THEN
            TRUNCATE pg_temp.reconcile_copy;
        END IF;
    END LOOP;
    RETURN problems;
END $$;

-- Rows are found by their image, any one of several equal ones.
CREATE FUNCTION reconcile.apply_by_image(base anyelement, held anyelement) RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    problems text[] := '{}';
    problem  text;
    at_work  bigint;
    step     record;
    places   tid[];
    versions integer;
BEGIN
    CREATE INDEX ON pg_temp.reconcile_copy (found_by);
    FOR at_work IN SELECT DISTINCT generation FROM pg_temp.reconcile_steps ORDER BY 1 LOOP
        TRUNCATE pg_temp.reconcile_copy;
        PERFORM reconcile.seed(base, at_work);
        ANALYZE pg_temp.reconcile_copy;
        FOR step IN SELECT * FROM reconcile.steps_of(at_work) LOOP
            problem := NULL;
            IF step.event IN ('row.insert', 'row.baseline') THEN
                held := audit.row(base, step.new_values);
                INSERT INTO pg_temp.reconcile_copy VALUES (md5(held::text), held);
                CONTINUE;
            ELSIF step.old_values IS NULL THEN
                problem := 'the event holds no values';
            ELSIF step.event = 'row.update' AND step.old_image IS NULL THEN
                SELECT array_agg(c.ctid), count(DISTINCT c.version::text) INTO places, versions
                FROM pg_temp.reconcile_copy c WHERE audit.row(c.version, step.old_values) *= c.version;
                IF versions > 1 THEN
                    problem := format('%s different rows fit the old values', versions);
                END IF;
            ELSE
                held := audit.row(base, coalesce(step.old_image, step.old_values));
                places := ARRAY(SELECT c.ctid FROM pg_temp.reconcile_copy c
                                WHERE c.found_by = md5(held::text) AND c.version *= held LIMIT 1);
                IF step.event = 'row.update' AND NOT audit.row(held, step.old_values) *= held THEN
                    problem := format('the image is %s, the event says it was %s', held, audit.row(held, step.old_values));
                END IF;
            END IF;

            IF problem IS NULL THEN
                DELETE FROM pg_temp.reconcile_copy c WHERE c.ctid = places[1] RETURNING (c.version).* INTO held;
                IF NOT FOUND THEN
                    problem := 'there is no such row';
                ELSIF step.event = 'row.update' THEN
                    held := audit.row(held, step.new_values);
                    INSERT INTO pg_temp.reconcile_copy VALUES (md5(held::text), held);
                END IF;
            END IF;
            IF problem IS NOT NULL AND cardinality(problems) < 20 THEN
                problems := problems || format('%s %s: %s', step.event, step.event_id, problem);
            END IF;
        END LOOP;
        IF EXISTS (SELECT FROM pg_temp.reconcile_steps s WHERE s.generation = at_work AND s.event = 'table.truncate') THEN
            TRUNCATE pg_temp.reconcile_copy;
        END IF;
    END LOOP;
    RETURN problems;
END $$;

-- Tampers with a copy of the events in every way that the table's history offers and tells how many problems are found.
CREATE FUNCTION reconcile.proof(target regclass) RETURNS TABLE (tampering text, problems bigint)
LANGUAGE plpgsql SET client_min_messages = warning
AS $$
#variable_conflict use_column
DECLARE
    kind   text;
    victim record;
BEGIN
    CREATE TEMP TABLE reconcile_events ON COMMIT DROP AS SELECT * FROM reconcile.events e WHERE e.target = $1;
    FOREACH kind IN ARRAY ARRAY['row.insert', 'row.update', 'row.delete'] LOOP
        CREATE TEMP TABLE reconcile_tampered ON COMMIT DROP AS TABLE pg_temp.reconcile_events;
        DELETE FROM pg_temp.reconcile_tampered t
        WHERE t.event_id = (SELECT e.event_id FROM pg_temp.reconcile_events e
                            WHERE e.event = kind AND (kind <> 'row.update' OR e.changes <> '{}') ORDER BY e.occurred_at DESC LIMIT 1);
        IF FOUND THEN
            RETURN QUERY SELECT format('without one %s', kind), count(*) FROM reconcile.check($1, 'pg_temp.reconcile_tampered');
        END IF;
        DROP TABLE pg_temp.reconcile_tampered;
    END LOOP;

    SELECT e.event_id AS first, e.next_id AS second INTO victim
    FROM (SELECT *, lead(event_id) OVER of_row AS next_id, lead(changes) OVER of_row AS next_changes
          FROM pg_temp.reconcile_events WHERE event = 'row.update' AND new_entity_id IS NULL
          WINDOW of_row AS (PARTITION BY entity_id ORDER BY occurred_at, event_id)) e
    WHERE EXISTS (SELECT FROM jsonb_each(e.changes) c WHERE c.value -> 1 = e.next_changes -> c.key -> 0)
    ORDER BY e.occurred_at DESC LIMIT 1;
    IF victim.first IS NOT NULL THEN
        CREATE TEMP TABLE reconcile_tampered ON COMMIT DROP AS TABLE pg_temp.reconcile_events;
        UPDATE pg_temp.reconcile_tampered t
        SET (node_id, transaction_id, command_id, occurred_at, event_id)
          = (SELECT e.node_id, e.transaction_id, e.command_id, e.occurred_at, e.event_id FROM pg_temp.reconcile_events e
             WHERE e.event_id = CASE t.event_id WHEN victim.first THEN victim.second ELSE victim.first END)
        WHERE t.event_id IN (victim.first, victim.second);
        RETURN QUERY SELECT 'with two row.update swapped', count(*) FROM reconcile.check($1, 'pg_temp.reconcile_tampered');
        DROP TABLE pg_temp.reconcile_tampered;
    END IF;
    DROP TABLE pg_temp.reconcile_events;
END $$;
