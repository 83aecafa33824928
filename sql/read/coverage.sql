-- The gaps in the trail.

CREATE FUNCTION audit_internal.is_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_is_preloaded';
COMMENT ON FUNCTION audit_internal.is_preloaded() IS 'Whether shared_preload_libraries names audit; internal';

-- A function, because the planner would otherwise count in the search of the whole trail, which is made only
-- for tables with such rows. SECURITY DEFINER, as a view reads with the rights of its owner.
CREATE FUNCTION audit_internal.unseen_rows() RETURNS TABLE (object text, reason text, since timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    unseen record;
    unseen_category text := (SELECT t.category FROM audit.event_types t WHERE t.name = 'table.unseen');
BEGIN
    FOR unseen IN
        SELECT DISTINCT ON (r.lineage)
               r.lineage,
               coalesce(e.entity, r.entity) AS object,
               e.parameters->>'reason' AS reason,
               e.occurred_at
        FROM audit_internal.stored_events e
        JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
        WHERE e.category = unseen_category
          AND e.event_type = audit_internal.event_type('table.unseen')
          AND e.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
        ORDER BY r.lineage, e.occurred_at DESC
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM audit_internal.stored_events e
            WHERE e.category = 'data'
              AND e.event_type = audit_internal.event_type('row.baseline')
              AND e.occurred_at > unseen.occurred_at
              AND (e.node_id, e.relation_id) IN (
                  SELECT r.node_id, r.relation_id FROM audit_internal.relations r
                  WHERE r.lineage = unseen.lineage
                    AND r.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)));
        object := unseen.object;
        reason := unseen.reason;
        since := unseen.occurred_at;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.unseen_rows() IS
    'Tables whose rows were added or changed without events and of which no baseline was taken since, for '
    'audit.coverage; internal';

CREATE VIEW audit.coverage AS
WITH covered AS MATERIALIZED (
    SELECT t.* FROM audit_internal.covered_tables t
), user_tables AS MATERIALIZED (
    SELECT c.oid,
           c.relkind,
           c.relispartition,
           format('%I.%I', n.nspname, c.relname) AS object,
           coalesce(root.relid, c.oid) AS root,
           EXISTS (SELECT FROM covered t WHERE t.relation = c.oid) AS is_covered,
           NOT EXISTS (SELECT FROM covered t WHERE t.relation = c.oid)
           AND EXISTS (SELECT FROM pg_catalog.pg_trigger t
                       WHERE t.tgrelid = c.oid AND t.tgfoid = 'audit.capture_row'::regproc) AS is_unconfigured
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL (
        SELECT pg_catalog.pg_partition_root(c.oid) AS relid WHERE c.relispartition
    ) root ON true
    WHERE c.relkind IN ('r', 'p', 'f')
      AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('audit', 'audit_internal', 'pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\_toast%'
), switched AS (
    -- Calls of audit.enable and audit.disable, by table.
    SELECT coalesce(r.lineage::text, e.entity) AS subject,
           coalesce(e.entity, r.entity) AS object,
           r.relation_oid,
           e.occurred_at,
           e.event_type = audit_internal.event_type('config.disable') AS is_off,
           lead(e.occurred_at) OVER later AS next_at,
           lead(e.event_type) OVER later = audit_internal.event_type('config.enable') AS is_next_on
    FROM audit_internal.stored_events e
    LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
    WHERE e.category = 'system'
      AND e.event_type = ANY (audit_internal.event_types('config.enable', 'config.disable'))
      AND e.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
    WINDOW later AS (PARTITION BY coalesce(r.lineage::text, e.entity) ORDER BY e.occurred_at, e.event_id)
), changed AS (
    SELECT r.lineage,
           coalesce(e.entity, r.entity) AS object,
           e.occurred_at,
           e.parameters->>'problem' AS problem,
           lag(e.parameters->>'problem') OVER (
               PARTITION BY r.lineage ORDER BY e.occurred_at, e.event_id) AS previous
    FROM audit_internal.stored_events e
    JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
    WHERE e.category = 'system'
      AND e.event_type = ANY (audit_internal.event_types('config.enable', 'config.disable', 'trigger.change'))
      AND e.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
), weakened AS (
    -- From the first event with a problem to the next event without one, or to the next audit.enable.
    SELECT c.object,
           c.problem,
           c.occurred_at,
           c.lineage,
           (SELECT min(n.occurred_at) FROM changed n
            WHERE n.lineage = c.lineage AND n.occurred_at > c.occurred_at AND n.problem IS NULL) AS until
    FROM changed c
    WHERE c.problem IS NOT NULL AND c.previous IS NULL
), suspensions AS (
    SELECT r.lineage,
           coalesce(e.entity, r.entity) AS object,
           e.occurred_at,
           e.event_id,
           lag(e.occurred_at) OVER earlier IS NULL
           OR e.occurred_at - lag(e.occurred_at) OVER earlier > interval '1 hour' AS is_first
    FROM audit_internal.stored_events e
    LEFT JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id
    WHERE e.category = 'system'
      AND e.event_type = audit_internal.event_type('audit.suspend')
      AND e.node_id IN (SELECT o.node_id FROM audit_internal.own_nodes o)
    WINDOW earlier AS (PARTITION BY r.lineage ORDER BY e.occurred_at, e.event_id)
), suspended AS (
    -- Events of one table that follow each other within an hour are one interval.
    SELECT i.lineage,
           min(i.object) AS object,
           min(i.occurred_at) AS since,
           max(i.occurred_at) AS until,
           count(*) AS transactions
    FROM (
        SELECT s.*, count(*) FILTER (WHERE s.is_first) OVER (
                   PARTITION BY s.lineage ORDER BY s.occurred_at, s.event_id) AS number
        FROM suspensions s
    ) i
    GROUP BY i.lineage, i.number
)
SELECT 'not audited' AS gap,
       u.object AS object,
       CASE WHEN o.occurred_at IS NULL THEN 'no changes of this table are recorded'
            ELSE 'auditing was switched off' END AS detail,
       o.occurred_at AS since,
       NULL::timestamptz AS until
FROM user_tables u
LEFT JOIN LATERAL (
    SELECT max(s.occurred_at) AS occurred_at FROM switched s
    WHERE s.is_off AND s.relation_oid = u.oid AND s.object = u.object
) o ON true
-- Of a partitioned table that is not audited, the root alone is shown, unless some of its partitions are
-- audited.
WHERE NOT u.is_covered AND NOT u.is_unconfigured
  AND u.relispartition = EXISTS (
      SELECT FROM user_tables p WHERE p.root = u.root AND p.oid <> p.root AND p.is_covered)
   OR NOT u.is_covered AND NOT u.is_unconfigured AND NOT u.relispartition AND u.relkind <> 'p'
UNION ALL
SELECT 'table missing', format('%I.%I', t.schema_name, t.table_name),
       'the table that is to be audited does not exist', NULL, NULL
FROM covered t
WHERE t.relation IS NULL
UNION ALL
SELECT audit_internal.trigger_gap(t.row_state), t.object,
       format('%s, whose trigger records %s',
              CASE WHEN t.is_partition THEN 'a partition' ELSE 'a table' END,
              array_to_string(
                  ARRAY(SELECT o FROM jsonb_array_elements_text(t.options->'operations') o
                        WHERE o <> 'truncate'),
                  ', ')),
       t.weakened_since, NULL
FROM covered t
WHERE t.relation IS NOT NULL AND t.row_state < 3
UNION ALL
SELECT audit_internal.trigger_gap(t.truncate_state), t.object,
       format('%s, whose trigger records truncate',
              CASE WHEN t.is_partition THEN 'a partition' ELSE 'a table' END),
       t.weakened_since, NULL
FROM covered t
WHERE t.relation IS NOT NULL AND t.truncate_state < 3
UNION ALL
-- Intervals that have ended, and triggers of tables that no longer exist.
SELECT 'trigger weakened', w.object, w.problem, w.occurred_at, w.until
FROM weakened w
WHERE w.until IS NOT NULL OR NOT EXISTS (SELECT FROM covered t WHERE t.object = w.object)
UNION ALL
SELECT 'settings missing', u.object,
       'the table has audit triggers but no settings: it is recorded at level standard, with the redaction '
       'that its triggers name; audit.enable sets its options',
       NULL, NULL
FROM user_tables u
WHERE u.is_unconfigured
UNION ALL
SELECT 'trigger not first', t.object,
       format('the trigger %I fires before the audit trigger: events of its changes precede that of the row',
              t.earlier_trigger),
       NULL, NULL
FROM covered t
WHERE t.earlier_trigger IS NOT NULL
UNION ALL
SELECT 'operations left out', t.object,
       array_to_string(
           ARRAY(SELECT o FROM unnest(ARRAY['insert', 'update', 'delete', 'truncate']) o
                 WHERE NOT t.options->'operations' ? o OR o = 'truncate' AND NOT t.has_truncate),
           ', '),
       NULL, NULL
FROM covered t
WHERE t.relation = t.enabled
  AND NOT t.options->'operations' ?& ARRAY['insert', 'update', 'delete', 'truncate']
   OR t.options->'operations' ? 'truncate' AND NOT t.has_truncate
UNION ALL
SELECT 'layer not loaded', 'shared_preload_libraries',
       'audit is not preloaded: only triggers capture events, and partitions are created on demand only',
       NULL, NULL
WHERE NOT audit_internal.is_preloaded()
UNION ALL
SELECT 'event trigger ' || CASE WHEN e.evtenabled IS NULL THEN 'missing'
                                WHEN e.evtenabled = 'D' THEN 'disabled'
                                ELSE 'not always enabled' END,
       w.name, w.purpose, NULL, NULL
FROM (VALUES
    ('audit_definition_starts', 'protects the evidence against DROP'),
    ('audit_definition_ends', 'lets auditing follow new, renamed and attached tables'),
    ('audit_objects_dropped', 'records that an audited table was dropped'),
    ('audit_table_rewritten', 'records that rows were rewritten')
) w (name, purpose)
LEFT JOIN pg_catalog.pg_event_trigger e ON e.evtname = w.name
WHERE e.evtenabled IS DISTINCT FROM 'A'
UNION ALL
-- An enabled trigger BEFORE each statement of INSERT, UPDATE, DELETE and TRUNCATE has tgtype 62.
SELECT 'evidence unprotected', format('%I.%I', n.nspname, c.relname),
       'the trigger reject_change is missing, conditional or not always enabled', NULL, NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('audit', 'audit_internal')
  AND (c.relkind = 'p' OR c.relkind = 'r' AND c.relispartition)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_trigger t
      WHERE t.tgrelid = c.oid
        AND t.tgfoid = 'audit_internal.reject_change'::regproc
        AND t.tgenabled = 'A'
        AND t.tgtype = 62
        AND t.tgqual IS NULL)
UNION ALL
SELECT 'evidence unprotected', p.oid::regprocedure::text,
       'the function is not the one that the extension installed', NULL, NULL
FROM (VALUES ('audit.capture_row'::regproc, 'audit_capture_row'),
             ('audit.capture_truncate', 'audit_capture_truncate'),
             ('audit_internal.reject_change', 'audit_reject_change'),
             ('audit_internal.reject_insert', 'audit_reject_change'),
             ('audit_internal.accept_row', 'audit_accept_row'),
             ('audit_internal.refuse_applied', 'audit_refuse_applied')) f (function, symbol)
JOIN pg_catalog.pg_proc p ON p.oid = f.function::oid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE l.lanname <> 'c' OR p.prosrc <> f.symbol
UNION ALL
SELECT 'auditing off',
       concat_ws(' in ',
                 coalesce('role ' || quote_ident(r.rolname),
                          CASE WHEN x.setdatabase = 0 THEN 'every role' END),
                 'database ' || quote_ident(d.datname)),
       'audit.enabled is off by ALTER ROLE or ALTER DATABASE', NULL, NULL
FROM pg_catalog.pg_db_role_setting x
LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = x.setdatabase
WHERE (x.setdatabase = 0 OR d.datname = current_database())
  AND EXISTS (SELECT FROM unnest(x.setconfig) c
              WHERE lower(c) ~ '^audit\.enabled=(off|of|f|false|fa|fal|fals|no|n|0)$')
UNION ALL
SELECT 'auditing off', s.object,
       format('audit.enabled was off in %s transaction(s) that changed the table', s.transactions),
       s.since, s.until
FROM suspended s
UNION ALL
SELECT 'auditing off', s.object, 'auditing was switched off and on again', s.occurred_at, s.next_at
FROM switched s
WHERE s.is_off AND s.is_next_on
UNION ALL
SELECT CASE e.event_type WHEN audit_internal.event_type('audit.lost') THEN 'events lost'
                         ELSE 'events may be lost' END,
       coalesce(e.entity, 'audit'), e.parameters::text, e.occurred_at, NULL
FROM audit_internal.stored_events e
WHERE e.category = 'system' AND e.event_type = ANY (audit_internal.event_types('audit.lost', 'audit.gap'))
UNION ALL
SELECT 'rows came unseen', u.object,
       format('rows were added or changed without events by %s; audit.baseline records them',
              coalesce(u.reason, 'an unknown command')),
       u.since, NULL
FROM audit_internal.unseen_rows() u;
COMMENT ON VIEW audit.coverage IS
    'Gaps in the trail, one row per gap: what is not being recorded, and intervals in which it was not';
COMMENT ON COLUMN audit.coverage.gap IS 'Kind of the gap';
COMMENT ON COLUMN audit.coverage.object IS 'The table, setting or trigger concerned';
COMMENT ON COLUMN audit.coverage.detail IS 'What is or was not recorded, and why';
COMMENT ON COLUMN audit.coverage.since IS 'When the gap began; null where that is not known';
COMMENT ON COLUMN audit.coverage.until IS 'When the gap ended; null while it is open';
