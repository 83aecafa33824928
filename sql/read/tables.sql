-- Audited tables and the state of their triggers.

-- States of triggers are those of audit_internal.weakened_triggers: 3 records all that the options ask for.
-- Bits of pg_trigger.tgtype: 1 for each row, 2 before, 64 instead of; an AFTER ROW trigger has only the
-- first.
CREATE VIEW audit_internal.covered_tables AS
SELECT s.schema_name,
       s.table_name,
       s.options,
       e.relation AS enabled,
       m.relation,
       m.is_partition,
       m.object,
       audit_internal.row_state(m.relation, s.options) AS row_state,
       audit_internal.truncate_state(m.relation, s.options) AS truncate_state,
       s.options->'operations' ? 'truncate'
           AND audit_internal.takes_truncate_trigger(m.relation) AS has_truncate,
       (SELECT min(o.tgname)
        FROM pg_catalog.pg_trigger o
        WHERE o.tgrelid = m.relation
          AND o.tgtype & 67 = 1
          AND o.tgfoid <> 'audit.capture_row'::regproc
          AND o.tgname < (SELECT min(u.tgname) FROM pg_catalog.pg_trigger u
                          WHERE u.tgrelid = m.relation AND u.tgfoid = 'audit.capture_row'::regproc)
       ) AS earlier_trigger,
       k.since AS weakened_since
FROM audit_internal.table_settings s
LEFT JOIN LATERAL (
    SELECT c.oid::regclass AS relation FROM pg_catalog.pg_class c WHERE c.oid = s.relation_oid
) e ON true
LEFT JOIN LATERAL (
    SELECT c.oid::regclass AS relation,
           c.oid <> e.relation AS is_partition,
           format('%I.%I', n.nspname, c.relname) AS object
    FROM audit_internal.with_partitions(e.relation) t
    JOIN pg_catalog.pg_class c ON c.oid = t
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
) m ON true
LEFT JOIN audit_internal.weakened_triggers k ON k.relation_oid = m.relation::oid AND NOT k.is_restored;
COMMENT ON VIEW audit_internal.covered_tables IS
    'Audited tables and their partitions, one row per table, with the state of their triggers; internal';

CREATE VIEW audit.tables AS
SELECT s.schema_name,
       s.table_name,
       CASE c.relkind WHEN 'p' THEN 'partitioned table'
                      WHEN 'f' THEN 'foreign table'
                      WHEN 'r' THEN 'table' END AS kind,
       s.options->>'level' AS level,
       ARRAY(SELECT jsonb_array_elements_text(s.options->'operations')) AS operations,
       ARRAY(SELECT jsonb_array_elements_text(s.options->'ignore_columns')) AS ignored_columns,
       ARRAY(SELECT r.key || ': ' || r.value FROM jsonb_each_text(s.options->'redact') r ORDER BY r.key)
           AS redacted_columns,
       s.options->>'label_column' AS label_column,
       coalesce(s.options->'reads' = 'true', false) AS reads,
       g.partitions,
       s.enabled_at,
       s.enabled_by,
       g.active
FROM audit_internal.table_settings s
LEFT JOIN LATERAL (
    SELECT min(t.enabled::oid::bigint)::oid AS relation,
           count(*) FILTER (WHERE t.is_partition) AS partitions,
           coalesce(bool_and(t.relation IS NOT NULL AND t.row_state = 3 AND t.truncate_state = 3), false)
               AS active
    FROM audit_internal.covered_tables t
    WHERE t.schema_name = s.schema_name AND t.table_name = s.table_name
) g ON true
LEFT JOIN pg_catalog.pg_class c ON c.oid = g.relation;
COMMENT ON VIEW audit.tables IS
    'Audited tables and their options, one row per table that audit.enable was called for';
COMMENT ON COLUMN audit.tables.schema_name IS 'Schema of the table';
COMMENT ON COLUMN audit.tables.table_name IS 'Name of the table';
COMMENT ON COLUMN audit.tables.kind IS
    'table, partitioned table or foreign table; null where the table does not exist';
COMMENT ON COLUMN audit.tables.level IS 'minimal, standard or comprehensive';
COMMENT ON COLUMN audit.tables.operations IS 'Operations that are recorded: insert, update, delete, truncate';
COMMENT ON COLUMN audit.tables.ignored_columns IS 'Columns whose changes alone record no event';
COMMENT ON COLUMN audit.tables.redacted_columns IS
    'Columns whose values the trail does not show, each with its redaction: mask, hash or omit';
COMMENT ON COLUMN audit.tables.label_column IS 'Column whose value is entity_label in the trail';
COMMENT ON COLUMN audit.tables.reads IS 'Whether reads are to be recorded';
COMMENT ON COLUMN audit.tables.partitions IS 'Number of partitions, which are audited with the table';
COMMENT ON COLUMN audit.tables.enabled_at IS 'When audit.enable was last called for the table';
COMMENT ON COLUMN audit.tables.enabled_by IS 'The role that called it';
COMMENT ON COLUMN audit.tables.active IS
    'Whether all triggers exist and fire in every mode; audit.coverage shows what is wrong';

CREATE VIEW audit.schemas AS
SELECT n.nspname::text AS schema_name,
       s.options->>'level' AS level,
       ARRAY(SELECT jsonb_array_elements_text(s.options->'operations')) AS operations,
       ARRAY(SELECT jsonb_array_elements_text(s.options->'ignore_columns')) AS ignored_columns,
       ARRAY(SELECT r.key || ': ' || r.value FROM jsonb_each_text(s.options->'redact') r ORDER BY r.key)
           AS redacted_columns,
       s.options->>'label_column' AS label_column,
       s.enabled_at,
       s.enabled_by
FROM audit_internal.schema_settings s
JOIN pg_catalog.pg_namespace n ON n.oid = s.schema_oid;
COMMENT ON VIEW audit.schemas IS
    'Schemas whose present and future tables are audited, one row per schema, with the options of new tables';
COMMENT ON COLUMN audit.schemas.level IS 'minimal, standard or comprehensive';
COMMENT ON COLUMN audit.schemas.operations IS 'The operations that are recorded';
COMMENT ON COLUMN audit.schemas.ignored_columns IS
    'Columns whose values are not recorded, where a table has them';
COMMENT ON COLUMN audit.schemas.redacted_columns IS
    'Columns that are redacted where a table has them, as column: method';
COMMENT ON COLUMN audit.schemas.label_column IS 'The column whose value names a record, where a table has it';
COMMENT ON COLUMN audit.schemas.enabled_at IS 'When audit.enable_schema was first called';
COMMENT ON COLUMN audit.schemas.enabled_by IS 'The login that called it';
COMMENT ON COLUMN audit.schemas.schema_name IS 'The schema';
