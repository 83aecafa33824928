-- What is written by hand.
CREATE TABLE trail.log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text NOT NULL DEFAULT session_user,
    table_name text NOT NULL,
    operation  text NOT NULL,
    old_row    jsonb,
    new_row    jsonb
);
CREATE FUNCTION trail.write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trail.log (table_name, operation, old_row, new_row) VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END;
$$;
CALL bench.for_each_table('CREATE TRIGGER write_trail AFTER INSERT OR UPDATE OR DELETE ON public.%I FOR EACH ROW EXECUTE FUNCTION trail.write()');
