-- Retention policies: how long the events of a category, or of a table, are kept.

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, set a policy, which is recorded as an
-- event; setting it deletes nothing.
CREATE FUNCTION audit.set_retention(
    category text,
    keep interval DEFAULT NULL,
    archive boolean DEFAULT NULL,
    archive_keep interval DEFAULT NULL,
    max_bytes bigint DEFAULT NULL,
    target regclass DEFAULT NULL,
    partition_interval interval DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    table_settings audit_internal.table_settings;
    policy audit_internal.retention_settings;
    event_id uuid;
BEGIN
    PERFORM audit_internal.check_retention(
        category, keep, archive, archive_keep, max_bytes, target, partition_interval);
    IF target IS NOT NULL THEN
        table_settings := audit_internal.audited_settings_of(target);
    END IF;
    -- Serializes policies, and keeps them from changing while retention runs.
    PERFORM audit_internal.lock('retention');
    -- Of a trail that has none yet.
    PERFORM audit_internal.create_partitions();
    event_id := audit_internal.emit(
        'config.change',
        parameters => jsonb_strip_nulls(jsonb_build_object(
            'setting', 'retention of ' || category,
            'value', jsonb_build_object(
                'keep', keep,
                'archive', archive,
                'archive_keep', archive_keep,
                'max_bytes', max_bytes,
                'partition_interval', partition_interval))),
        entity => CASE WHEN target IS NULL THEN 'category ' || category END,
        target => target);
    policy := audit_internal.policy_of(category, CASE WHEN target IS NOT NULL THEN event_id END);
    policy.keep := nullif(coalesce(keep, policy.keep), interval '0');
    policy.archive := coalesce(archive, policy.archive);
    policy.archive_keep := nullif(coalesce(archive_keep, policy.archive_keep), interval '0');
    policy.max_bytes := nullif(coalesce(max_bytes, policy.max_bytes), 0);
    IF policy.archive_keep < policy.keep THEN
        RAISE EXCEPTION 'archive_keep must not be less than keep'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Both count from the time of the event.';
    END IF;
    PERFORM audit_internal.upsert_config(policy);
    PERFORM audit_internal.set_partition_interval(
        audit_internal.parent_of(category, CASE WHEN target IS NOT NULL THEN policy.retention_id END),
        partition_interval);
    IF target IS NOT NULL THEN
        PERFORM audit_internal.create_partitions();
        table_settings.options :=
            table_settings.options || jsonb_build_object('retention', policy.retention_id);
        PERFORM audit_internal.upsert_config(table_settings);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.set_retention(text, interval, boolean, interval, bigint, regclass, interval) IS
    'Sets how long events of a category, or the changes of one table, are kept; null keeps the present '
    'value, zero means without limit';

CREATE FUNCTION audit_internal.check_retention(
    category text,
    keep interval,
    archive boolean,
    archive_keep interval,
    max_bytes bigint,
    target regclass,
    partition_interval interval
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF category IS NULL THEN
        RAISE EXCEPTION 'category must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'The categories are data, read, security, schema, system and application.';
    END IF;
    PERFORM audit_internal.check_category(category);
    IF target IS NOT NULL AND category <> 'data' THEN
        RAISE EXCEPTION 'only category data can have a retention for one table'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Omit target, or pass category data.';
    ELSIF least(keep, archive_keep, partition_interval) < interval '0' OR max_bytes < 0 THEN
        RAISE EXCEPTION 'keep, archive_keep, max_bytes and partition_interval must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Zero means without limit.';
    ELSIF partition_interval > interval '0' AND partition_interval < interval '1 hour' THEN
        RAISE EXCEPTION 'partition_interval must be at least one hour'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Zero means an interval derived from the retention.';
    ELSIF archive THEN
        PERFORM audit_internal.check_archive_location();
    END IF;
END;
$$;
COMMENT ON FUNCTION
    audit_internal.check_retention(text, interval, boolean, interval, bigint, regclass, interval) IS
    'Raises an error for arguments that audit.set_retention does not accept';

CREATE FUNCTION audit_internal.check_category(category text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF category NOT IN ('data', 'read', 'security', 'schema', 'system', 'application') THEN
        RAISE EXCEPTION 'unrecognized category "%"', category
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The categories are data, read, security, schema, system and application.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_category(text) IS 'Raises an error if there is no such category';

CREATE FUNCTION audit_internal.check_archive_location() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(current_setting('audit.archive_location', true), '') = '' THEN
        RAISE EXCEPTION 'audit.archive_location is not set'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set it to a directory or an s3:// URL, and reload the configuration.';
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.check_archive_location() IS
    'Raises an error if audit.archive_location is not set';

CREATE FUNCTION audit_internal.audited_settings_of(target regclass) RETURNS audit_internal.table_settings
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    table_settings audit_internal.table_settings := audit_internal.settings_of(target);
BEGIN
    IF table_settings.schema_name IS NULL THEN
        RAISE EXCEPTION '% is not audited', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'audit.tables lists the audited tables; a partition has the retention of its '
                         'parent.';
    END IF;
    RETURN table_settings;
END;
$$;
COMMENT ON FUNCTION audit_internal.audited_settings_of(regclass) IS
    'The row of table_settings of a table; raises an error if it is not audited';

-- The event identifies the table: writing it has given the table a lineage, if it had none.
CREATE FUNCTION audit_internal.policy_of(category text, event_id uuid)
RETURNS audit_internal.retention_settings
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy audit_internal.retention_settings;
    table_lineage uuid;
    table_entity text;
BEGIN
    IF event_id IS NOT NULL THEN
        SELECT r.lineage, r.entity INTO STRICT table_lineage, table_entity
        FROM audit_internal.event_row(event_id) e
        JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id;
    END IF;
    SELECT s.* INTO policy
    FROM audit_internal.retention_settings s
    WHERE s.category = policy_of.category AND s.lineage IS NOT DISTINCT FROM table_lineage;
    IF NOT FOUND THEN
        policy.retention_id :=
            (SELECT coalesce(max(s.retention_id), 0) + 1 FROM audit_internal.retention_settings s);
        policy.category := category;
        policy.lineage := table_lineage;
        policy.is_moved := table_lineage IS NULL;
    END IF;
    policy.entity := table_entity;
    RETURN policy;
END;
$$;
COMMENT ON FUNCTION audit_internal.policy_of(text, uuid) IS
    'The policy of a category, or of the table that an event is about; a new one if none is set';

CREATE FUNCTION audit_internal.set_partition_interval(parent text, partition_interval interval) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings audit_internal.partition_settings;
BEGIN
    settings.parent := parent;
    settings.partition_interval := partition_interval;
    IF partition_interval > interval '0' THEN
        PERFORM audit_internal.upsert_config(settings);
    ELSIF partition_interval = interval '0' THEN
        PERFORM audit_internal.delete_config(s)
        FROM audit_internal.partition_settings s
        WHERE s.parent = set_partition_interval.parent;
    END IF;
END;
$$;
COMMENT ON FUNCTION audit_internal.set_partition_interval(text, interval) IS
    'Sets the interval of the partitions of a parent; zero resets it, null keeps the present value';

-- By name and OID, so that a table that is enabled again gets the retention that it had.
CREATE FUNCTION audit_internal.retention_of(target regclass) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.retention_id
    FROM audit_internal.retention_settings s
    WHERE s.lineage = (SELECT r.lineage
                       FROM audit_internal.relations r
                       JOIN pg_catalog.pg_class c ON c.oid = target AND c.relname = r.table_name
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = r.schema_name
                       WHERE r.relation_oid = target::oid
                       ORDER BY r.since DESC
                       LIMIT 1);
END;
COMMENT ON FUNCTION audit_internal.retention_of(regclass) IS
    'The retention that is set for a table itself, null if none is';
