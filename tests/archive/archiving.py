"""Archives to read: made by the executable from events of several servers and months, plain or encrypted."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import traceback

COLUMNS = """occurred_at event_id transaction_id context_id node_id event_type relation_id command_id category entity_id
changes image entity_label parameters new_entity_id entity result subject_transaction_id""".split()
SERVERS = ["berlin", "lisbon", "osaka"]
MONTHS = ["2026-01", "2026-02"]
# Enough for several pages of the longer columns.
EVENTS = 12_000
NOTE = "A note that is long enough to fill the pages of this column: " + "é" * 90


class Executable:
    """The executable and a key for it."""

    def __init__(self, path, directory):
        self.path = path
        self.key_file = os.path.join(directory, "key")
        key = subprocess.run([path, "keygen"], check=True, stdout=subprocess.PIPE).stdout
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(key)

    def parquet_key(self):
        """As a person finds it: the digest of the identity's line."""
        with open(self.key_file) as file:
            identity = next(line.strip() for line in file if line.startswith("AGE-SECRET-KEY-"))
        return hashlib.sha256(identity.encode()).digest()

    def parquet_key_text(self):
        return base64.b64encode(self.parquet_key()).decode()

    def run(self, command, request, lines=(), environment=None):
        """The status, the output and the failure of a command."""
        text = "".join(line + "\n" for line in [json.dumps(request), *lines])
        done = subprocess.run([self.path, command], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment, timeout=120)
        return done.returncode, done.stdout.decode(), json.loads(done.stderr) if done.stderr else None

    def succeed(self, command, request, lines=(), environment=None):
        status, output, failure = self.run(command, request, lines, environment)
        assert status == 0, failure
        return output


def request(location, server="berlin", month="2026-01", key_file=None, **more):
    number = SERVERS.index(server) * len(MONTHS) + MONTHS.index(month)
    return {
        "location": location, "key_file": key_file, "archive_id": f"0192f0c0-0000-7000-8000-{number:012x}",
        "category": "data", "server": server, "database": "shop", "partition": f"events_data_{month.replace('-', '')}01",
        "since": f"{month}-01T00:00:00+00:00", "until": None, "schema_version": 1, "application": "audit 0.1.0",
        "columns": [{"name": name, "type": "text"} for name in COLUMNS], **more,
    }


def lines(server="berlin", month="2026-01", events=EVENTS):
    """Inserts, updates and deletes in turn."""
    node = SERVERS.index(server) + 1
    names = {1: ("row.insert", "inserted"), 2: ("row.update", "updated"), 3: ("row.delete", "deleted")}
    rows = [{"event_type": {"event_type": number, "name": name, "risk": "low", "phrase": phrase}}
            for number, (name, phrase) in names.items()]
    rows += [
        {"node": {"node_id": node, "name": server, "database_name": "shop"}},
        {"relation": {"node_id": node, "relation_id": 4, "entity": "public.customer",
                      "recorded_columns": ["id", "name", "note", "credit"]}},
        {"session": {"node_id": node, "session_id": 70, "token": "65a1.1f", "client_addr": "10.0.0.7"}},
        {"context": {"node_id": node, "context_id": 700, "session_id": 70, "login": "app", "effective_role": "app",
                     "actor": "ann@example.org", "actor_source": "setting", "context": {"ticket": 12}}},
    ]
    for row in rows:
        yield json.dumps(row)
    for number in range(events):
        kind = number % 3 + 1
        row = [number, f"Customer {number} of {server}", NOTE, number / 4]
        changes = {"credit": [number / 4, number / 2], "name": ["Acme", f"Acme {number}"]} if kind == 2 else row
        yield json.dumps([
            f"{month}-05T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000007+00:00",
            f"019b8d00-{node:04x}-7{month[-1]}00-8000-{number:012x}", 900 + number, 700, node, kind, 4, 0, "data", str(number),
            changes, None, None, None, None, None, None, None,
        ])
    yield json.dumps({"end": {"events": events}})


def write_fleet(executable, location, key_file=None):
    """An archive of every server and month."""
    os.makedirs(location)
    for server in SERVERS:
        for month in MONTHS:
            executable.succeed("write", request(location, server, month, key_file), lines(server, month))


def run(tests):
    """Runs functions as tests, a line of result each, and ends the program."""
    failed = 0
    for test in tests:
        name = test.__name__.removeprefix("test_")
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"not ok {name}", flush=True)
    sys.exit(1 if failed else 0)
