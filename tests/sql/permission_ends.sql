-- What maintenance and retention may do to evidence ends with the command that they run: the rest of the transaction is checked as any other.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA permission;
CREATE TABLE permission.item (id integer PRIMARY KEY);
SELECT audit.enable('permission.item');
INSERT INTO permission.item VALUES (1);
CREATE ROLE regress_audit_both;
GRANT audit_admin, audit_reader, pg_write_all_data, pg_read_all_data TO regress_audit_both;
SET ROLE regress_audit_both;
-- There is a step that has something to do to a partition: one that was made for a longer interval than is wanted is dropped and made anew.
BEGIN;
SELECT audit.set_retention('read', partition_interval => '1 hour');
SELECT (audit.maintenance_step()).has_more IS NOT NULL AS done FROM generate_series(1, 3);
DELETE FROM audit.events WHERE entity_id = '1';
\echo :SQLSTATE
ROLLBACK;
BEGIN;
SELECT count(*) >= 0 AS pruned FROM audit.prune();
UPDATE audit_internal.contexts SET login = 'somebody else';
\echo :SQLSTATE
ROLLBACK;
RESET ROLE;
-- Nor by a command that failed, whose error somebody caught.
BEGIN;
DO $$
BEGIN
    PERFORM audit_internal.execute_permitted('SELECT 1/0');
EXCEPTION WHEN division_by_zero THEN
    NULL;
END $$;
DELETE FROM audit.events;
\echo :SQLSTATE
ROLLBACK;
BEGIN;
SELECT audit_internal.execute_permitted('SELECT 1');
TRUNCATE audit_internal.contexts;
\echo :SQLSTATE
ROLLBACK;
SELECT count(*) FROM audit.history('permission.item', '1');
DROP SCHEMA permission CASCADE;
DROP ROLE regress_audit_both;
