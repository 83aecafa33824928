-- What an event says, decoded from the way it is stored: event_type, changes and image are columns of audit.events, recorded_columns is one
-- of audit_internal.relations.

CREATE FUNCTION audit.row(base anyelement, image jsonb) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_row';
COMMENT ON FUNCTION audit.row(anyelement, jsonb) IS
    'The row that an image describes, exact for every type; columns that the image lacks come from base';

CREATE FUNCTION audit.diff(old_values jsonb, new_values jsonb)
    RETURNS TABLE (path text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'audit_diff_values';
COMMENT ON FUNCTION audit.diff(jsonb, jsonb) IS
    'What differs between two documents, one row a place such as a.b[2], positions from 0; what one side lacks is null there';

CREATE FUNCTION audit_internal.changed_columns(event_type integer, changes jsonb) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_changed_columns';
COMMENT ON FUNCTION audit_internal.changed_columns(integer, jsonb) IS 'Names of the columns that an update changed; null for other events';

CREATE FUNCTION audit_internal.old_values(event_type integer, changes jsonb, image jsonb, recorded_columns jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_old_values';
COMMENT ON FUNCTION audit_internal.old_values(integer, jsonb, jsonb, jsonb) IS 'The values before a row event; null for an insert';

CREATE FUNCTION audit_internal.new_values(event_type integer, changes jsonb, image jsonb, recorded_columns jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_new_values';
COMMENT ON FUNCTION audit_internal.new_values(integer, jsonb, jsonb, jsonb) IS 'The values after a row event; null for a delete';

CREATE FUNCTION audit_internal.column_changes(event_type integer, changes jsonb, recorded_columns jsonb)
    RETURNS TABLE (column_name text, old_value jsonb, new_value jsonb)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'audit_column_changes';
COMMENT ON FUNCTION audit_internal.column_changes(integer, jsonb, jsonb) IS
    'A row event as one row a column: all of an insert or delete, the changed ones of an update';

CREATE FUNCTION audit_internal.summary(actor text, phrase text, entity text, entity_id text, entity_label text, event_type integer,
                              changes jsonb) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'audit_summary';
COMMENT ON FUNCTION audit_internal.summary(text, text, text, text, text, integer, jsonb) IS 'An event in one sentence';

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
COMMENT ON TYPE audit_internal.attribution IS 'Who did it and why: a row of audit_internal.contexts with what its session adds';

CREATE FUNCTION audit_internal.attribution(node_id integer, context_id bigint) RETURNS audit_internal.attribution
    LANGUAGE c STABLE PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'audit_attribution';
COMMENT ON FUNCTION audit_internal.attribution(integer, bigint) IS
    'The context of an event with its session, past permissions; null where retention has deleted it';
