-- Values of an event, decoded from the form in which they are stored: event_type, changes and image are
-- columns of audit.events, recorded_columns is one of audit_internal.relations.

CREATE FUNCTION audit.row(base anyelement, image jsonb) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_row';
COMMENT ON FUNCTION audit.row(anyelement, jsonb) IS
    'The row that an image describes; columns that the image lacks come from base, and types whose values '
    'only the server makes are refused';

CREATE FUNCTION audit.diff(old_values jsonb, new_values jsonb)
    RETURNS TABLE (path text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'audit_diff_values';
COMMENT ON FUNCTION audit.diff(jsonb, jsonb) IS
    'Differences between two documents, one row per path such as a.b[2], with positions from 0; a value '
    'that one side lacks is null';

CREATE FUNCTION audit_internal.changed_columns(event_type integer, changes jsonb) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_changed_columns';
COMMENT ON FUNCTION audit_internal.changed_columns(integer, jsonb) IS
    'Names of the columns that an update changed; null for other events; internal';

CREATE FUNCTION audit_internal.old_values(
    event_type integer,
    changes jsonb,
    image jsonb,
    recorded_columns jsonb
) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_old_values';
COMMENT ON FUNCTION audit_internal.old_values(integer, jsonb, jsonb, jsonb) IS
    'Values before a row event, by column; null for an insert; internal';

CREATE FUNCTION audit_internal.new_values(
    event_type integer,
    changes jsonb,
    image jsonb,
    recorded_columns jsonb
) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_new_values';
COMMENT ON FUNCTION audit_internal.new_values(integer, jsonb, jsonb, jsonb) IS
    'Values after a row event, by column; null for a delete; internal';

CREATE FUNCTION audit_internal.column_changes(event_type integer, changes jsonb, recorded_columns jsonb)
    RETURNS TABLE (column_name text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'audit_column_changes';
COMMENT ON FUNCTION audit_internal.column_changes(integer, jsonb, jsonb) IS
    'A row event as one row per column: all columns of an insert or delete, the changed ones of an update; '
    'internal';

CREATE FUNCTION audit_internal.summary(
    actor text,
    phrase text,
    entity text,
    entity_id text,
    entity_label text,
    event_type integer,
    changes jsonb
) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_summary';
COMMENT ON FUNCTION audit_internal.summary(text, text, text, text, text, integer, jsonb) IS
    'An event in one sentence; internal';

CREATE TYPE audit_internal.attribution AS (
    login                text,
    role                 text,
    effective_role       text,
    application_name     text,
    actor                text,
    actor_source         text,
    trace_id             text,
    reason               text,
    context              jsonb,
    statement            text,
    statement_parameters jsonb,
    token                text,
    client_addr          inet
);
COMMENT ON TYPE audit_internal.attribution IS
    'Who and why: a row of audit_internal.contexts with columns of its session; internal';

CREATE FUNCTION audit_internal.attribution(node_id integer, context_id bigint)
    RETURNS audit_internal.attribution
    LANGUAGE c STABLE PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'audit_attribution';
COMMENT ON FUNCTION audit_internal.attribution(integer, bigint) IS
    'The context of an event with its session, read without a check of privileges; null where retention has '
    'deleted it; internal';
