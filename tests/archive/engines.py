"""Reads archives with the engines and tools that people have: DuckDB, Spark, pandas, age and zstd. engines.py EXECUTABLE"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import duckdb
import pandas
import pyarrow.parquet
import pyarrow.parquet.encryption
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession, functions
from pyspark.sql.utils import AnalysisException

import archiving
from archiving import EVENTS, MONTHS, SERVERS

SPARK_SOURCE = os.path.join(os.path.dirname(__file__), "../../crates/audit-archive/spark/AuditKey.java")
ARCHIVES = len(SERVERS) * len(MONTHS)

scratch = tempfile.TemporaryDirectory()
executable = archiving.Executable(sys.argv[1], scratch.name)
plain = os.path.join(scratch.name, "plain")
encrypted = os.path.join(scratch.name, "encrypted")
archiving.write_fleet(executable, plain)
archiving.write_fleet(executable, encrypted, executable.key_file)


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"PRAGMA add_parquet_key('archive', '{executable.parquet_key_text()}')")
    return connection


def table(location, options=""):
    return f"read_parquet('{location}/parquet/**/*.parquet', hive_partitioning = true{options})"


KEY = ", encryption_config = {footer_key: 'archive'}"


def check_with_duckdb(connection, source):
    types = dict(connection.sql(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {source})").fetchall())
    assert types["occurred_at"] == "TIMESTAMP WITH TIME ZONE" and types["date"] == "DATE", types
    assert types["transaction_id"] == "BIGINT" and types["new_values"] == "JSON", types
    # Every value of every column, of which counts could be answered from statistics.
    assert len(connection.sql(f"SELECT * FROM {source}").fetchall()) == ARCHIVES * EVENTS
    assert connection.sql(f"SELECT count(*), count(DISTINCT event_id), min(category), max(category) FROM {source}").fetchone() == (
        ARCHIVES * EVENTS, ARCHIVES * EVENTS, "data", "data")
    found = connection.sql(f"""
        SELECT server, event, occurred_at::text, summary, new_values->>'name', (new_values->>'credit')::double, context->>'ticket',
               changed_columns
        FROM {source} WHERE entity_id = '4' AND date = '2026-02-01' ORDER BY server""").fetchall()
    assert [row[0] for row in found] == SERVERS
    assert found[0][1:] == ("row.update", "2026-02-05 00:00:04.000007+00", "ann@example.org updated public.customer 4: credit, name",
                            "Acme 4", 2.0, "12", '["credit","name"]'), found[0]


def test_duckdb_reads_archives():
    check_with_duckdb(connect(), table(plain))


def test_duckdb_reads_encrypted_archives():
    """Loaded first, as README.md of the executable says."""
    connection = connect()
    connection.execute(f"CREATE TEMP TABLE trail AS SELECT * FROM {table(encrypted, KEY)} WHERE date >= '2026-02-01'")
    assert connection.sql("SELECT count(*) FROM trail").fetchone() == (len(SERVERS) * EVENTS,)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE trail AS SELECT * FROM {table(encrypted, KEY)}")
    check_with_duckdb(connection, "trail")


def test_duckdb_reads_nothing_without_the_key():
    connection = connect()
    connection.execute("PRAGMA add_parquet_key('wrong', '01234567890123456789012345678901')")
    for source in table(encrypted), table(encrypted, ", encryption_config = {footer_key: 'wrong'}"):
        try:
            connection.sql(f"SELECT count(*) FROM {source}").fetchall()
        except duckdb.Error:
            continue
        raise AssertionError("an encrypted archive was read without its key")


def test_duckdb_prunes_partitions():
    plan = connect().sql(f"EXPLAIN ANALYZE SELECT count(summary) FROM {table(plain)} WHERE date = '2026-02-01'").fetchall()
    text = " ".join(part for row in plan for part in row)
    assert f"{len(SERVERS)}/{ARCHIVES}" in text, text


def test_pandas_reads_archives():
    frame = pandas.read_parquet(f"{plain}/parquet", filters=[("server", "==", "osaka")])
    assert len(frame) == len(MONTHS) * EVENTS
    assert str(frame["occurred_at"].dtype).startswith("datetime64") and str(frame["occurred_at"].dt.tz) == "UTC"
    assert set(frame["category"].astype(str)) == {"data"}
    assert json.loads(frame.sort_values("occurred_at")["new_values"].iloc[0])["name"] == "Customer 0 of osaka"


def test_pyarrow_reads_encrypted_archives():
    properties = pyarrow.parquet.encryption.create_decryption_properties(executable.parquet_key())
    for path in glob.glob(f"{encrypted}/parquet/**/*.parquet", recursive=True):
        assert pyarrow.parquet.read_table(path, decryption_properties=properties, partitioning=None).num_rows == EVENTS


def test_age_and_zstd_read_the_lines():
    for tool in "age", "zstd":
        assert shutil.which(tool), f"{tool} is missing: run pgrx-config/setup --tests"
    command = 'age --decrypt --identity "$0" "$1" | zstd --decompress'
    for path in glob.glob(f"{encrypted}/lines/**/*berlin*.age", recursive=True):
        month = path.split("date=")[1][:7]
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command, executable.key_file, path], check=True, stdout=subprocess.PIPE)
        head, *rest = done.stdout.decode().splitlines()
        assert json.loads(head)["archive"]["server"] == "berlin"
        assert rest == list(archiving.lines("berlin", month))


def start_spark():
    """Spark with the class for keys, compiled by the compiler that Spark brings, so that a JRE is enough."""
    classes = os.path.join(scratch.name, "classes")
    os.mkdir(classes)
    conf = SparkConf().setMaster("local[2]").setAppName("archives")
    for name, value in {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
                        "spark.driver.extraClassPath": classes, "spark.sql.session.timeZone": "UTC",
                        "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR", "spark.local.dir": scratch.name}.items():
        conf.set(name, value)
    gateway = launch_gateway(conf)
    compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
    with open(SPARK_SOURCE) as source:
        compiler.cook(source.read())
    for name, code in dict(compiler.getBytecodes()).items():
        with open(os.path.join(classes, f"{name}.class"), "wb") as file:
            file.write(bytes(code))
    return SparkSession(SparkContext(gateway=gateway, conf=conf))


spark = start_spark()


def check_with_spark(location):
    frame = spark.read.parquet(f"{location}/parquet")
    types = dict(frame.dtypes)
    assert types["occurred_at"] == "timestamp" and types["transaction_id"] == "bigint" and types["date"] == "date", types
    assert frame.count() == ARCHIVES * EVENTS
    # Every value of every column.
    lengths = frame.select([functions.sum(functions.length(functions.col(name).cast("string"))).alias(name) for name in frame.columns])
    assert lengths.first()["event_id"] == ARCHIVES * EVENTS * 36
    found = frame.where("entity_id = '4' AND date = '2026-02-01'").orderBy("server").select(
        "server", "event", functions.date_format("occurred_at", "yyyy-MM-dd HH:mm:ss.SSSSSS"),
        functions.get_json_object("new_values", "$.name"), "changed_columns", "category").collect()
    assert [row[0] for row in found] == SERVERS
    assert tuple(found[0])[1:] == ("row.update", "2026-02-05 00:00:04.000007", "Acme 4", '["credit","name"]', "data"), found[0]


def test_spark_reads_archives():
    check_with_spark(plain)


def test_spark_reads_encrypted_archives():
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    try:
        spark.read.parquet(f"{encrypted}/parquet").count()
    except AnalysisException:
        pass
    except Exception as error:
        assert "encrypted" in str(error) or "FOOTER" in str(error), error
    else:
        raise AssertionError("an encrypted archive was read without its key")
    settings.set("parquet.crypto.factory.class", "AuditKey")
    settings.set("audit.key.file", executable.key_file)
    check_with_spark(encrypted)
    check_with_spark(plain)


def test_spark_prunes_partitions():
    """The files of other months are never opened: they may as well be broken."""
    broken = os.path.join(scratch.name, "broken")
    shutil.copytree(plain, broken)
    schema = spark.read.parquet(f"{plain}/parquet").schema
    for path in glob.glob(f"{broken}/parquet/category=data/date=2026-01-01/*"):
        with open(path, "wb") as file:
            file.write(b"broken")
    frame = spark.read.schema(schema).parquet(f"{broken}/parquet")
    assert frame.where("date >= '2026-02-01'").count() == len(SERVERS) * EVENTS


archiving.run([test for name, test in list(globals().items()) if name.startswith("test_")])
