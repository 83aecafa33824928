-- The owner of a table, and a role with the TRIGGER privilege on it, cannot silently make the trail record less, or in clear: options come
-- from the settings, one trigger records, and every command that weakens it is an event.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA weakened;
SET search_path = weakened;
CREATE ROLE regress_audit_owner;
CREATE ROLE regress_audit_granted;
GRANT USAGE ON SCHEMA weakened TO regress_audit_granted;
GRANT ALL ON SCHEMA weakened TO regress_audit_owner;
CREATE TABLE account (id integer PRIMARY KEY, balance integer, card text);
ALTER TABLE account OWNER TO regress_audit_owner;
GRANT ALL ON account TO regress_audit_granted;
SELECT audit.enable('account', redact => '{"card": "mask"}');
INSERT INTO account VALUES (1, 1, '4111');
CREATE VIEW changes AS
SELECT t.event, t.entity, coalesce(t.role, t.login) AS role, t.parameters - 'options' - 'previous' AS parameters, t.old_values, t.new_values
FROM audit.trail t WHERE t.entity LIKE 'weakened.%' AND t.event <> 'config.enable' ORDER BY t.event_id;
CREATE VIEW gaps AS
SELECT gap, object, detail, since IS NOT NULL AS since, until IS NOT NULL AS until FROM audit.coverage
WHERE object LIKE 'weakened.%' AND gap <> 'not audited' ORDER BY gap, object, detail;

-- Options in the argument are not believed, and the replaced trigger is an event until it fires always.
SET ROLE regress_audit_owner;
CREATE OR REPLACE TRIGGER "!audit_row" AFTER INSERT OR DELETE OR UPDATE ON account FOR EACH ROW
    EXECUTE FUNCTION audit.capture_row('{"level": "minimal", "ignore_columns": ["balance"], "redact": {}, "retention": -1}');
UPDATE account SET balance = 2;
ALTER TABLE account ENABLE ALWAYS TRIGGER "!audit_row";
UPDATE account SET balance = 3, card = '4222';
-- Disabled and enabled again, by itself and with all others, in one transaction.
ALTER TABLE account DISABLE TRIGGER "!audit_row";
UPDATE account SET balance = 1000000;
ALTER TABLE account ENABLE ALWAYS TRIGGER "!audit_row";
BEGIN;
ALTER TABLE account DISABLE TRIGGER USER;
UPDATE account SET balance = 2000000;
ALTER TABLE account ENABLE ALWAYS TRIGGER "!audit_row", ENABLE ALWAYS TRIGGER "!audit_truncate";
COMMIT;
-- A rolled-back one has weakened nothing.
BEGIN;
ALTER TABLE account DISABLE TRIGGER ALL;
ROLLBACK;
-- Dropped, and made again by hand.
DROP TRIGGER "!audit_row" ON account;
UPDATE account SET balance = 3000000;
CREATE TRIGGER other AFTER INSERT OR DELETE OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION audit.capture_row();
ALTER TABLE account ENABLE ALWAYS TRIGGER other;
UPDATE account SET balance = 4;
RESET ROLE;
SELECT * FROM changes;
SELECT * FROM gaps;
SELECT table_name, level, active FROM audit.tables WHERE schema_name = 'weakened';
-- Enabling finds it by its function.
SELECT audit.enable('account');
SELECT tgname, tgenabled, encode(tgargs, 'escape') AS argument FROM pg_trigger WHERE tgrelid = 'account'::regclass ORDER BY 1;
UPDATE account SET balance = 5;
SELECT count(*) FROM changes;

-- The TRIGGER privilege alone: a trigger replaced, so that it fires for less, and a second one, which would record in clear and twice.
CREATE TEMP TABLE seen AS SELECT count(*) AS events FROM changes;
SET ROLE regress_audit_granted;
CREATE OR REPLACE TRIGGER "!audit_row" AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION audit.capture_row();
UPDATE account SET balance = 6;
RESET ROLE;
SELECT audit.enable('account');
SET ROLE regress_audit_granted;
CREATE TRIGGER "!" AFTER INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{"level": "comprehensive"}');
CREATE TRIGGER "!when" AFTER UPDATE ON account FOR EACH ROW WHEN (false) EXECUTE FUNCTION audit.capture_row();
CREATE CONSTRAINT TRIGGER "!later" AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.capture_row();
UPDATE account SET balance = 7, card = '4333';
INSERT INTO account VALUES (2, 2, '4444');
RESET ROLE;
SELECT c.* FROM changes c OFFSET (SELECT events FROM seen);
SELECT * FROM gaps WHERE NOT until;

-- A parent's trigger that fires for less does not put the table's own one aside.
CREATE TABLE movement (id integer, v text);
ALTER TABLE movement OWNER TO regress_audit_owner;
SELECT audit.enable('movement');
SET ROLE regress_audit_owner;
CREATE TABLE own_parent (id integer, v text) PARTITION BY LIST (id);
CREATE TRIGGER anything AFTER INSERT ON own_parent FOR EACH ROW EXECUTE FUNCTION audit.capture_row();
ALTER TABLE own_parent ATTACH PARTITION movement FOR VALUES IN (1);
INSERT INTO own_parent VALUES (1, 'a');
UPDATE own_parent SET v = 'b';
DELETE FROM movement;
RESET ROLE;
SELECT event, entity, old_values, new_values FROM changes WHERE entity = 'weakened.movement';

-- The owner of one partition alone.
CREATE TABLE parted (id integer PRIMARY KEY, v text) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
ALTER TABLE parted_1 OWNER TO regress_audit_owner;
SELECT audit.enable('parted');
SET ROLE regress_audit_owner;
ALTER TABLE parted_1 DISABLE TRIGGER USER;
INSERT INTO parted_1 VALUES (1, 'unseen');
ALTER TABLE parted_1 ENABLE TRIGGER USER;
RESET ROLE;
SELECT event, entity, role, parameters FROM changes WHERE entity LIKE 'weakened.parted%';
SELECT * FROM gaps WHERE object LIKE 'weakened.parted%';

-- A table with audit triggers but without settings that replaces an audited one: recorded once; columns that either table redacts are hidden.
SET ROLE regress_audit_owner;
CREATE TABLE shadow (id integer PRIMARY KEY, balance integer, card text);
CREATE TRIGGER "!audit_row" AFTER INSERT OR DELETE OR UPDATE ON shadow FOR EACH ROW EXECUTE FUNCTION audit.capture_row('{"level": "minimal", "ignore_columns": ["balance"], "redact": {"card": "mask"}, "operations": []}');
ALTER TABLE account RENAME TO account_old;
ALTER TABLE shadow RENAME TO account;
INSERT INTO account VALUES (9, 9, '4555');
UPDATE account SET balance = 10;
RESET ROLE;
SELECT event, entity, role, parameters, new_values FROM changes WHERE entity LIKE 'weakened.account%' OFFSET 16;
SELECT table_name FROM audit.tables WHERE schema_name = 'weakened' ORDER BY 1;
SELECT * FROM gaps WHERE gap = 'settings missing';
-- Changes of temporary tables are not recorded, because any role may create one.
SET ROLE regress_audit_granted;
CREATE TEMP TABLE account (id integer);
CREATE TRIGGER "!audit_row" AFTER INSERT ON pg_temp.account FOR EACH ROW EXECUTE FUNCTION audit.capture_row();
INSERT INTO pg_temp.account VALUES (1);
DROP TABLE pg_temp.account;
RESET ROLE;
SELECT audit.enable('account');
SELECT * FROM gaps WHERE gap = 'settings missing';

DROP SCHEMA weakened CASCADE;
DROP ROLE regress_audit_owner, regress_audit_granted;
