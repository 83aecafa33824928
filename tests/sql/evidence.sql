-- Evidence is not changed by SQL, not even by superusers.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA evidence;
SET search_path = evidence;
CREATE TABLE item (id integer PRIMARY KEY, v text);
SELECT audit.enable('item');
INSERT INTO item VALUES (1, 'a');
CREATE TEMP TABLE before AS SELECT count(*) AS events, md5(string_agg(e::text, '|' ORDER BY event_id)) AS content FROM audit.events e;

-- Every statement on every table that holds evidence: parents and partitions alike.
CREATE FUNCTION attempts() RETURNS TABLE (attempt text, relations bigint, sqlstates text[], hint text) LANGUAGE plpgsql AS $$
DECLARE
    relation record;
    tried text;
    reached text := '00000';
    advice text := '';
BEGIN
    CREATE TEMP TABLE tries (attempt text, relation text, state text, hint text) ON COMMIT DROP;
    FOR relation IN
        SELECT c.oid::regclass AS name, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1) AS first_column
        FROM pg_class c
        WHERE c.relnamespace IN ('audit'::regnamespace, 'audit_internal'::regnamespace) AND c.relkind IN ('r', 'p') AND (c.relispartition OR c.relkind = 'p')
    LOOP
        FOREACH tried IN ARRAY ARRAY['INSERT INTO %1$s SELECT * FROM %1$s', 'INSERT INTO %1$s DEFAULT VALUES', 'UPDATE %1$s SET %2$I = %2$I',
                                     'UPDATE %1$s SET %2$I = %2$I WHERE false', 'DELETE FROM %1$s', 'DELETE FROM ONLY %1$s', 'TRUNCATE %1$s',
                                     'TRUNCATE ONLY %1$s', 'COPY %1$s FROM PROGRAM ''true''',
                                     'MERGE INTO %1$s t USING %1$s s ON false WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE'] LOOP
            reached := '00000';
            advice := '';
            BEGIN
                EXECUTE format(tried, relation.name, relation.first_column);
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS reached = RETURNED_SQLSTATE, advice = PG_EXCEPTION_HINT;
            END;
            INSERT INTO tries VALUES (tried, relation.name, reached, advice);
        END LOOP;
    END LOOP;
    RETURN QUERY SELECT t.attempt, count(*), array_agg(DISTINCT t.state), min(t.hint) FROM tries t GROUP BY t.attempt ORDER BY t.attempt COLLATE "C";
END $$;
SELECT attempt, relations > 20 AS many, sqlstates, hint FROM attempts();
-- The same whatever the session sets.
SET session_replication_role = replica;
SELECT attempt, relations > 20 AS many, sqlstates FROM attempts();
RESET session_replication_role;
SET audit.enabled = off;
SELECT attempt, relations > 20 AS many, sqlstates FROM attempts();
RESET audit.enabled;
-- As people meet it.
DELETE FROM audit.events;
\echo :SQLSTATE
UPDATE audit_internal.contexts SET actor = 'somebody else';
\echo :SQLSTATE

-- Partitions with events are not dropped, nor what they hang on.
CREATE FUNCTION drops() RETURNS TABLE (sqlstates text[], partitions boolean) LANGUAGE plpgsql AS $$
DECLARE
    partition regclass;
    reached text;
    states text[] := '{}';
    tried integer := 0;
BEGIN
    FOR partition IN SELECT e.tableoid::regclass FROM audit.events e GROUP BY 1 UNION SELECT c.tableoid::regclass FROM audit_internal.contexts c GROUP BY 1
                UNION SELECT s.tableoid::regclass FROM audit_internal.sessions s GROUP BY 1 UNION SELECT 'audit_internal.relations_all' UNION SELECT 'audit_internal.nodes_all' LOOP
        tried := tried + 1;
        BEGIN
            reached := '00000';
            EXECUTE format('DROP TABLE %s', partition);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS reached = RETURNED_SQLSTATE;
        END;
        states := states || reached;
    END LOOP;
    RETURN QUERY SELECT ARRAY(SELECT DISTINCT s FROM unnest(states) s), tried >= 6;
END $$;
SELECT * FROM drops();
DROP TABLE audit.events;
\echo :SQLSTATE
DROP TABLE audit.events CASCADE;
\echo :SQLSTATE
DROP VIEW audit.trail;
\echo :SQLSTATE
DROP SCHEMA audit CASCADE;
\echo :SQLSTATE
DROP EXTENSION audit;
\echo :SQLSTATE
DROP EXTENSION audit CASCADE;
\echo :SQLSTATE
ALTER EXTENSION audit SET SCHEMA public;
\echo :SQLSTATE

-- No change of definition changes evidence, hides it or takes its protection away.
CREATE TABLE evidence.forged (LIKE audit.events);
CREATE FUNCTION alterations() RETURNS TABLE (alteration text, state text, message text) LANGUAGE plpgsql AS $$
DECLARE
    partition text := (SELECT c.relname FROM audit.events e JOIN pg_class c ON c.oid = e.tableoid WHERE e.category = 'data' LIMIT 1);
    tried text;
BEGIN
    FOREACH tried IN ARRAY ARRAY['ALTER TABLE audit_internal.events_data DETACH PARTITION audit_internal.%I', 'ALTER TABLE audit_internal.events_data DETACH PARTITION audit_internal.%I CONCURRENTLY',
        'ALTER TABLE audit.events DETACH PARTITION audit_internal.events_data', 'ALTER TABLE audit.events DROP COLUMN changes CASCADE',
        'ALTER TABLE audit.events ALTER COLUMN entity_id TYPE text USING ''forged''', 'ALTER TABLE audit_internal.%I DROP COLUMN changes',
        'ALTER TABLE audit_internal.%I ALTER COLUMN entity_id TYPE text USING ''forged''', 'ALTER TABLE audit_internal.%I DISABLE TRIGGER reject_change',
        'ALTER TABLE audit_internal.%I DISABLE TRIGGER ALL', 'ALTER TABLE audit.events ENABLE REPLICA TRIGGER reject_change', 'DROP TRIGGER reject_change ON audit_internal.%I',
        'DROP TRIGGER reject_change ON audit_internal.contexts', 'ALTER TABLE audit_internal.%I RENAME TO other', 'ALTER TABLE audit_internal.%I RENAME COLUMN changes TO other',
        'ALTER TABLE audit_internal.%I SET UNLOGGED', 'ALTER TABLE audit_internal.%I ENABLE ROW LEVEL SECURITY', 'ALTER TABLE audit_internal.%I FORCE ROW LEVEL SECURITY',
        'ALTER TABLE audit_internal.%I OWNER TO pg_monitor', 'CREATE OR REPLACE TRIGGER reject_change BEFORE INSERT ON audit_internal.%I FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION audit_internal.reject_change()',
        'CREATE RULE hide AS ON INSERT TO audit_internal.%I DO INSTEAD NOTHING', 'ALTER SCHEMA audit RENAME TO other', 'ALTER SCHEMA audit_internal RENAME TO other',
        'ALTER EXTENSION audit DROP TABLE audit.events', 'ALTER TABLE audit_internal.events_data ATTACH PARTITION evidence.forged FOR VALUES FROM (''2001-01-01'') TO (''2001-02-01'')', 'SELECT audit_internal.execute_permitted(''DELETE FROM audit.events'')',
        'ALTER TABLE audit_internal.%I SET SCHEMA public', 'ALTER TABLE audit_internal.relations_all ALTER COLUMN entity TYPE text USING ''forged'''] LOOP
        BEGIN
            EXECUTE format(tried, partition);
            RAISE SQLSTATE '00001' USING MESSAGE = 'not refused';
        EXCEPTION WHEN OTHERS THEN
            alteration := format(tried, '(partition)');
            state := sqlstate;
            message := replace(sqlerrm, partition, '(partition)');
            RETURN NEXT;
        END;
    END LOOP;
END $$;
SELECT * FROM alterations();
-- A function that a superuser replaces shows.
BEGIN;
CREATE OR REPLACE FUNCTION audit_internal.reject_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT gap, object, detail FROM audit.coverage WHERE gap = 'evidence unprotected';
ROLLBACK;
SELECT count(*) FROM audit.coverage WHERE gap = 'evidence unprotected';

-- Events cannot be forged: no role may call the functions that write them, and the trigger functions record nothing when called otherwise.
CREATE ROLE regress_audit_forger;
SET ROLE regress_audit_forger;
SELECT audit_internal.emit('row.delete', '{}', 'evidence.item', '1', NULL, NULL);
SELECT audit_internal.execute_permitted('DELETE FROM audit.events');
SELECT audit_internal.move_rows('audit_internal.events_overflow_all', '{}', 'audit_internal.events_overflow_all', NULL, false);
SELECT audit_internal.copy_partition('audit_internal.events_overflow_all', 'audit_internal.events_overflow_all');
SELECT audit_internal.delete_rows('audit_internal.events_overflow_all', '{}');
SELECT audit_internal.upsert_config(ROW(1));
CREATE TEMP TABLE item (id integer PRIMARY KEY, v text);
CREATE TRIGGER "!audit_row" AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{"level": "standard"}');
INSERT INTO item VALUES (1, 'forged');
DROP TABLE item;
RESET ROLE;
DROP ROLE regress_audit_forger;

-- Nothing changed.
SELECT b.events = e.events AS is_complete, b.content = e.content AS is_unchanged
FROM before b, (SELECT count(*) AS events, md5(string_agg(e::text, '|' ORDER BY event_id)) AS content FROM audit.events e) e;
DROP SCHEMA evidence CASCADE;
