-- Private memory of a backend at the end of a COPY, when its queue of AFTER triggers is fullest: a statement trigger comes after
-- those of the rows and reads it. psql variables: prefix, rows.
CREATE TEMPORARY TABLE measured (megabytes double precision);
CREATE OR REPLACE FUNCTION bench.measure_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.measured SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::double precision / 1024;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER measure_memory AFTER INSERT ON copied FOR EACH STATEMENT EXECUTE FUNCTION bench.measure_memory();
SELECT format('COPY copied (id) FROM PROGRAM %L', 'seq ' || :rows) \gexec
SELECT :'prefix', :rows || ' rows', megabytes FROM measured;
TRUNCATE copied;
