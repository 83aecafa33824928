"""Keeps archives in an S3-compatible store, which runs on this machine. s3.py EXECUTABLE"""

import json
import logging
import os
import random
import sys
import tempfile

import boto3
from moto.server import ThreadedMotoServer

import archiving

logging.getLogger("werkzeug").setLevel(logging.ERROR)
scratch = tempfile.TemporaryDirectory()
executable = archiving.Executable(sys.argv[1], scratch.name)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
endpoint = "http://{}:{}".format(*server.get_host_and_port())
LOCATION = "s3://audit-trail/shop/main"
OPTIONS = {"endpoint": endpoint, "region": "eu-central-1", "allow_http": True}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-to-be-told"}
client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="tester",
                      aws_secret_access_key="not-to-be-told")
client.create_bucket(Bucket="audit-trail", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


def succeed(command, request, lines=()):
    return executable.succeed(command, request, lines, CREDENTIALS)


def fail(command, request, lines=(), environment=CREDENTIALS):
    status, _, failure = executable.run(command, request, lines, environment)
    assert status == 1, "it succeeded"
    assert "not-to-be-told" not in json.dumps(failure)
    return failure


def objects():
    return sorted(item["Key"] for item in client.list_objects_v2(Bucket="audit-trail").get("Contents", []))


def existing(written, **more):
    return {"location": LOCATION, "options": OPTIONS, "manifest_file": written["manifest_file"],
            "manifest_sha256": written["manifest_sha256"], **more}


def check_life(key_file):
    lines = list(archiving.lines())
    written = json.loads(succeed("write", archiving.request(LOCATION, options=OPTIONS, key_file=key_file), lines))
    assert [key.split("/")[2] for key in objects()] == ["lines", "manifests", "parquet"], objects()
    found = existing(written, key_file=key_file)
    succeed("check", found)
    assert succeed("read", found).splitlines()[1:] == lines
    removed = json.loads(succeed("remove", found))["removed"]
    assert len(removed) == 3 and objects() == [], objects()
    assert json.loads(succeed("remove", found))["removed"] == []


def test_archives_live_in_a_bucket():
    check_life(None)


def test_encrypted_archives_live_in_a_bucket():
    check_life(executable.key_file)


def test_settings_of_the_environment_are_enough():
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1", "AWS_ALLOW_HTTP": "true"}
    request = archiving.request(LOCATION)
    executable.succeed("write", request, archiving.lines(events=10), environment)
    executable.succeed("remove", request, (), environment)
    assert objects() == []


def test_a_large_file_goes_in_parts():
    """Text that does not compress: more than one part of 16 MiB."""
    noise = random.Random(1)
    head = [line for line in archiving.lines(events=0)][:-1]
    events = [json.dumps([f"2026-01-05T00:00:00.{n:06}+00:00", f"019b8d00-0000-7000-8000-{n:012x}", n, 700, 1, 1, 4, 0, "data", str(n),
                          [n, noise.randbytes(12_000).hex(), None, None], *[None] * 7]) for n in range(3000)]
    written = json.loads(succeed("write", archiving.request(LOCATION, options=OPTIONS),
                                 [*head, *events, json.dumps({"end": {"events": 3000}})]))
    assert all(file["bytes"] > 2 * 16 * 1024 * 1024 for file in written["manifest"]["files"]), written
    succeed("check", existing(written))
    succeed("remove", existing(written))


def test_a_changed_object_is_found():
    written = json.loads(succeed("write", archiving.request(LOCATION, options=OPTIONS), archiving.lines(events=1000)))
    for file in written["manifest"]["files"]:
        key = f"shop/main/{file['name']}"
        body = client.get_object(Bucket="audit-trail", Key=key)["Body"].read()
        client.put_object(Bucket="audit-trail", Key=key, Body=body[:-1] + bytes([body[-1] ^ 1]))
        failure = fail("check", existing(written))
        assert failure["kind"] == "tampered" and file["sha256"] in failure["message"] and key in failure["message"], failure
        client.delete_object(Bucket="audit-trail", Key=key)
        assert fail("check", existing(written))["kind"] == "not_found"
        client.put_object(Bucket="audit-trail", Key=key, Body=body)
    succeed("check", existing(written))
    succeed("remove", existing(written))


def test_an_input_that_ends_early_leaves_nothing():
    lines = list(archiving.lines())[:-1]
    assert fail("write", archiving.request(LOCATION, options=OPTIONS), lines)["kind"] == "bad_request"
    assert objects() == []
    assert "Uploads" not in client.list_multipart_uploads(Bucket="audit-trail")


def test_what_is_missing_is_named():
    failure = fail("write", archiving.request("s3://no-such-bucket/x", options=OPTIONS), archiving.lines(events=1))
    assert failure["kind"] == "not_found" and "no-such-bucket" in failure["message"], failure
    failure = fail("read", existing({"manifest_file": "manifests/x.json", "manifest_sha256": None}))
    assert failure["kind"] == "not_found" and "manifests/x.json" in failure["message"], failure


def test_credentials_may_come_from_a_file():
    path = os.path.join(scratch.name, "credentials")
    with open(path, "w") as file:
        file.write("[other]\naws_access_key_id = x\n[default]\naws_access_key_id = tester\naws_secret_access_key = not-to-be-told\n")
    options = {**OPTIONS, "credentials_file": path}
    request = archiving.request(LOCATION, options=options)
    executable.succeed("write", request, archiving.lines(events=10), {})
    executable.succeed("remove", request, (), {})
    with open(path, "w") as file:
        file.write("[default]\n")
    assert fail("write", request, (), {})["kind"] == "denied"


archiving.run([test for name, test in list(globals().items()) if name.startswith("test_")])
