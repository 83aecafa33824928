-- Requests to the executable audit-archive, which writes, reads and verifies the files of archives;
-- crates/audit-archive/README.md describes its requests and answers.

CREATE FUNCTION audit_internal.call_archiver(command text, request jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_call_archiver';
COMMENT ON FUNCTION audit_internal.call_archiver(text, jsonb) IS
    'Runs a command of audit-archive and returns its answer';

CREATE FUNCTION audit_internal.write_archive(request jsonb, queries text[]) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'audit_write_archive';
COMMENT ON FUNCTION audit_internal.write_archive(jsonb, text[]) IS
    'Sends the lines that queries return to audit-archive and returns the manifest';

CREATE FUNCTION audit_internal.archive_request(archived audit.archives) RETURNS jsonb
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'location', archived.location,
        'manifest_file', archived.manifest,
        'manifest_sha256', archived.manifest_sha256);
END;
COMMENT ON FUNCTION audit_internal.archive_request(audit.archives) IS
    'The request that names an existing archive to audit-archive';

CREATE FUNCTION audit_internal.write_request(archived audit.archives) RETURNS jsonb
LANGUAGE sql STABLE
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'archive_id', archived.archive_id,
        'category', archived.category,
        'server', (SELECT n.name
                   FROM audit_internal.nodes n
                   JOIN pg_control_system() s ON s.system_identifier = n.system_identifier
                   WHERE n.database_name = current_database()
                   ORDER BY n.since DESC
                   LIMIT 1),
        'database', current_database(),
        'partition', archived.partition,
        'since', archived.since,
        'until', archived.until,
        'schema_version', archived.schema_version,
        'application', 'audit ' || (SELECT x.extversion
                                    FROM pg_catalog.pg_extension x
                                    WHERE x.extname = 'audit'),
        'columns', (SELECT jsonb_agg(jsonb_build_object(
                                         'name', a.attname,
                                         'type', format_type(a.atttypid, a.atttypmod))
                                     ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = 'audit.events'::regclass
                      AND a.attnum > 0
                      AND a.attname <> 'retention_id'));
END;
COMMENT ON FUNCTION audit_internal.write_request(audit.archives) IS
    'The request that has audit-archive write an archive';

CREATE FUNCTION audit_internal.archive_query(kind text, dictionary text, condition text) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT format(
        'SELECT convert_to(json_build_object(%L, to_json(d))::text, ''UTF8'') FROM %s d WHERE %s',
        kind, dictionary, condition);
END;
COMMENT ON FUNCTION audit_internal.archive_query(text, text, text) IS
    'The query whose lines are the rows d of a dictionary that meet the condition';

-- The rows of the dictionaries that the partition's events refer to, then the events as they are stored.
CREATE FUNCTION audit_internal.archive_queries(partition text, lowest bigint, highest bigint) RETURNS text[]
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT ARRAY[
        audit_internal.archive_query('node', 'audit_internal.nodes', 'true'),
        audit_internal.archive_query('event_type', 'audit.event_types', 'true'),
        audit_internal.archive_query('relation', 'audit_internal.relations', format(
            '(d.node_id, d.relation_id) IN ('
            '    SELECT e.node_id, e.relation_id FROM audit_internal.%I e)',
            partition)),
        audit_internal.archive_query('session', 'audit_internal.sessions', format(
            '(d.node_id, d.session_id) IN ('
            '    SELECT k.node_id, k.session_id FROM audit_internal.contexts k'
            '    WHERE k.context_id BETWEEN %s AND %s'
            '      AND (k.node_id, k.context_id) IN ('
            '          SELECT e.node_id, e.context_id FROM audit_internal.%I e))',
            lowest, highest, partition)),
        audit_internal.archive_query('context', 'audit_internal.contexts', format(
            'd.context_id BETWEEN %s AND %s'
            ' AND (d.node_id, d.context_id) IN ('
            '    SELECT e.node_id, e.context_id FROM audit_internal.%I e)',
            lowest, highest, partition)),
        format(
            'SELECT convert_to(json_build_array('
            'e.occurred_at, e.event_id, e.transaction_id, e.context_id, e.node_id, e.event_type, '
            'e.relation_id, e.command_id, e.category, e.entity_id, e.changes, e.image, '
            'e.entity_label, e.parameters, e.new_entity_id, e.entity, e.result, '
            'e.subject_transaction_id)::text, ''UTF8'')'
            ' FROM audit_internal.%I e ORDER BY e.occurred_at',
            partition)];
END;
COMMENT ON FUNCTION audit_internal.archive_queries(text, bigint, bigint) IS
    'The queries whose lines are sent to audit-archive for a partition with contexts between these ids';
