-- An empty trail for the benchmark of reading: eight audited tables, partitions for two years, and what says how many events go where.
-- psql variable: events.
CREATE EXTENSION audit;
CREATE EXTENSION pg_prewarm;
CREATE SCHEMA bench;

-- Twenty columns, those of the table that the cost of writing is measured with.
SELECT format('CREATE TABLE %s (id bigint PRIMARY KEY, account integer, status smallint, active boolean, name text, email text, street text, city text,
                                country char(2), credit numeric(12, 2), score double precision, created_at timestamptz, updated_at timestamptz, born date,
                                reference uuid, tags text[], settings jsonb, note text, address inet, token bytea)', n),
       format('SELECT audit.enable(%L, label_column => ''name'')', n),
       format('INSERT INTO %s (id, name) VALUES (-1, ''first'')', n)
FROM unnest('{customer,invoice,product,shipment,payment,contact,ticket,contract}'::text[]) n
\gexec
SELECT setval('audit_internal.dictionary_ids', 1000000000);

-- The closed partitions of 24 months and the open one, which is full: an eighth of all.
CREATE TABLE bench.month AS
SELECT n AS month, m AS since, least(m + interval '1 month', now() - interval '1 second') AS until
FROM (SELECT n, date_trunc('month', now(), 'UTC') - (24 - n) * interval '1 month' AS m FROM generate_series(0, 24) n) s;
CREATE TABLE bench.share AS
SELECT c.category, m.month, m.since, m.until,
       greatest(round(:events * CASE WHEN c.category <> 'data' THEN c.share / 25 WHEN m.month = 24 THEN 0.125 ELSE (c.share - 0.125) / 24 END), 10)::bigint AS events,
       -- A context has ten events.
       greatest(round(:events / 10.0 * CASE WHEN m.month = 24 THEN 0.137 ELSE 0.863 / 24 END), 1)::bigint AS contexts,
       c.kinds, c.entities
FROM bench.month m CROSS JOIN (VALUES
    ('data', 0.70, '{1,2,2,2,2,2,2,3}'::integer[], NULL::text[]),
    ('read', 0.10, '{20,20,20,21}', '{public.customer,public.invoice,public.payment}'),
    ('security', 0.07, '{30,31,30,31,32,33}', '{bench,public.payment}'),
    ('application', 0.08, '{120,121,121,121,122,124}', '{nightly import,risk report,mailing}'),
    ('system', 0.04, '{80,82,87,96}', '{audit_internal.events_data,public.ticket}'),
    ('schema', 0.01, '{60,61,62}', '{public.archive,public.staging}')) c (category, share, kinds, entities);

SELECT format('SELECT audit_internal.create_partitions_of(%L, %L, %L)', p.parent, since, until)
FROM (SELECT min(since) AS since, max(until) AS until FROM bench.month) m,
     unnest('{contexts,sessions,events_data,events_read,events_security,events_schema,events_system,events_application}'::text[]) p (parent)
\gexec

-- The time of a part of a month, and the id of a session or context of that time.
CREATE FUNCTION bench.at(since timestamptz, until timestamptz, part double precision) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN since + (until - since) * part;
CREATE FUNCTION bench.id(at timestamptz, number bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN (floor(extract(epoch FROM at)::bigint - 946684800) / 3600)::bigint << 40 | number;

-- The id of an event at a time, as src/store/id.rs makes it.
CREATE FUNCTION bench.event_id(microseconds bigint, noise text) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (lpad(to_hex(microseconds / 1000), 12, '0') || '7' || lpad(to_hex(microseconds % 1000 * 4096 / 1000), 3, '0') || 'a' || left(noise, 15))::uuid;

-- Seven updates of one to four columns for an insert of twenty and a delete, of rows whose keys are spread over half a million,
-- the recent ones oftener.
CREATE FUNCTION bench.changes(kind integer, n bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN CASE WHEN kind = 2 THEN
        format(CASE n % 4
            WHEN 0 THEN '{"credit": [%1$s.25, %2$s.75]}'
            WHEN 1 THEN '{"status": [1, 2], "updated_at": ["2024-03-01T10:%4$s:11.250511Z", "2024-05-02T11:%4$s:12.750231Z"]}'
            WHEN 2 THEN '{"note": ["Called on day %3$s; will call again", "Called on day %2$s; no answer"], "score": [%1$s.5, %2$s.5], "status": [2, 3]}'
            ELSE '{"city": ["Lisbon", "Osaka"], "note": [null, "Moved on day %3$s"], "street": ["%3$s Long Road", "%2$s Short Road"], "updated_at": ["2024-03-01T10:%4$s:11.250511Z", "2024-05-02T11:%4$s:12.750231Z"]}' END,
            n % 8000, n % 9000, n % 365, lpad((n % 60)::text, 2, '0'))::jsonb
    -- A whole row, in the order of recorded_columns in audit_internal.relations.
    ELSE format('[%1$s, "1971-02-03", "Lisbon", "Customer number %1$s", "Called on day %3$s; will call again", ["retail", "tier 3"], "customer.%1$s@example.org", 205.5, "\\x4bf92f3577b34da6a3ce929d0e0e4736", true, %2$s.50, 1, "%3$s Long Road", %2$s, "10.42.17.7", "PT", {"limit": %3$s, "language": "en", "newsletter": false}, "0a7d83f0-84ec-4580-8e7d-84fbd0b6e09e", "2023-01-01T10:%4$s:11.250511Z", "2024-05-02T11:%4$s:12.750231Z"]',
            n, n % 100000, n % 365, lpad((n % 60)::text, 2, '0'))::jsonb END;

CREATE FUNCTION bench.load_dictionaries(the_month integer) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO audit_internal.sessions
    SELECT d.node_id, bench.id(bench.at(s.since, s.until, i::double precision / s.contexts), s.month * 100000000::bigint + i), to_hex(s.month * 10000000 + i) || '.' || to_hex(i),
           'app', 'scram-sha-256', ('10.0.' || i % 250 || '.7')::inet, 40000 + (i % 20000)::integer, 'web', 'client backend', bench.at(s.since, s.until, i::double precision / s.contexts)
    FROM bench.share s, (SELECT n.node_id FROM audit_internal.nodes n LIMIT 1) d, generate_series(0, s.contexts - 1, 10) i
    WHERE s.category = 'data' AND s.month = the_month;
    INSERT INTO audit_internal.contexts
    SELECT d.node_id, bench.id(bench.at(s.since, s.until, i::double precision / s.contexts), s.month * 100000000::bigint + i),
           bench.id(bench.at(s.since, s.until, (i - i % 10)::double precision / s.contexts), s.month * 100000000::bigint + i - i % 10),
           'app', NULL, 'app', 'web', format('user%s@example.org', (i / 10 * 7919 + i / 10 / 3) % 200), 'setting', md5(i::text),
           CASE WHEN i % 3 = 0 THEN format('ticket %s', i % 5000) END, NULL, NULL, NULL, NULL
    FROM bench.share s, (SELECT n.node_id FROM audit_internal.nodes n LIMIT 1) d, generate_series(0, s.contexts - 1) i
    WHERE s.category = 'data' AND s.month = the_month;
END;

CREATE FUNCTION bench.load_events(the_month integer, the_category text) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO audit.events (occurred_at, event_id, transaction_id, context_id, node_id, event_type, relation_id, command_id, category,
                              entity_id, changes, entity_label, parameters, entity, result)
    SELECT e.at, bench.event_id((extract(epoch FROM e.at) * 1000000)::bigint, md5(e.n::text)), 1000000 + s.month * 100000000::bigint + e.context,
           bench.id(bench.at(s.since, s.until, e.context::double precision / s.contexts), s.month * 100000000::bigint + e.context),
           d.node_id, e.kind, CASE WHEN s.category = 'data' THEN d.relations[1 + e.key % 8] ELSE 0 END, 0, s.category,
           CASE WHEN s.category IN ('data', 'read') THEN (e.key / 8)::text END,
           CASE WHEN s.category = 'data' THEN bench.changes(e.kind, e.key + e.n) END,
           CASE WHEN s.category = 'data' THEN format('Customer number %s', e.key / 8) END,
           CASE WHEN s.category <> 'data' THEN jsonb_build_object('rows', e.n % 500) END,
           s.entities[1 + e.n % cardinality(s.entities)],
           CASE WHEN e.kind IN (32, 33) THEN 'failure' END
    FROM bench.share s,
         (SELECT min(r.node_id) AS node_id, array_agg(r.relation_id ORDER BY r.relation_id) AS relations FROM audit_internal.relations r) d
         CROSS JOIN LATERAL (
             SELECT i AS n, bench.at(s.since, s.until, (i + 0.5) / s.events) AS at, i * s.contexts / s.events AS context,
                    s.kinds[1 + i % cardinality(s.kinds)] AS kind,
                    -- A bijection of the numbers of a large event table, folded twice.
                    ((i * 1103515245 + s.month * 12345) % 2147483647) % CASE WHEN i % 4 = 0 THEN 50000 ELSE 500000 END AS key
             FROM generate_series(0, s.events - 1) i) e
    WHERE s.month = the_month AND s.category = the_category;
END;
