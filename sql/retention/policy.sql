-- How long events are kept, and what says otherwise.

-- SECURITY DEFINER is safe here: its callers, members of audit_admin, set a policy, which is an event; nothing is deleted by
-- it.
CREATE FUNCTION audit.set_retention(category text, keep interval DEFAULT NULL, archive boolean DEFAULT NULL, archive_keep interval DEFAULT NULL,
                                    max_bytes bigint DEFAULT NULL, target regclass DEFAULT NULL, partition_interval interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    table_settings audit_internal.table_settings;
    previous audit_internal.retention_settings;
    policy audit_internal.retention_settings;
    partition_parent text;
    event_id uuid;
BEGIN
    IF set_retention.category IS NULL THEN
        RAISE EXCEPTION 'category must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'The categories are data, read, security, schema, system and application.';
    ELSIF set_retention.category NOT IN ('data', 'read', 'security', 'schema', 'system', 'application') THEN
        RAISE EXCEPTION 'unknown category "%"', set_retention.category
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The categories are data, read, security, schema, system and application.';
    ELSIF target IS NOT NULL AND set_retention.category <> 'data' THEN
        RAISE EXCEPTION 'only events of category data have a retention by table'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave target out, or pass the category data.';
    ELSIF least(keep, archive_keep, partition_interval) < interval '0' OR max_bytes < 0 THEN
        RAISE EXCEPTION 'a retention must not be negative' USING ERRCODE = 'invalid_parameter_value', HINT = 'Zero means without limit.';
    ELSIF partition_interval > interval '0' AND partition_interval < interval '1 hour' THEN
        RAISE EXCEPTION 'partition_interval must be at least one hour' USING ERRCODE = 'invalid_parameter_value', HINT = 'Zero means an interval derived from the retention.';
    ELSIF archive AND coalesce(current_setting('audit.archive_location', true), '') = '' THEN
        RAISE EXCEPTION 'audit.archive_location is not set' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Set it to a directory or an s3:// URL, and reload the configuration.';
    END IF;
    IF target IS NOT NULL THEN
        table_settings := audit_internal.settings_of(target);
        IF table_settings.schema_name IS NULL THEN
            RAISE EXCEPTION '% is not audited', target
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'audit.tables lists the audited tables; a partition has the retention of its parent.';
        END IF;
    END IF;
    -- One after the other, and not beside maintenance, which goes by what is set.
    PERFORM audit_internal.lock('retention');
    event_id := audit_internal.emit('config.change', jsonb_strip_nulls(jsonb_build_object('setting', 'retention of ' || category, 'value',
        jsonb_build_object('keep', keep, 'archive', archive, 'archive_keep', archive_keep, 'max_bytes', max_bytes, 'partition_interval', partition_interval))),
        CASE WHEN target IS NULL THEN 'category ' || category END, NULL, target, NULL);
    IF target IS NOT NULL THEN
        -- The event has written the table's lineage, where it had none.
        SELECT r.lineage, r.entity INTO STRICT policy.lineage, policy.entity
        FROM audit_internal.event_row(event_id) e JOIN audit_internal.relations r ON r.node_id = e.node_id AND r.relation_id = e.relation_id;
    END IF;
    SELECT s.* INTO previous FROM audit_internal.retention_settings s
    WHERE s.category = set_retention.category AND s.lineage IS NOT DISTINCT FROM policy.lineage;
    policy.retention_id := coalesce(previous.retention_id, (SELECT coalesce(max(s.retention_id), 0) + 1 FROM audit_internal.retention_settings s));
    policy.category := category;
    policy.keep := nullif(coalesce(keep, previous.keep), interval '0');
    policy.archive := coalesce(archive, previous.archive);
    policy.archive_keep := nullif(coalesce(archive_keep, previous.archive_keep), interval '0');
    policy.max_bytes := nullif(coalesce(max_bytes, previous.max_bytes), 0);
    policy.is_moved := coalesce(previous.is_moved, target IS NULL);
    IF policy.archive_keep < policy.keep THEN
        RAISE EXCEPTION 'archive_keep must not be less than keep'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Both count from the time of the event.';
    END IF;
    PERFORM audit_internal.upsert_config(policy);
    partition_parent := audit_internal.parent_of(category, CASE WHEN target IS NOT NULL THEN policy.retention_id END);
    IF partition_interval > interval '0' THEN
        PERFORM audit_internal.upsert_config(ROW(partition_parent, partition_interval)::audit_internal.partition_settings);
    ELSIF partition_interval = interval '0' THEN
        PERFORM audit_internal.delete_config(s) FROM audit_internal.partition_settings s WHERE s.parent = partition_parent;
    END IF;
    IF target IS NOT NULL THEN
        PERFORM audit_internal.create_partitions();
        table_settings.options := table_settings.options || jsonb_build_object('retention', policy.retention_id);
        PERFORM audit_internal.upsert_config(table_settings);
    END IF;
END;
$$;
COMMENT ON FUNCTION audit.set_retention(text, interval, boolean, interval, bigint, regclass, interval) IS
    'Sets how long events of a category, or the changes of one table, are kept; null leaves a value as it is, zero means without limit';

-- The retention of a table that had one when it was audited before.
CREATE FUNCTION audit_internal.retention_of(target regclass) RETURNS integer
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.retention_id FROM audit_internal.retention_settings s
    WHERE s.lineage = (SELECT r.lineage FROM audit_internal.relations r
                       JOIN pg_catalog.pg_class c ON c.oid = target AND c.relname = r.table_name
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = r.schema_name
                       WHERE r.relation_oid = target::oid ORDER BY r.since DESC LIMIT 1);
END;
COMMENT ON FUNCTION audit_internal.retention_of(regclass) IS 'The retention of its own that a table has, null without one; internal';

-- Events of a partition, counted where it has closed or is small, else by the planner's statistics.
CREATE FUNCTION audit_internal.events_in(partition regclass, partition_name text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    events bigint := (SELECT f.events FROM audit_internal.partition_catalog f
                      WHERE f.partition_name = events_in.partition_name AND f.state = 'closed');
    estimate record;
BEGIN
    IF events IS NOT NULL THEN
        RETURN events;
    END IF;
    SELECT c.reltuples, c.relpages, pg_relation_size(c.oid) / current_setting('block_size')::integer AS pages INTO estimate
    FROM pg_class c WHERE c.oid = partition;
    IF estimate.pages > 8192 AND estimate.relpages > 0 AND estimate.reltuples >= 0 THEN
        RETURN round(estimate.reltuples / estimate.relpages * estimate.pages);
    END IF;
    EXECUTE format('SELECT count(*) FROM audit_internal.%I', partition_name) INTO events;
    RETURN events;
END;
$$;
COMMENT ON FUNCTION audit_internal.events_in(regclass, text) IS 'Events of a partition, estimated where it is open and large; internal';

-- SECURITY DEFINER is safe here: it shows counts, sizes and times to readers and administrators, no event.
CREATE FUNCTION audit_internal.retention_overview() RETURNS TABLE (category text, entity text, keep interval, archive boolean, archive_keep interval,
    max_bytes bigint, partition_interval interval, partitions integer, oldest_event timestamptz, events bigint, bytes bigint, next_due timestamptz,
    archives integer, archived_events bigint, archived_bytes bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy record;
    partition record;
    first_at timestamptz;
BEGIN
    FOR policy IN
        SELECT c.category, NULL::text AS entity, s.retention_id, audit_internal.parent_of(c.category, NULL) AS parent, s.keep, s.archive, s.archive_keep, s.max_bytes,
               NULL::integer AS dedicated_id
        FROM unnest(ARRAY['data', 'read', 'security', 'schema', 'system', 'application']) WITH ORDINALITY c (category, place)
        LEFT JOIN audit_internal.retention_settings s ON s.category = c.category AND s.lineage IS NULL
        UNION ALL
        SELECT s.category, s.entity, s.retention_id, audit_internal.parent_of(s.category, s.retention_id), s.keep, s.archive, s.archive_keep, s.max_bytes,
               s.retention_id
        FROM audit_internal.retention_settings s WHERE s.lineage IS NOT NULL
        ORDER BY category, entity NULLS FIRST
    LOOP
        category := policy.category;
        entity := policy.entity;
        keep := audit_internal.kept(policy.parent);
        SELECT coalesce(policy.archive, s.archive, false), coalesce(policy.archive_keep, s.archive_keep) INTO archive, archive_keep
        FROM (SELECT) nothing LEFT JOIN audit_internal.retention_settings s ON s.category = policy.category AND s.lineage IS NULL;
        max_bytes := policy.max_bytes;
        partition_interval := audit_internal.partition_interval(policy.parent);
        partitions := 0;
        oldest_event := NULL;
        events := 0;
        bytes := 0;
        next_due := NULL;
        FOR partition IN SELECT l.* FROM audit.partitions l WHERE l.parent = policy.parent ORDER BY l.since LOOP
            partitions := partitions + 1;
            bytes := bytes + pg_total_relation_size(partition.partition);
            events := events + audit_internal.events_in(partition.partition, partition.partition_name);
            IF oldest_event IS NULL THEN
                EXECUTE format('SELECT min(e.occurred_at) FROM audit_internal.%I e', partition.partition_name) INTO oldest_event;
                next_due := CASE WHEN oldest_event IS NOT NULL THEN partition.until + keep END;
            END IF;
        END LOOP;
        SELECT count(*), coalesce(sum(a.events), 0), coalesce(sum(a.bytes), 0) INTO archives, archived_events, archived_bytes
        FROM audit.archives a WHERE a.category = policy.category AND a.retention_id IS NOT DISTINCT FROM policy.dedicated_id;
        RETURN NEXT;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION audit_internal.retention_overview() IS 'What audit.retention shows; internal';

CREATE VIEW audit.retention AS SELECT r.* FROM audit_internal.retention_overview() r;
COMMENT ON VIEW audit.retention IS 'How long events are kept, by category and by table with a retention of its own, and what there is';
COMMENT ON COLUMN audit.retention.keep IS 'Null for ever; a table without one has its category''s';
COMMENT ON COLUMN audit.retention.events IS 'Events in partitions; of a large open partition by the planner''s statistics';
COMMENT ON COLUMN audit.retention.bytes IS 'Bytes of the partitions with their indexes';
COMMENT ON COLUMN audit.retention.next_due IS 'When the oldest partition is dropped by age';
