-- The raw images of the row in a table with one B-tree. psql variable: library.
CREATE TABLE trail.log (occurred_at timestamptz NOT NULL, old bytea, new bytea);
-- As the partitions of audit: rows of up to a page are neither compressed nor moved out of line.
ALTER TABLE trail.log SET (toast_tuple_target = 8160);
CREATE INDEX ON trail.log (occurred_at);
CREATE FUNCTION trail.keep_raw_images() RETURNS trigger LANGUAGE c AS :'library', 'keep_raw_images';
CALL bench.for_each_table('CREATE TRIGGER floor AFTER INSERT OR UPDATE OR DELETE ON public.%I FOR EACH ROW EXECUTE FUNCTION trail.keep_raw_images()');
