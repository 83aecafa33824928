-- Rows of random values: an image restored by audit.row is the row, byte for byte, and an image is what to_jsonb says
-- in UTC, for every type whose JSON is native.
CREATE SCHEMA random_values;
SET search_path = random_values;
SET TimeZone = 'UTC';
SET IntervalStyle = postgres;
SELECT setseed(0.42);
CREATE TABLE sample (
    id int PRIMARY KEY, small int2, large int8, real4 float4, real8 float8, exact numeric, scaled numeric(30, 12),
    truth bool, words text, padded char(7), moment timestamptz, plain_moment timestamp, day date, hour time, token uuid,
    bits bytea, document jsonb, numbers int[], texts text[], decimals numeric[], doubles float8[], address inet, span interval,
    network cidr, sixth inet, few int2, amount numeric(12, 2), round_number float8, rounded real
);
SELECT audit.enable('sample');
 
CREATE FUNCTION word() RETURNS text LANGUAGE sql VOLATILE
AS $$ SELECT coalesce(string_agg(chr(CASE WHEN random() < 0.1 THEN (1 + random() * 31)::int WHEN random() < 0.2 THEN (160 + random() * 5000)::int
                                 ELSE (32 + random() * 94)::int END), ''), '') FROM generate_series(1, (random() * 12)::int) $$;
CREATE FUNCTION number() RETURNS numeric LANGUAGE sql VOLATILE
AS $$ SELECT ((CASE WHEN random() < 0.5 THEN '-' ELSE '' END) || (random() * 10 ^ (random() * 18))::numeric::text
              || CASE WHEN random() < 0.3 THEN 'e' || ((random() - 0.5) * 200)::int ELSE '' END)::numeric $$;
CREATE FUNCTION maybe(value anyelement) RETURNS anyelement LANGUAGE sql VOLATILE
AS $$ SELECT CASE WHEN random() < 0.1 THEN NULL ELSE value END $$;

INSERT INTO sample
SELECT i, maybe(((random() - 0.5) * 65535)::int2), maybe(((random() - 0.5) * 1.8e19)::int8),
       maybe(((random() - 0.5) * 10 ^ ((random() - 0.5) * 70))::float4), maybe(((random() - 0.5) * 10 ^ ((random() - 0.5) * 600))::float8),
       maybe(number()), maybe((random() * 1e17)::numeric(30, 12)), maybe(random() < 0.5), maybe(word()), maybe(left(word(), 7)::char(7)),
       maybe(timestamptz '2000-01-01 00:00+00' + (random() * 130000 - 6000) * interval '1 year'),
       maybe(timestamp '2000-01-01' + (random() * 13000 - 6000) * interval '1 year'), maybe(date '2000-01-01' + ((random() - 0.3) * 2000000)::int),
       maybe(time '00:00' + random() * interval '1 day'), maybe(md5(random()::text)::uuid), maybe(decode(md5(random()::text), 'hex')),
       maybe(jsonb_build_object(word(), number(), word(), jsonb_build_array(word(), NULL, random() < 0.5, number()))),
       maybe(ARRAY(SELECT maybe((random() * 1e9)::int) FROM generate_series(1, (random() * 5)::int + i - i))),
       maybe(ARRAY(SELECT maybe(word()) FROM generate_series(1, (random() * 5)::int + i - i))),
       maybe(ARRAY(SELECT maybe(number()) FROM generate_series(1, (random() * 5)::int + i - i))),
       maybe(ARRAY(SELECT (random() - 0.5) * 10 ^ ((random() - 0.5) * 600) FROM generate_series(1, (random() * 5)::int + i - i))),
       maybe(('10.' || (random() * 255)::int || '.0.' || (random() * 255)::int || '/' || (random() * 32)::int)::inet),
       maybe((random() - 0.5) * interval '9000 years' + (random() - 0.5) * interval '400 days'),
       maybe(network(('10.' || (random() * 255)::int || '.7.0/' || (random() * 32)::int)::inet)::cidr),
       maybe((to_hex((random() * 65535)::int) || '::' || to_hex((random() * 65535)::int) || '/' || (random() * 128)::int)::inet),
       maybe(((random() - 0.5) * 20)::int2), maybe(((random() - 0.5) * 10 ^ (random() * 9))::numeric(12, 2)),
       maybe(((random() - 0.5) * 10 ^ (random() * 5))::int * 10.0 ^ ((random() - 0.5) * 24)::int),
       maybe((((random() - 0.5) * 2000)::int * 10.0 ^ ((random() - 0.5) * 12)::int)::real)
FROM generate_series(1, 3000) i;

-- Every column of a row becomes another row's, so that every change has two sides.
UPDATE sample s SET (small, large, real4, real8, exact, scaled, truth, words, padded, moment, plain_moment, day, hour, token, bits,
                     document, numbers, texts, decimals, doubles, address, span)
    = (SELECT o.small, o.large, o.real4, o.real8, o.exact, o.scaled, o.truth, o.words, o.padded, o.moment, o.plain_moment, o.day, o.hour,
              o.token, o.bits, o.document, o.numbers, o.texts, o.decimals, o.doubles, o.address, o.span FROM sample o WHERE o.id = s.id + 1500)
WHERE s.id <= 1500;

SELECT count(*) AS inserts, count(*) FILTER (WHERE NOT audit.row(NULL::sample, t.new_values) *= s) AS wrong
FROM audit.trail t JOIN sample s ON s.id::text = t.entity_id WHERE t.entity = 'random_values.sample' AND t.event = 'row.insert' AND s.id > 1500;
SELECT count(*) AS updates, count(*) FILTER (WHERE NOT audit.row(audit.row(NULL::sample, i.new_values), u.new_values) *= s) AS wrong
FROM audit.trail u JOIN sample s ON s.id::text = u.entity_id
JOIN audit.trail i ON i.entity = u.entity AND i.entity_id = u.entity_id AND i.event = 'row.insert'
WHERE u.entity = 'random_values.sample' AND u.event = 'row.update';
SELECT count(*) AS images, count(*) FILTER (WHERE t.new_values::text <> to_jsonb(s)::text) AS differ
FROM audit.trail t JOIN sample s ON s.id::text = t.entity_id WHERE t.entity = 'random_values.sample' AND t.event = 'row.insert' AND s.id > 1500;
SELECT count(*) AS images, count(*) FILTER (WHERE t.new_values::text <> (SELECT jsonb_object_agg(k, to_jsonb(s) -> k)::text
                                                                         FROM unnest(t.changed_columns) k)) AS differ
FROM audit.trail t JOIN sample s ON s.id::text = t.entity_id WHERE t.entity = 'random_values.sample' AND t.event = 'row.update';
DELETE FROM sample;
SELECT count(*) AS deletes, count(*) FILTER (WHERE NOT audit.row(NULL::sample, t.old_values) *= audit.row(audit.row(NULL::sample, i.new_values),
       coalesce((SELECT u.new_values FROM audit.trail u WHERE u.entity = t.entity AND u.entity_id = t.entity_id AND u.event = 'row.update'), '{}'))) AS wrong
FROM audit.trail t JOIN audit.trail i ON i.entity = t.entity AND i.entity_id = t.entity_id AND i.event = 'row.insert'
WHERE t.entity = 'random_values.sample' AND t.event = 'row.delete' AND CASE WHEN t.entity = 'random_values.sample' THEN t.entity_id::int > 2500 END;
-- Days through all the years that there are, with times of day, and integers on both sides of each power of ten.
CREATE TABLE calendar (id int PRIMARY KEY, day date, moment timestamptz, hour timetz, number int8);
SELECT audit.enable('calendar');
INSERT INTO calendar
SELECT n, d, CASE WHEN d BETWEEN '4713-01-01 BC' AND '290000-01-01' THEN d + n * interval '1.030507 s' END, timetz '00:00:00+00' + make_interval(secs => n * 1.3),
       (CASE WHEN n % 2 = 0 THEN -1 ELSE 1 END) * ((10::numeric ^ (n % 19)) - n % 3)::int8
FROM (SELECT n, CASE WHEN n < 30000 THEN date '4714-11-24 BC' + n * 61 ELSE date '4714-11-24 BC' + (n - 30000) * 700001 END AS d
      FROM generate_series(0, 33067) n) s;
SELECT count(*) AS days, min(day) AS first_day, max(day) AS last_day,
       count(*) FILTER (WHERE t.new_values::text <> to_jsonb(c)::text) AS differ
FROM calendar c JOIN audit.trail t ON t.entity_id = c.id::text WHERE t.entity = 'random_values.calendar' AND t.event = 'row.insert';
SET client_min_messages = warning;
DROP SCHEMA random_values CASCADE;
