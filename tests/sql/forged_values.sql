-- audit.row is everybody's, and so is the image: whatever it says, a value of its type comes out, or an error.
\pset null (null)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_audit_forger;
CREATE SCHEMA forged AUTHORIZATION regress_audit_forger;
SET ROLE regress_audit_forger;
SET search_path = forged;

-- Bytes are those of a send function and pass the receive function: these lengths and offsets once crashed the server.
CREATE TABLE query (q tsquery, f4 float4, f8 float8, i interval, n numeric);
CREATE FUNCTION is_refused(image jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit.row(NULL::query, image)::text;
    RETURN false;
EXCEPTION WHEN others THEN
    RETURN true;
END $$;
SELECT is_refused('{"q": {"$audit": {"text": "", "bytes": "ffffff7f010000000000000001000000"}}}'),
       is_refused('{"q": {"$audit": {"text": "", "bytes": "01000000010000000000000001000001"}}}');
SELECT audit.row(NULL::query, '{"q": {"$audit": {"text": "", "bytes": "00000001010000610000"}}}');
SELECT audit.row(NULL::query, '{"q": {"$audit": {"text": "", "bytes": "0000000101000061"}}}');
SELECT audit.row(NULL::query, '{"q": {"$audit": {"text": "", "bytes": "0"}}}');
SELECT audit.row(NULL::query, '{"q": {"$audit": {"text": "", "bytes": "00000001010000610a"}}}');
SELECT audit.row(NULL::query, '{"q": {"$audit": {"text": "", "bytes": "00000003020201000062000100006100"}}}');
SELECT audit.row(NULL::query, '{"f4": {"$audit": {"text": "", "bytes": "ffc00000"}}, "f8": {"$audit": {"text": "", "bytes": "fff8000000000000"}}}');
SELECT audit.row(NULL::query, '{"f4": {"$audit": {"text": "", "bytes": "ffc0"}}}');
SELECT audit.row(NULL::query, '{"f8": {"$audit": {"text": "", "bytes": "fff800000000000000"}}}');
SELECT (audit.row(NULL::query, '{"i": {"$audit": {"text": "", "bytes": "80000000000000000000000000000000"}}}')).i = interval '-2562047788:00:54.775807' - interval '0.000001 s' AS is_least;
SELECT audit.row(NULL::query, '{"i": {"$audit": {"text": "", "bytes": "80000000"}}}');
SELECT audit.row(NULL::query, '{"n": {"$audit": {"text": "", "bytes": "80000000"}}}');
SELECT audit.row(NULL::query, '{"f4": 1e40}');
-- Queries come back in the form that expresses how they are stored: the text, the text with all parentheses, what is sent.
RESET ROLE;
CREATE TABLE stopped (id integer PRIMARY KEY, q tsquery);
SELECT audit.enable('stopped');
INSERT INTO stopped VALUES (1, to_tsquery('english', 'the & (cat & the | !dog)')), (2, 'a & (b <-> (c & d:*AB))'), (3, 'a'::tsquery || 'b'), (4, '!!(''it''''s'' & (b | c))');
SELECT entity_id, new_values->'q' AS image, s.q = r.q AS is_equal, s.q::text = r.q::text AS is_same_text, record_image_eq(s, r) AS is_same_image
FROM stopped s JOIN audit.trail ON entity = 'forged.stopped' AND entity_id = id::text, audit.row(NULL::stopped, new_values) r ORDER BY s.id;
SET ROLE regress_audit_forger;

-- Types that only the server makes values of, and what is made of them.
SELECT t.typname FROM pg_type t JOIN pg_proc p ON p.oid = t.typinput
WHERE t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typelem = 0 AND t.typname ~ '^(pg_(node|ndis|dep|mcv|brin)|gts)' ORDER BY t.typname;
CREATE DOMAIN tree AS pg_node_tree;
CREATE TYPE planted AS (t pg_node_tree, n integer);
CREATE TABLE inner_ (t pg_node_tree, nd pg_ndistinct, de pg_dependencies, mc pg_mcv_list, bb pg_brin_bloom_summary, bm pg_brin_minmax_multi_summary,
                     g gtsvector, ga gtsvector[], ta tree[], c planted, ca planted[], d tree);
SELECT audit.row(NULL::inner_, '{"t": "{CONST :consttype 25 :consttypmod -1 :constcollid 100 :constlen -1 :constbyval false :constisnull false :location -1 :constvalue 4 [ 0 0 64 0 ]}"}');
\echo :SQLSTATE
SELECT audit.row(NULL::inner_, '{"nd": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"de": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"mc": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"bb": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"bm": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"g": "\\x00"}');
SELECT audit.row(NULL::inner_, '{"g": {"$audit": {"text": "", "bytes": "00"}}}');
SELECT audit.row(NULL::inner_, '{"ga": ["\\x00"]}');
SELECT audit.row(NULL::inner_, '{"ga": "[2:2]={x}"}');
SELECT audit.row(NULL::inner_, '{"ga": {"$audit": {"bitmap": ["\\x00"]}}}');
SELECT audit.row(NULL::inner_, '{"ta": ["x"]}');
SELECT audit.row(NULL::inner_, '{"ta": "{{x}}"}');
SELECT audit.row(NULL::inner_, '{"c": {"t": "x"}}');
SELECT audit.row(NULL::inner_, '{"c": "(x,1)"}');
SELECT audit.row(NULL::inner_, '{"ca": [{"t": "x"}]}');
SELECT audit.row(NULL::inner_, '{"ca": "[2:2]={\"(x,1)\"}"}');
SELECT audit.row(NULL::inner_, '{"d": "x"}');
-- NULL is no value, and the rest of the row is restored.
SELECT audit.row(NULL::inner_, '{"t": null, "ga": [null], "c": {"n": 1}}');
-- For superusers too.
RESET ROLE;
SELECT audit.row(NULL::inner_, '{"t": "x"}');
SET ROLE regress_audit_forger;

-- Text of a type is what the type reads.
CREATE TABLE shapes (nm name, nma name[], ch "char", m money, j json, b bytea, iv int2vector, ov oidvector, o oid[], a integer[], i2 smallint, d date);
SELECT audit.row(NULL::shapes, jsonb_build_object('nm', repeat('é', 32)));
SELECT length((audit.row(NULL::shapes, jsonb_build_object('nm', repeat('é', 31)))).nm);
SELECT audit.row(NULL::shapes, jsonb_build_object('nma', jsonb_build_array(repeat('x', 64))));
SELECT audit.row(NULL::shapes, '{"ch": "ab"}');
SELECT audit.row(NULL::shapes, '{"m": "$1x"}');
SELECT audit.row(NULL::shapes, '{"m": "$5"}'), audit.row(NULL::shapes, '{"m": "-$92,233,720,368,547,758.08"}');
SELECT audit.row(NULL::shapes, '{"m": "$92,233,720,368,547,758.08"}');
SELECT audit.row(NULL::shapes, '{"j": {"$audit": {"text": "{\"a\": "}}}');
SELECT audit.row(NULL::shapes, '{"b": "\\x0"}');
SELECT audit.row(NULL::shapes, '{"iv": []}');
SELECT audit.row(NULL::shapes, '{"iv": [1, null]}');
SELECT audit.row(NULL::shapes, '{"ov": [1, 2]}');
SELECT audit.row(NULL::shapes, '{"iv": {"$audit": {"bitmap": "1 2"}}}');
SELECT audit.row(NULL::shapes, '{"a": {"$audit": {"bitmap": {"$audit": {"bitmap": [1]}}}}}');
SELECT audit.row(NULL::shapes, '{"a": {"$audit": {"bitmap": []}}}'), audit.row(NULL::shapes, '{"a": "{}", "o": "{}"}');
\set VERBOSITY sqlstate
SELECT audit.row(NULL::shapes, '{"a": "{{{{{{{1}}}}}}}"}');
SELECT audit.row(NULL::shapes, '{"a": "[2147483647:2147483647]={1}"}');
\set VERBOSITY default
SELECT audit.row(NULL::shapes, '{"a": [[1], [2]]}');
SELECT audit.row(NULL::shapes, '{"i2": 40000}');
SELECT audit.row(NULL::shapes, '{"d": "5874898-01-01"}');

-- A value complies with its domain, at every level, also where the column is missing.
CREATE DOMAIN percent AS integer CHECK (value BETWEEN 0 AND 100);
CREATE DOMAIN even AS percent CHECK (value % 2 = 0);
CREATE DOMAIN percents AS percent[] CHECK (cardinality(value) < 3);
CREATE DOMAIN filled AS text NOT NULL;
CREATE TYPE rated AS (p percent, t text);
CREATE DOMAIN good AS rated CHECK ((value).p > 50);
CREATE TYPE graded AS (g good, ps percents);
CREATE TYPE percentrange AS RANGE (subtype = percent);
CREATE TABLE rating (p percent, e even, ps percents, pa percent[], pda percents[], r rated, ra rated[], g good, gr graded, pr percentrange);
SELECT audit.row(NULL::rating, '{"p": 101}');
\echo :SQLSTATE
SELECT audit.row(NULL::rating, '{"e": 101}');
SELECT audit.row(NULL::rating, '{"e": 99}');
SELECT audit.row(NULL::rating, '{"ps": [1, 2, 3]}');
SELECT audit.row(NULL::rating, '{"ps": [1, 200]}');
SELECT audit.row(NULL::rating, '{"pa": [1, 200]}');
SELECT audit.row(NULL::rating, '{"pa": "[2:3]={1,200}"}');
SELECT audit.row(NULL::rating, '{"pa": {"$audit": {"bitmap": [200]}}}');
SELECT audit.row(NULL::rating, '{"pda": ["{1,200}"]}');
SELECT audit.row(NULL::rating, '{"pda": [[1, 200]]}');
SELECT audit.row(NULL::rating, '{"r": {"p": 200}}');
SELECT audit.row(NULL::rating, '{"r": "(200,)"}');
SELECT audit.row(NULL::rating, '{"ra": [{"p": 200}]}');
SELECT audit.row(NULL::rating, '{"ra": "{{\"(200,)\"}}"}');
SELECT audit.row(NULL::rating, '{"g": {"p": 50}}');
SELECT audit.row(NULL::rating, '{"gr": {"g": {"p": 50}}}');
SELECT audit.row(NULL::rating, '{"gr": {"ps": [200]}}');
SELECT audit.row(NULL::rating, '{"pr": "[1,200)"}');
SELECT audit.row(NULL::rating, '{"p": 100, "e": 50, "ps": [1, null], "pa": "[2:3]={1,100}", "pda": ["{1,2}"], "r": {"p": 1}, "ra": [{"p": 1}], "g": {"p": 51}, "gr": {"g": {"p": 51}, "ps": []}, "pr": "[1,100)"}');
CREATE TABLE filling (id integer, t filled);
SELECT audit.row(NULL::filling, '{"id": 1}');
\echo :SQLSTATE
SELECT audit.row(NULL::filling, '{"id": 1, "t": null}');
SELECT audit.row(NULL::filling, '{"id": 1, "t": ""}'), audit.row(row(1, 'x')::filling, '{"id": 2}');
CREATE DOMAIN whole AS filling CHECK ((value).id IS NOT NULL);
SELECT audit.row(NULL::whole, '{"t": "x"}');
-- A constraint may call whatever it likes, under the settings of the session, and is found where it is changed.
CREATE FUNCTION lenient(value integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 / value;
    RETURN true;
EXCEPTION WHEN division_by_zero THEN
    RETURN current_setting('DateStyle') LIKE 'German%' AND fine(value);
END $$;
CREATE FUNCTION fine(value integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE DOMAIN checked AS integer CHECK (lenient(value));
CREATE TABLE checking (a checked, b interval, c checked, d date);
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SELECT audit.row(NULL::checking, '{"a": 0, "b": "-1 mons +1 day", "c": 0, "d": "2026-02-01"}');
SHOW DateStyle;
SET DateStyle = 'ISO';
SELECT audit.row(NULL::checking, '{"a": 0}');
RESET DateStyle;
RESET IntervalStyle;
PREPARE again AS SELECT audit.row(NULL::rating, '{"p": 7}');
EXECUTE again;
ALTER DOMAIN percent ADD CONSTRAINT small CHECK (value < 7) NOT VALID;
EXECUTE again;
ALTER DOMAIN percent DROP CONSTRAINT small;

-- And with its length or precision, or it is refused: never rounded, cut or padded.
CREATE DOMAIN short AS varchar(3);
CREATE TYPE sized AS (v varchar(3), n numeric(5,2));
CREATE TABLE lengths (v varchar(3), c char(3), n numeric(5,2), b bit(3), vb varbit(3), t time(1), tz timetz(1), ts timestamp(1), tt timestamptz(1), i interval day to second(1),
                      va varchar(3)[], na numeric(5,2)[], s short, sa short[], z sized, za sized[], y interval year);
SELECT audit.row(NULL::lengths, '{"v": "abcd"}');
SELECT audit.row(NULL::lengths, '{"v": "abc "}');
\echo :SQLSTATE
SELECT audit.row(NULL::lengths, '{"c": "ab"}');
SELECT audit.row(NULL::lengths, '{"n": 1.234}');
SELECT audit.row(NULL::lengths, '{"n": "1.234"}');
-- An image from before the column got more decimal places.
SELECT audit.row(NULL::lengths, '{"n": 1.2}');
SELECT audit.row(NULL::lengths, '{"n": 1000}');
SELECT audit.row(NULL::lengths, '{"b": "1"}');
SELECT audit.row(NULL::lengths, '{"vb": "1111"}');
SELECT audit.row(NULL::lengths, '{"t": "01:02:03.45"}');
SELECT audit.row(NULL::lengths, '{"tz": "01:02:03.45+00:00"}');
SELECT audit.row(NULL::lengths, '{"ts": "2026-01-01T01:02:03.45"}');
SELECT audit.row(NULL::lengths, '{"tt": "2026-01-01T01:02:03.45+00:00"}');
SELECT audit.row(NULL::lengths, '{"i": "00:00:00.45"}');
SELECT audit.row(NULL::lengths, '{"y": "1 mon"}');
SELECT audit.row(NULL::lengths, '{"va": ["abc", "abc "]}');
SELECT audit.row(NULL::lengths, '{"va": "{{\"abc \"}}"}');
SELECT audit.row(NULL::lengths, '{"na": "[2:3]={1.00,1.234}"}');
SELECT audit.row(NULL::lengths, '{"s": "abc "}');
SELECT audit.row(NULL::lengths, '{"sa": ["abc "]}');
SELECT audit.row(NULL::lengths, '{"z": {"n": 1.234}}');
SELECT audit.row(NULL::lengths, '{"za": [{"v": "abc "}]}');
SELECT audit.row(NULL::lengths, '{"z": "(abc,1.234)"}');
SELECT audit.row(NULL::lengths, '{"za": "[2:2]={\"(abc,1.234)\"}"}');
SELECT audit.row(NULL::lengths, '{"z": "(abc,1.23)", "za": "[2:2]={\"(abc,1.23)\"}"}');
SELECT audit.row(NULL::lengths, '{"v": "abc", "c": "ab ", "n": 1.20, "b": "101", "vb": "", "t": "01:02:03.4", "tz": "01:02:03.4+00:00", "ts": "2026-01-01T01:02:03.4", "i": "00:00:00.4",
    "va": ["abc", null], "na": "[2:3]={1.00,NULL}", "s": "abc", "sa": ["a"], "z": {"v": "abc", "n": 1.00}, "za": [null], "y": "1 year"}');

-- Markup is well-formed, whatever the session calls it.
RESET ROLE;
SET xmloption = document;
DO $$
DECLARE
    image jsonb;
BEGIN
    CREATE TABLE markup (x xml, xa xml[]);
    FOREACH image IN ARRAY ARRAY['{"x": "plain <b/>", "xa": ["<?xml version=\"1.0\"?><a/>", "text"]}', '{"x": "<a>"}', '{"xa": "{{<a>}}"}']::jsonb[] LOOP
        BEGIN
            PERFORM audit.row(NULL::markup, image);
            IF image::text ~ '<a>' THEN RAISE WARNING '% was taken', image; END IF;
        EXCEPTION WHEN invalid_xml_content THEN
            IF image::text !~ '<a>' THEN RAISE WARNING '% was refused', image; END IF;
        END;
    END LOOP;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
RESET xmloption;

-- Types that contain each other twice multiply: no memory is taken for them all.
SET ROLE regress_audit_forger;
DO $$
BEGIN
    CREATE TYPE pg_temp.level_0 AS (a integer);
    FOR n IN 1..24 LOOP
        EXECUTE format('CREATE TYPE pg_temp.level_%s AS (a pg_temp.level_%s, b pg_temp.level_%2$s)', n, n - 1);
    END LOOP;
END $$;
\set VERBOSITY sqlstate
SELECT audit.row(NULL::pg_temp.level_24, '{}');
\set VERBOSITY default
SELECT audit.row(NULL::pg_temp.level_3, '{"a": {"a": {"a": {"a": 1}}}}');
DISCARD TEMP;
RESET ROLE;

DROP SCHEMA forged CASCADE;
DROP ROLE regress_audit_forger;
