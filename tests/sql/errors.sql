-- Bad input: one clear error with SQLSTATE and HINT, and nothing changed.
\set SHOW_CONTEXT never
CREATE SCHEMA errors;
SET search_path = errors;
CREATE TABLE good (id integer PRIMARY KEY, v text);
CREATE TABLE other (id integer PRIMARY KEY, v text);
CREATE VIEW shown AS SELECT * FROM good;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM good;
CREATE SEQUENCE numbers;
CREATE TYPE pair AS (a integer, b integer);
CREATE TEMP TABLE fleeting (id integer);
SELECT audit.enable('good', level => 'minimal', label_column => 'v');
CREATE TEMP VIEW state AS
SELECT (SELECT count(*) FROM audit.events) AS events, (SELECT jsonb_agg(s ORDER BY s.table_name) FROM audit_internal.table_settings s) AS settings,
       (SELECT jsonb_agg(s) FROM audit_internal.schema_settings s) AS schemas, (SELECT count(*) FROM audit.event_types) AS types,
       (SELECT count(*) FROM pg_trigger) AS triggers;
CREATE TEMP TABLE before AS SELECT * FROM state;

-- enable: the target
SELECT audit.enable(NULL);
\echo :SQLSTATE
SELECT audit.enable('missing');
\echo :SQLSTATE
SELECT audit.enable(4294967295::oid::regclass);
\echo :SQLSTATE
SELECT audit.enable('shown');
\echo :SQLSTATE
SELECT audit.enable('stored');
\echo :SQLSTATE
SELECT audit.enable('numbers');
\echo :SQLSTATE
SELECT audit.enable('good_pkey');
\echo :SQLSTATE
SELECT audit.enable('pair');
\echo :SQLSTATE
SELECT audit.enable('fleeting');
\echo :SQLSTATE
SELECT audit.enable('pg_class');
\echo :SQLSTATE
SELECT audit.enable('information_schema.sql_features');
\echo :SQLSTATE
SELECT audit.enable('audit.events');
\echo :SQLSTATE
SELECT audit.enable('audit_internal.table_settings');
\echo :SQLSTATE
-- enable: the options
SELECT audit.enable('good', level => 'everything');
\echo :SQLSTATE
SELECT audit.enable('good', level => '');
\echo :SQLSTATE
SELECT audit.enable('good', operations => '{}');
\echo :SQLSTATE
SELECT audit.enable('good', operations => '{insert,select}');
\echo :SQLSTATE
SELECT audit.enable('good', operations => '{insert,NULL}');
\echo :SQLSTATE
SELECT audit.enable('good', operations => '{INSERT}');
\echo :SQLSTATE
SELECT audit.enable('good', ignore_columns => '{v,missing}');
\echo :SQLSTATE
SELECT audit.enable('good', ignore_columns => '{NULL}');
\echo :SQLSTATE
SELECT audit.enable('good', ignore_columns => '{id}');
\echo :SQLSTATE
SELECT audit.enable('good', ignore_columns => '{v}');
\echo :SQLSTATE
SELECT audit.enable('good', ignore_columns => '{ctid}');
\echo :SQLSTATE
SELECT audit.enable('good', redact => '["v"]');
\echo :SQLSTATE
SELECT audit.enable('good', redact => 'null');
\echo :SQLSTATE
SELECT audit.enable('good', redact => '{"missing": "mask"}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"v": "blur"}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"v": null}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"v": {"how": "mask"}}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"v": "hash"}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"id": "mask"}');
\echo :SQLSTATE
SELECT audit.enable('other', redact => '{"id": "omit"}');
\echo :SQLSTATE
SELECT audit.enable('good', redact => '{"v": "mask"}');
\echo :SQLSTATE
SELECT audit.enable('other', reads => true);
\echo :SQLSTATE
SELECT audit.enable('other', label_column => 'missing');
\echo :SQLSTATE
SELECT audit.enable('other', label_column => '');
\echo :SQLSTATE
-- disable
SELECT audit.disable(NULL);
\echo :SQLSTATE
SELECT audit.disable('missing');
\echo :SQLSTATE
SELECT audit.disable('other');
\echo :SQLSTATE
SELECT audit.disable('shown');
\echo :SQLSTATE
SELECT audit.disable('audit.events');
\echo :SQLSTATE
-- enable_schema, disable_schema
SELECT audit.enable_schema(NULL);
\echo :SQLSTATE
SELECT audit.enable_schema('missing');
\echo :SQLSTATE
SELECT audit.enable_schema('audit');
\echo :SQLSTATE
SELECT audit.enable_schema('pg_catalog');
\echo :SQLSTATE
SELECT audit.enable_schema('information_schema');
\echo :SQLSTATE
SELECT audit.enable_schema('pg_toast');
\echo :SQLSTATE
SELECT audit.enable_schema(4294967295::oid::regnamespace);
\echo :SQLSTATE
SELECT audit.enable_schema('errors', level => 'everything');
\echo :SQLSTATE
SELECT audit.enable_schema('errors', reads => true);
\echo :SQLSTATE
SELECT audit.enable_schema('errors', operations => '{}');
\echo :SQLSTATE
-- One table of the schema cannot be audited so: none is, and the error names it.
SELECT audit.enable_schema('errors', redact => '{"id": "mask"}');
\echo :SQLSTATE
SELECT audit.disable_schema(NULL);
\echo :SQLSTATE
SELECT audit.disable_schema('missing');
\echo :SQLSTATE
SELECT audit.disable_schema('errors');
\echo :SQLSTATE
-- baseline
SELECT audit.baseline(NULL);
\echo :SQLSTATE
SELECT audit.baseline('missing');
\echo :SQLSTATE
SELECT audit.baseline(4294967295::oid::regclass);
\echo :SQLSTATE
SELECT audit.baseline('other');
\echo :SQLSTATE
SELECT audit.baseline('shown');
\echo :SQLSTATE
SELECT audit.baseline('audit.events');
\echo :SQLSTATE
-- history, diff
SELECT * FROM audit.history(NULL, '1');
\echo :SQLSTATE
SELECT * FROM audit.history('good', NULL);
\echo :SQLSTATE
SELECT * FROM audit.history('missing', '1');
\echo :SQLSTATE
SELECT * FROM audit.history(4294967295::oid::regclass, '1');
\echo :SQLSTATE
SELECT * FROM audit.history('good', 'one');
\echo :SQLSTATE
SELECT * FROM audit.history('good', '');
\echo :SQLSTATE
SELECT * FROM audit.history('good', '99999999999');
\echo :SQLSTATE
CREATE TEMP TABLE composite (a integer, b text, PRIMARY KEY (a, b));
SELECT * FROM audit.history('composite', '1');
\echo :SQLSTATE
SELECT * FROM audit.history('composite', '[1]');
\echo :SQLSTATE
SELECT * FROM audit.history('composite', '[1, 2, 3]');
\echo :SQLSTATE
SELECT * FROM audit.history('composite', '{"a": 1, "b": 2}');
\echo :SQLSTATE
SELECT * FROM audit.history('composite', '["one", "two"]');
\echo :SQLSTATE
SELECT * FROM audit.history('fleeting', '1');
\echo :SQLSTATE
SELECT * FROM audit.diff(NULL::uuid);
\echo :SQLSTATE
SELECT * FROM audit.diff('00000000-0000-7000-8000-000000000000'::uuid);
\echo :SQLSTATE
-- row
SELECT audit.row(NULL::good, '[1]');
\echo :SQLSTATE
SELECT audit.row(NULL::good, '{"id": "one"}');
\echo :SQLSTATE
SELECT audit.row(NULL::good, '{"missing": 1}');
\echo :SQLSTATE
SELECT audit.row(NULL::good, '{"id": 1, "v": {"$audit": "masked"}}');
\echo :SQLSTATE
SELECT audit.row(NULL::good, '{"id": 1, "v": {"$audit": {"unknown": 1}}}');
\echo :SQLSTATE
SELECT audit.row(1, '{}');
\echo :SQLSTATE
SELECT audit.row(NULL::good, NULL);
\echo :SQLSTATE
-- set_context and the settings
SELECT audit.set_context(context => '"text"', local => false);
\echo :SQLSTATE
SET audit.context = 'text';
\echo :SQLSTATE
SET audit.hash_key_file = '/tmp/key';
\echo :SQLSTATE
SET audit.unknown = 1;
\echo :SQLSTATE
-- uninstall
SELECT audit.uninstall(NULL);
\echo :SQLSTATE
SELECT audit.uninstall('');
\echo :SQLSTATE
-- The trigger functions are made for triggers, and for these ones.
SELECT audit.capture_row();
\echo :SQLSTATE
CREATE TRIGGER by_hand BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{}');
INSERT INTO other VALUES (1);
\echo :SQLSTATE
DROP TRIGGER by_hand ON other;
CREATE TRIGGER by_hand AFTER INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION audit.capture_row('{"level": "standard"}');
INSERT INTO other VALUES (1);
\echo :SQLSTATE
DROP TRIGGER by_hand ON other;
CREATE TRIGGER by_hand AFTER TRUNCATE ON other FOR EACH STATEMENT EXECUTE FUNCTION audit.capture_truncate();
TRUNCATE other;
\echo :SQLSTATE
DROP TRIGGER by_hand ON other;
-- Internal functions, for roles that may execute them.
SELECT audit_internal.emit('no.such_event', NULL, NULL, NULL, NULL, NULL);
\echo :SQLSTATE

-- Nothing changed.
SELECT s = b AS is_unchanged FROM state s, before b;
SET client_min_messages = warning;
DROP SCHEMA errors CASCADE;
