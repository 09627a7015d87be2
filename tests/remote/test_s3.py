"""Stores in S3: moto's server on loopback, s3fs as the client. And over HTTP from a server that knows no ranges."""

from __future__ import annotations

import functools
import http.server
import json
import logging
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spmdata.store.connection
import spmdata.store.remote_shard
from remote_cases import LAYOUT, in_child
from spmdata.errors import RemoteError, StoreError
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.check import check_store
from spmdata.store.reader import Store, open_store
from spmdata.store.remote import locate
from spmdata.store.remote_lock import lock_of
from spmdata.verify.run import verify_store
from spmtrain.config import TrainConfig
from spmtrain.loop import fit
from store.cases import expected, tree, write_store

pytestmark = pytest.mark.slow
URL = "s3://bucket/a.zarr"
ROWS = 48


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Start a server with one bucket, and say where it is as a user would, in the environment."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }.items():
            patch.setenv(name, value)
        yield address
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Any]:
    """Return the file system with an empty bucket."""
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    files.mkdir("bucket")
    yield files
    files.rm("bucket", recursive=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what s3fs asks for: methods, and ``range`` for a `get_object` that wants a part."""
    import s3fs

    seen, call = Counter[str](), s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        part = kwargs.get("Range", "bytes=0-")
        seen["range" if part != "bytes=0-" else method] += 1
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return seen


def plan(path: Path | str) -> Plan:
    source = open_source("synthetic", rows=ROWS, size_hw=(64, 64))
    spec = TargetSpec.preset("paper", skeleton=source.skeleton, input_hw=(64, 64))
    return plan_store(source, spec, path, shard_rows=16)


def remote_tree(files: Any, folder: str = "bucket/a.zarr") -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): files.cat_file(name) for name in files.find(folder)}


def assert_reads(store: Store) -> None:
    for array in LAYOUT.arrays():
        np.testing.assert_array_equal(store.read(array.name, range(11)), expected(LAYOUT, array), array.name)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_prepare_verify_and_train(bucket: Any, tmp_path: Path, scheduler: str, calls: Counter[str]) -> None:
    summary = prepare_store(plan(URL), scheduler=scheduler, workers=2)
    assert (summary.shards_written, summary.totals.rows) == (3, ROWS)
    prepare_store(plan(tmp_path / "a.zarr"))
    on_disk = {name: data for name, data in tree(tmp_path / "a.zarr").items() if data is not None}
    assert remote_tree(bucket) == on_disk
    assert bucket.ls("bucket", detail=False) == ["bucket/a.zarr"]
    calls.clear()
    assert prepare_store(plan(URL)).shards_written == 0
    assert calls["put_object"] == 1  # the lock
    report = verify_store(URL, threads=2)
    assert report.ok
    assert report.to_json() == verify_store(tmp_path / "a.zarr", threads=2).to_json()
    config = TrainConfig(features=(16, 16, 16), steps=4, batch=8, threads=2, device="cpu")
    far = fit(URL, replace(config, out=str(tmp_path / "far")))
    assert far.losses == fit(tmp_path / "a.zarr", replace(config, out=str(tmp_path / "near"))).losses


def test_a_run_is_resumed(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(record: object, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_store(plan(URL), scheduler="sync", on_shard=stop)
    with pytest.raises(StoreError, match=r"is not finished: 2 of 3 shards are written; run the spm prepare command"):
        open_store(URL)
    assert prepare_store(plan(URL)).shards_written == 1
    assert len(open_store(URL)) == ROWS


def test_requests_are_counted(bucket: Any, calls: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(URL, LAYOUT)
    calls.clear()
    store = open_store(URL)
    assert calls == {"get_object": 1}
    monkeypatch.setattr(spmdata.store.remote_shard, "REQUEST_BYTES", 0)
    for row in (0, 2, 3):
        store.read("offsets", [row])
    assert calls == {"get_object": 1, "range": 4}  # an index and three rows
    store.read_ahead(["root_heatmap", "count", "ignore"], [0, 4])
    assert calls == {"get_object": 7, "range": 4}
    for name in ("root_heatmap", "count", "ignore"):
        store.read(name, range(8))
    assert calls == {"get_object": 7, "range": 4}
    assert_reads(store)


def test_forked_children_open_their_own_connection(bucket: Any) -> None:
    store = open_store(write_store(URL, LAYOUT))
    store.read("offsets", [0])
    assert in_child(lambda: assert_reads(store)) == 0
    assert_reads(store)


def test_a_lock_is_created_once(bucket: Any) -> None:
    with lock_of(locate(URL)):
        with pytest.raises(StoreError, match="is writing this store"):
            lock_of(locate(URL)).__enter__()
        with pytest.raises(FileExistsError):
            locate(f"{URL}.lock").write_bytes(b"", new=True)  # type: ignore[call-arg]
    assert bucket.ls("bucket", detail=False) == []


def test_an_emptied_object_is_damage(bucket: Any) -> None:
    store = open_store(write_store(URL, LAYOUT))
    bucket.pipe_file("bucket/a.zarr/offsets/c.0.0.0.0.0", b"")
    with pytest.raises(StoreError, match=r"offsets, shard 0 .* index is wrong"):
        store.read("offsets", [0])


def test_missing_bucket_and_store(bucket: Any) -> None:
    with pytest.raises(StoreError, match=r"^no such store: s3://none/a\.zarr: .*The specified bucket does not exist"):
        open_store("s3://none/a.zarr")
    with pytest.raises(RemoteError, match=r"^cannot write s3://none/a\.zarr.*bucket does not exist; create the bucket"):
        prepare_store(plan("s3://none/a.zarr"))
    with pytest.raises(StoreError, match=r"^no such store: s3://bucket/b\.zarr"):
        open_store("s3://bucket/b.zarr")


def test_wrong_and_missing_credentials(bucket: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    write_store(URL, LAYOUT)
    monkeypatch.setattr(s3fs.S3FileSystem, "cachable", False)  # else a client of before is used again
    _authenticate(endpoint, after=0)
    try:
        with pytest.raises(RemoteError, match=rf"^cannot read {URL}/zarr\.json: .*; check the credentials"):
            open_store(URL)
    finally:
        _authenticate(endpoint, after=10**9)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RemoteError, match=r"NoCredentialsError \(Unable to locate credentials\); check the cred"):
        open_store(URL)


def test_a_wrong_secret_and_a_key_that_may_only_read(
    bucket: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that the server knows: one line each, before anything is written."""
    import boto3
    import s3fs

    write_store(URL, LAYOUT)
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    monkeypatch.setattr(s3fs.S3FileSystem, "cachable", False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of somebody else")
    _authenticate(endpoint, after=0)
    try:
        with pytest.raises(RemoteError, match=rf"^cannot read {URL}/zarr\.json: .*signature.*; check the credentials"):
            open_store(URL)
        with pytest.raises(RemoteError, match=r"^cannot read .*b\.zarr\.lock: .*signature.*; check the credentials"):
            prepare_store(plan("s3://bucket/b.zarr"))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        assert len(open_store(URL)) == LAYOUT.rows
        with pytest.raises(RemoteError, match=r"^cannot write .*b\.zarr\.lock: Access Denied; check the credentials"):
            prepare_store(plan("s3://bucket/b.zarr"))
    finally:
        _authenticate(endpoint, after=10**9)
    assert bucket.ls("bucket", detail=False) == ["bucket/a.zarr"]


def _authenticate(endpoint: str, after: int) -> None:
    """Have moto look at keys, of which it knows none, from the request with that number on."""
    data, headers = str(after).encode(), {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data, headers)).close()


def test_nobody_listens(bucket: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3fs.S3FileSystem, "cachable", False)
    monkeypatch.setattr(spmdata.store.connection, "GIVE_UP_S", 0.0)
    with pytest.raises(RemoteError, match=rf"^cannot read {URL}/zarr\.json: EndpointConnectionError .* given up"):
        open_store(URL)


def test_http_reads_from_a_server_without_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    write_store(tmp_path / "a.zarr", LAYOUT)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.zarr"
        monkeypatch.setattr(spmdata.store.remote_shard, "REQUEST_BYTES", 0)
        store = open_store(url)
        assert_reads(store)
        assert check_store(url) == []
        with pytest.raises(RemoteError, match=r"cannot write .*a\.zarr.* stores at http:// and https:// are read-only"):
            lock_of(locate(url)).__enter__()
        with pytest.raises(StoreError, match=r"^no such store: .*/b\.zarr"):
            open_store(url.replace("a.zarr", "b.zarr"))
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
