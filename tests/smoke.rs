//! The harness of the integration tests does what the others rely on.

use audit_testing::server::Server;
use audit_testing::server::pgbouncer::Pgbouncer;

#[test]
fn a_server_runs_sql_and_ends() {
    let server = Server::start(&[("work_mem", "5MB")]);
    let mut client = server.connect("postgres");
    client.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)").unwrap();
    assert_eq!(client.query_one("SELECT sum(a) FROM t", &[]).unwrap().get::<_, i64>(0), 3);
    assert_eq!(server.query("postgres", "SHOW work_mem"), "5MB");
    let directory = server.host().to_owned();
    drop(server);
    assert!(!directory.exists());
}

#[test]
fn psql_goes_past_errors_and_shows_them_whole() {
    let server = Server::start(&[]);
    let output = server.psql("postgres", "SELECT 1/0;\nSELECT 'after';\n");
    assert!(String::from_utf8_lossy(&output.stdout).contains("after"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ERROR:  22012: division by zero\nLOCATION:"));
}

#[test]
fn what_is_committed_survives_a_kill_and_a_restart() {
    let server = Server::start(&[]);
    server.query("postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    let mut open = server.connect("postgres");
    open.batch_execute("BEGIN; INSERT INTO t VALUES (8)").unwrap();
    server.kill9();
    server.launch();
    assert!(server.log().contains("was not properly shut down"));
    assert_eq!(server.query("postgres", "SELECT array_agg(a) FROM t"), "{7}");
    server.set(&[("work_mem", "6MB")]);
    server.restart();
    assert_eq!(server.query("postgres", "SHOW work_mem"), "6MB");
}

#[test]
fn dumps_copies_and_workloads_reach_the_right_server() {
    let server = Server::start(&[]);
    server.create_database("shop");
    server.query("shop", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let other = Server::start(&[]);
    server.dump_and_restore("shop", &other, "shop", &[]);
    assert_eq!(other.query("shop", "SELECT a FROM t"), "1");
    assert!(server.dump("shop", &["--schema-only"]).contains("CREATE TABLE public.t"));
    let copy = server.copy();
    server.pgbench("shop", "INSERT INTO t VALUES (2);", &["--transactions=5"]);
    assert_eq!(server.query("shop", "SELECT count(*) FROM t"), "6");
    assert_eq!(copy.query("shop", "SELECT count(*) FROM t"), "1");
}

#[test]
fn tcp_needs_a_password() {
    let server = Server::start(&[("listen_addresses", "127.0.0.1")]);
    server.query("postgres", "CREATE ROLE ann LOGIN PASSWORD 'secret'");
    let connect = |password: &str| {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(server.port()).user("ann").password(password).dbname("postgres");
        config.connect(postgres::NoTls)
    };
    assert!(connect("wrong").is_err());
    let row = connect("secret").unwrap().query_one("SELECT host(inet_client_addr())", &[]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "127.0.0.1");
}

#[test]
fn pgbouncer_shares_connections() {
    let server = Server::start(&[]);
    let bouncer = Pgbouncer::start(&server, 1);
    let pid = |client: &mut postgres::Client| -> String {
        let messages = client.simple_query("SELECT pg_backend_pid()").unwrap();
        let row = messages.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.unwrap().to_owned()
    };
    let mut first = bouncer.connect("postgres");
    let mut second = bouncer.connect("postgres");
    assert_eq!(pid(&mut first), pid(&mut second));
}

#[test]
fn the_extension_is_installed() {
    let server = Server::start(&[("shared_preload_libraries", "audit")]);
    server.query("postgres", "CREATE EXTENSION audit");
    assert_eq!(server.query("postgres", "SELECT nspname FROM pg_namespace WHERE nspname = 'audit'"), "audit");
}
