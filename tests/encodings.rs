//! Values in databases that are not UTF-8, and values of a size that nobody should keep twice.

use audit_testing::server::{Server, wait_until};

/// Audits a table of awkward texts and counts the rows that their images do not give back.
const TEXTS: &str = "
    CREATE EXTENSION audit;
    CREATE TABLE t (id int PRIMARY KEY, a text, b char(5), c name, d jsonb, e text[], f json);
    SELECT audit.enable('t', level => 'comprehensive');
    INSERT INTO t SELECT i, chr(i), chr(i), chr(i), jsonb_build_object(chr(i), chr(i)), ARRAY[chr(i), NULL],
        json_build_object('k', chr(i)) FROM generate_series(1, 255) i WHERE i < 128 OR i > 159;
    UPDATE t SET a = a || a, d = d || '{\"more\": 1.50}';
";
const WRONG: &str = "
    SELECT count(*) FILTER (WHERE NOT audit.row(NULL::t, new_values) *= t) || ' of ' || count(*)
    FROM audit.trail JOIN t ON t.id = entity_id::int WHERE event = 'row.update'";

/// Whether a page is drawn, in ASCII.
const PAGE: &str = "SELECT page ~ '</html>\\s*$' AND length(page) = octet_length(page) AND page !~ '[^\\x01-\\x7e]'
    FROM audit.report_html('data_changes', now() - interval '1 day', now() + interval '1 day') page";

#[test]
fn images_are_in_the_encoding_of_the_database() {
    let server = Server::start(&[]);
    for encoding in ["LATIN1", "WIN1252", "SQL_ASCII"] {
        let database = encoding.to_lowercase();
        server.query(
            "postgres",
            &format!("CREATE DATABASE {database} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"),
        );
        server.query(&database, TEXTS);
        assert_eq!(server.query(&database, WRONG), "0 of 223", "{encoding}");
        assert_eq!(server.query(&database, PAGE), "t", "{encoding}");
    }
}

/// What maintenance says of a failure may have characters that are no UTF-8 where the worker keeps it.
#[test]
fn failures_are_told_in_any_encoding() {
    let server = Server::start(&[("shared_preload_libraries", "audit"), ("audit.naptime", "1s")]);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = encoding.to_lowercase();
        server.query(
            "postgres",
            &format!("CREATE DATABASE {database} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"),
        );
        server.query(
            &database,
            "CREATE EXTENSION audit;
             CREATE TABLE t (id int PRIMARY KEY);
             SELECT audit.enable('t');
             CREATE OR REPLACE FUNCTION audit_internal.move_to_dedicated(max_rows bigint DEFAULT 50000) RETURNS bigint LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION ''bad %'', chr(233) USING ERRCODE = ''22000''; END';
             CREATE OR REPLACE FUNCTION audit_internal.summarize_partitions() RETURNS void LANGUAGE plpgsql AS
                 'BEGIN CREATE TABLE IF NOT EXISTS public.all_else_is_done (); END'",
        );
        let words = "SELECT worker FROM audit.status()";
        wait_until("it fails", || {
            server.query(&database, words).contains("could not move events to dedicated partitions: bad ")
        });
        assert_eq!(server.query(&database, "SELECT to_regclass('all_else_is_done') IS NOT NULL"), "t");
    }
}

#[test]
fn bytes_that_are_no_text_anywhere_pass_through_sql_ascii() {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    server.query(
        "plain",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id text PRIMARY KEY, a text);
         SELECT audit.enable('t');
         INSERT INTO t SELECT convert_from(decode('fffe80c3', 'hex'), 'SQL_ASCII'), convert_from(decode('c328', 'hex'), 'SQL_ASCII')",
    );
    assert_eq!(
        server.query(
            "plain",
            "SELECT audit.row(NULL::t, new_values) *= t FROM audit.trail, t WHERE event = 'row.insert'"
        ),
        "t"
    );
    assert_eq!(server.query("plain", PAGE), "t");
}

#[test]
fn a_large_value_is_recorded_by_its_length_and_digest() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id int PRIMARY KEY, plain bytea, packed text);
         ALTER TABLE t ALTER plain SET STORAGE EXTERNAL;
         SELECT audit.enable('t');
         INSERT INTO t SELECT 1, decode(repeat(md5('x'), 3000000), 'hex'), repeat('compressible ', 8000000);
         INSERT INTO t SELECT 2, decode(repeat(md5('x'), 40000), 'hex'), repeat('short ', 400000)",
    );
    let digests = server.query(
        "postgres",
        "SELECT bool_and(new_values #>> '{plain,$audit,capped,sha256}' = encode(sha256(plain), 'hex')
                     AND (new_values #>> '{plain,$audit,capped,bytes}')::int = length(plain)
                     AND (new_values #>> '{packed,$audit,capped,sha256}') = encode(sha256(packed::bytea), 'hex')
                     AND (new_values #>> '{packed,$audit,capped,bytes}')::int = length(packed))
         FROM audit.trail JOIN t ON t.id = entity_id::int WHERE event = 'row.insert'",
    );
    assert_eq!(digests, "t");
    // An update that leaves them alone does not read them, and says nothing of them.
    server.query("postgres", "UPDATE t SET id = id + 10");
    assert_eq!(
        server.query("postgres", "SELECT DISTINCT changed_columns FROM audit.trail WHERE event = 'row.update'"),
        "{id}"
    );
}

/// A gigabyte takes some seconds and three gigabytes of memory, in PostgreSQL itself; the capture adds little.
#[test]
fn a_value_of_almost_a_gigabyte_passes() {
    let server = Server::start(&[]);
    server.query(
        "postgres",
        "CREATE EXTENSION audit;
         CREATE TABLE t (id int PRIMARY KEY, a text);
         ALTER TABLE t ALTER a SET STORAGE MAIN;
         SELECT audit.enable('t');
         INSERT INTO t VALUES (1, repeat('0123456789', 100000000))",
    );
    assert_eq!(
        server.query(
            "postgres",
            "SELECT new_values #>> '{a,$audit,capped,bytes}' FROM audit.trail WHERE event = 'row.insert'"
        ),
        "1000000000"
    );
}
