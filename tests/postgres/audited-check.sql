-- The comparison means nothing unless the tests' changes were recorded, in many tables and under other roles than the superuser.
DO $$
DECLARE
    events bigint;
    entities bigint;
BEGIN
    SELECT count(*), count(DISTINCT e.relation_id) INTO events, entities FROM audit.events e WHERE e.category = 'data';
    IF events < 100000 OR entities < 500 THEN
        RAISE EXCEPTION 'only % events of % tables', events, entities;
    END IF;
END $$;
