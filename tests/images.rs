//! Images that no encoder wrote: an ordinary role passes tens of thousands of them to `audit.row`, for columns of every
//! built-in type. Each is an error or a value that can be printed, sent, stored and recorded like any other, and no
//! session ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use audit_testing::server::Server;
use serde_json::{Value, json};

/// Texts of values, by type: what mutations begin with. Types that are not here get those of others.
const SEEDS: &[(&str, &[&str])] = &[
    ("boolean", &["t"]),
    ("smallint", &["-32768"]),
    ("integer", &["2147483647"]),
    ("bigint", &["-9223372036854775808"]),
    ("real", &["NaN", "-NaN", "1e-45", "-0"]),
    ("double precision", &["-NaN", "Infinity", "5e-324"]),
    ("numeric", &["1.50", "NaN", "-Infinity", "1e-70"]),
    ("money", &["-92233720368547758.08"]),
    ("oid", &["4294967295"]),
    ("text", &["", "it's \"so\" \\"]),
    ("character varying", &["{a,\"b\"}"]),
    ("bpchar", &["a  "]),
    ("name", &["sixty-three-bytes-are-the-most-that-a-name-of-anything-can-have"]),
    ("\"char\"", &["a", "\\377"]),
    ("bytea", &["\\x00ff", "\\x"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("\"bit\"", &["101"]),
    ("bit varying", &["10101010101"]),
    ("date", &["5874897-12-31", "4714-11-24 BC", "infinity"]),
    ("time without time zone", &["24:00"]),
    ("time with time zone", &["24:00+15:59:59"]),
    ("timestamp without time zone", &["294276-12-31 23:59:59.999999", "-infinity"]),
    ("timestamp with time zone", &["4714-11-24 0:0+0 BC"]),
    ("interval", &["-178956970 years -8 mons -2147483648 days", "1 mon -1 day"]),
    ("inet", &["::ffff:1.2.3.4/128", "10.0.0.1"]),
    ("cidr", &["2001:db8::/32", "0.0.0.0/0"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("point", &["(NaN,1e300)"]),
    ("path", &["[(1,2),(3,4)]"]),
    ("polygon", &["((1,2),(3,4),(5,0.1))"]),
    ("circle", &["<(1,2),0>"]),
    ("json", &["{\"a\": {\"$audit\": 1}}", " [1 ]"]),
    ("jsonb", &["{\"$audit\": \"masked\"}", "[1.50, null, {}]"]),
    ("jsonpath", &["$.a[*] ? (@ > 1.50 && @.x like_regex \"^a\" flag \"iq\")"]),
    ("xml", &["<?xml version=\"1.0\"?><a b=\"c\">d</a>"]),
    ("tsvector", &["'a':1A,2B 'it''s\\\\':3C 'z'"]),
    ("tsquery", &["a & (b & c)", "!(a <-> (b <2> c:*AB)) | 'it''s'", "'\\\\' & d"]),
    ("int2vector", &["1 2 3", ""]),
    ("oidvector", &["4 5", ""]),
    ("tid", &["(4294967295,65535)"]),
    ("pg_lsn", &["16/B374D848"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("regprocedure", &["lower(text)"]),
    ("regproc", &["now"]),
    ("regoperator", &["-(none,integer)"]),
    ("regclass", &["pg_class", "4294967294"]),
    ("int4range", &["[1,5)", "empty"]),
    ("numrange", &["(,1.50]"]),
    ("tstzmultirange", &["{[2026-01-01 0:0+0,2026-01-02 0:0+0),[2027-01-01 0:0+0,)}"]),
    ("aclitem", &["postgres=arwdDxt/postgres"]),
    ("refcursor", &["cursor"]),
];

/// Columns that are more than a built-in type.
const MORE: &[&str] = &[
    "varchar(5)",
    "char(3)[]",
    "numeric(6,2)",
    "bit(3)",
    "timestamptz(1)[]",
    "interval(1)",
    "public.percent",
    "public.percent[]",
    "public.pair",
    "public.pair[]",
    "public.percentrange",
    "public.marked",
    "public.mood",
];

const SCHEMA: &str = "
    CREATE EXTENSION audit;
    CREATE DOMAIN percent AS int CHECK (value BETWEEN 0 AND 100);
    CREATE TYPE pair AS (a percent, b varchar(3), c numeric[]);
    CREATE TYPE marked AS (\"$audit\" tsquery);
    CREATE TYPE percentrange AS RANGE (subtype = percent);
    CREATE TYPE mood AS ENUM ('glum', 'fine');
    CREATE ROLE forger LOGIN;";

const ATTEMPT: &str = "
    CREATE FUNCTION attempt(images text[]) RETURNS TABLE (taken bigint, internal text[]) LANGUAGE plpgsql AS $$
    DECLARE
        image text;
        made victim;
    BEGIN
        taken := 0;
        internal := '{}';
        FOREACH image IN ARRAY images LOOP
            BEGIN
                made := audit.row(NULL::victim, image::jsonb);
                made.id := nextval('numbers');
                PERFORM made::text, hash_record_image(made);
                INSERT INTO victim SELECT made.*;
                taken := taken + 1;
                PERFORM record_send(made);
            EXCEPTION
                WHEN internal_error THEN
                    -- The receive function of tsquery reports what is malformed so.
                    IF sqlerrm !~ 'tsquery' THEN internal := internal || (sqlerrm || ': ' || left(image, 200)); END IF;
                WHEN OTHERS THEN NULL;
            END;
        END LOOP;
        RETURN NEXT;
    END $$;
    CREATE FUNCTION hash_record_image(victim) RETURNS boolean LANGUAGE sql AS 'SELECT record_image_eq($1, $1)';
    GRANT SELECT, INSERT ON victim TO forger;
    GRANT USAGE ON SEQUENCE numbers TO forger;";

/// Numbers that look random, the same in every run (xorshift of Marsaglia).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn digits(&mut self) -> String {
        let length = self.below(40);
        (0..length)
            .map(|_| *self.of(&[b"0", b"1", b"2", b"4", b"7", b"8", b"f"]))
            .map(|digit| digit[0] as char)
            .collect()
    }
}

/// A JSON value near this one, or near another one of the pool.
fn mutated(random: &mut Random, pool: &[Value], value: &Value) -> Value {
    match random.below(12) {
        0 => return pool[random.below(pool.len())].clone(),
        1 => return json!({"$audit": {"text": "x", "bytes": random.digits()}}),
        2 => {
            let marker = random.of(&["bitmap", "row", "json", "text", "hash", "bytes"]);
            let inner = mutated(random, pool, value);
            return json!({"$audit": {marker: inner}});
        }
        3 => return json!([value, pool[random.below(pool.len())]]),
        _ => {}
    }
    match value {
        Value::String(text) => Value::String(mutated_text(random, text)),
        Value::Number(_) => {
            let texts = ["0", "-1", "100", "1e400", "-0.000", "9999999999999999999999", "0.1234567", "1e-400", "65536"];
            serde_json::from_str(random.of(&texts)).unwrap_or(json!(32768))
        }
        Value::Array(elements) => {
            let mut elements = elements.clone();
            match random.below(3) {
                0 => elements.push(Value::Null),
                1 if !elements.is_empty() => drop(elements.remove(random.below(elements.len()))),
                _ => {
                    let at = random.below(elements.len());
                    if let Some(element) = elements.get_mut(at) {
                        *element = mutated(random, pool, &element.clone());
                    }
                }
            }
            Value::Array(elements)
        }
        Value::Object(members) => {
            let mut members = members.clone();
            let at = random.below(members.len());
            if let Some((_, member)) = members.iter_mut().nth(at) {
                *member = mutated(random, pool, &member.clone());
            }
            Value::Object(members)
        }
        other => json!(other.to_string()),
    }
}

fn mutated_text(random: &mut Random, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(characters.len());
        let other =
            random.of(&["0", "9", "f", "-", "(", "{", "[", ",", "\"", "\\", "'", "é", "\u{1}", "$", "<", " ", ":"]);
        match random.below(4) {
            0 if !characters.is_empty() => drop(characters.remove(at)),
            1 if !characters.is_empty() => characters[at] = other.chars().next().unwrap_or('x'),
            2 => characters.truncate(at),
            _ => characters.splice(at..at, other.chars()).for_each(drop),
        }
    }
    let text: String = characters.into_iter().collect();
    if random.below(40) == 0 { text.repeat(1 + random.below(2000)) } else { text }
}

/// The types of the columns `c0`, `c1`, … of the table.
fn make_table(server: &Server) -> Vec<String> {
    server.query("postgres", SCHEMA);
    let built_in = server.query(
        "postgres",
        "SELECT format_type(t.oid, -1) FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
         WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm')
           AND (e.typtype IS NULL OR e.typtype NOT IN ('c', 'p')) ORDER BY t.oid",
    );
    let types: Vec<String> = built_in.lines().chain(MORE.iter().copied()).map(str::to_owned).collect();
    let columns: Vec<String> = types.iter().enumerate().map(|(at, name)| format!("c{at} {name}")).collect();
    server.query(
        "postgres",
        &format!(
            "CREATE TABLE victim (id bigint PRIMARY KEY, {}); CREATE SEQUENCE numbers; SELECT audit.enable('victim'); {ATTEMPT}",
            columns.join(", ")
        ),
    );
    types
}

/// Images that the encoder writes of good values: alone, in arrays of several shapes, and cut from one with a NULL.
fn genuine(server: &Server, types: &[String]) -> Vec<(usize, Value)> {
    let mut client = server.connect("postgres");
    for (name, texts) in SEEDS {
        let Some(scalar) = types.iter().position(|found| found == name) else { continue };
        let array = types.iter().position(|found| *found == format!("{name}[]"));
        for text in *texts {
            let literal = format!("'{}'::{name}", text.replace('\'', "''"));
            let mut values = vec![(scalar, literal.clone())];
            if let Some(array) = array {
                values.push((array, format!("ARRAY[{literal}, NULL]")));
                values.push((array, format!("(ARRAY[{literal}, NULL])[1:1]")));
                // The text of such an array does not say the sign of a NaN.
                if *text != "-NaN" {
                    values.push((array, format!("ARRAY[ARRAY[{literal}]]")));
                }
            }
            for (at, value) in values {
                // A server may have been built without xml.
                let _ = client
                    .batch_execute(&format!("INSERT INTO victim (id, c{at}) VALUES (nextval('numbers'), {value})"));
            }
        }
    }
    let _ = client.batch_execute("INSERT INTO victim (id) SELECT nextval('numbers')");
    let images = server.query(
        "postgres",
        "SELECT key || ' ' || value FROM audit.trail, jsonb_each(jsonb_strip_nulls(new_values)) WHERE entity = 'public.victim' AND key <> 'id'",
    );
    let parsed = images.lines().map(|line| {
        let (column, value) = line.split_once(' ').unwrap();
        (column[1..].parse().unwrap(), serde_json::from_str(value).unwrap())
    });
    parsed.collect()
}

#[test]
fn no_image_ends_a_session() {
    let server = Server::start(&[]);
    let types = make_table(&server);
    let seeds = genuine(&server, &types);
    assert!(seeds.len() > 100, "{} seeds", seeds.len());
    let pool: Vec<Value> =
        seeds.iter().map(|(_, value)| value.clone()).chain([json!(null), json!({}), json!([])]).collect();

    let mut bystander = server.connect("postgres");
    let identity =
        |client: &mut postgres::Client| client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get::<_, i32>(0);
    let before = identity(&mut bystander);
    let mut forger = server.connect_as("forger", "postgres");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut taken = 0;
    for round in 0..24 {
        let mut images = Vec::new();
        for turn in 0..500 {
            // In turn the types' own images, and images of any type for every column.
            let (column, seed) = if turn % 3 == 0 {
                ((round * 500 + turn) / 3 % types.len(), &pool[random.below(pool.len())])
            } else {
                let (column, seed) = &seeds[random.below(seeds.len())];
                (*column, seed)
            };
            images.push(json!({format!("c{column}"): mutated(&mut random, &pool, seed)}).to_string());
        }
        let row = forger.query_one("SELECT taken, internal FROM attempt($1)", &[&images]).unwrap();
        assert_eq!(row.get::<_, Vec<String>>(1), Vec::<String>::new());
        taken += row.get::<_, i64>(0);
    }
    assert!(taken > 1000, "{taken} images were taken");
    assert_eq!(identity(&mut bystander), before);
    assert!(!server.log().contains("terminated by signal"), "{}", server.log());

    // What was taken is recorded, and comes back: byte for byte but for queries, whose layout no form may express.
    let queries = types.iter().enumerate().filter(|(_, name)| name.contains("tsquery") || name.contains("marked"));
    let no_query = queries.map(|(at, _)| format!("v.c{at} IS NULL")).collect::<Vec<_>>().join(" AND ");
    let restored = "victim v JOIN audit.trail t ON t.entity = 'public.victim' AND t.event = 'row.insert' AND t.entity_id = v.id::text,
                    audit.row(NULL::victim, t.new_values) r";
    let found = |condition: &str| {
        let sql = format!("SELECT left(jsonb_strip_nulls(t.new_values)::text, 300) FROM {restored} WHERE {condition}");
        server.query("postgres", &sql)
    };
    assert_eq!(found("r::text <> v::text"), "");
    assert_eq!(found(&format!("NOT record_image_eq(v, r) AND {no_query}")), "");
    let recorded: i64 = bystander.query_one(&format!("SELECT count(*) FROM {restored}"), &[]).unwrap().get(0);
    assert!(recorded > taken, "{recorded} of {taken} were recorded");
}
