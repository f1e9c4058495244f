"""What a store on S3 does with a request that fails: what may pass is tried again, anything else is named at once."""

import pickle
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.engine.store import Store, patience, store_uri
from pipeline.engine.store.patience import StoreAwayError, StoreRefusedError
from pipeline.experiment.errors import UserError

PASSING = ["500 InternalError", "502 BadGateway", "503 SlowDown", "503 ServiceUnavailable", "429 TooManyRequests"]
PASSING += ["reset", "truncate"]


@pytest.fixture
def store(s3: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(patience, "DELAYS", (0.01, 0.05))
    return Store(f"s3://tickets/{re.sub('[^a-z0-9]+', '-', request.node.name.lower())}")


def twice(fault: str, method: str) -> Callable[[str, str], str | None]:
    """The first two requests by `method` fail so."""
    left = [2]

    def decide(asked: str, path: str) -> str | None:
        if asked != method or left[0] == 0:
            return None
        left[0] -= 1
        return fault

    return decide


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(s3: Any, store: Store, fault: str) -> None:
    folder, data = store.folder, bytes(range(256)) * 40
    s3.proxy.fault = twice(fault, "PUT")
    folder.write("outputs/x", data)
    s3.proxy.fault = twice(fault, "GET")
    assert folder.read("outputs/x") == data
    s3.proxy.fault = twice(fault, "GET")
    assert [(file.path, file.size) for file in folder.files("outputs")] == [("outputs/x", len(data))]
    s3.proxy.fault = twice(fault, "HEAD")
    assert folder.stat("outputs/x") is not None
    s3.proxy.fault = twice(fault, "DELETE")
    folder.delete("outputs/x")
    assert folder.stat("outputs/x") is None
    assert folder.files("outputs") == []
    # Of an answer that has no body nothing is missing.
    assert len([fault for _, _, fault in s3.proxy.seen if fault]) == (7 if fault == "truncate" else 10)


def test_a_slow_upload_that_the_store_gave_up_is_sent_again(s3: Any, store: Store) -> None:
    s3.proxy.fault = twice("400 RequestTimeout", "PUT")
    store.folder.write("outputs/x", b"x")
    assert store.folder.read("outputs/x") == b"x"


def test_a_store_that_takes_requests_and_says_nothing_is_asked_again(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_uri, "_TIMEOUTS", {"connect_timeout": 1.0, "request_timeout": 1.0})
    folder = Store("s3://tickets/silent").folder
    folder.write("outputs/x", b"x")
    s3.proxy.fault = twice("stall", "GET")
    assert folder.read("outputs/x") == b"x"
    assert [fault for _, _, fault in s3.proxy.seen].count("stall") == 2


def test_attempts_come_less_and_less_often(s3: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(patience, "DELAYS", (0.1, 10.0))
    monkeypatch.setattr("pipeline.engine.store.patience.time.sleep", waits.append)
    left = [10]

    def busy(method: str, path: str) -> str | None:
        left[0] -= 1
        return "503 SlowDown" if left[0] >= 0 else None

    s3.proxy.fault = busy
    store.folder.files("done")
    assert len(waits) == 10 and all(
        0.05 * 2**number <= wait <= 0.1 * 2**number for number, wait in enumerate(waits[:7])
    )
    assert all(5 <= wait <= 10 for wait in waits[7:])


def test_an_upload_that_breaks_off_shows_nothing(s3: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    parts: list[str] = []

    def second_part(method: str, path: str) -> str | None:
        parts.extend([path] if "partNumber=2" in path else [])
        return "reset" if "partNumber=2" in path else None

    s3.proxy.fault = second_part
    with pytest.raises(StoreAwayError):
        store.folder.write("outputs/large", bytes(12_000_000))
    assert len(parts) > 1
    s3.proxy.fault = lambda method, path: None
    assert store.folder.files("outputs") == []


def test_small_files_are_one_request_and_large_ones_are_read_by_two(s3: Any, store: Store) -> None:
    s3.proxy.seen.clear()
    store.folder.write("outputs/small", b"x" * 1000)
    assert [method for method, _, _ in s3.proxy.seen] == ["PUT"]
    store.folder.write("outputs/large", bytes(3_000_000))
    s3.proxy.seen.clear()
    assert len(store.folder.read("outputs/large")) == 3_000_000
    assert [method for method, _, _ in s3.proxy.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("changes", "bucket", "parts"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "hunter2hunter2"}, "tickets", ["SIGNATURE_DOES_NOT_MATCH", "AWS_SECRET_ACCESS_KEY"]),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "tickets", ["does not know this access key", "AWS_ACCESS_KEY_ID"]),
        ({"AWS_ACCESS_KEY_ID": ""}, "tickets", ["ACCESS_DENIED", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]),
        ({}, "of-others", ["ACCESS_DENIED", "s3:ListBucket", "s3:PutObject"]),
        ({}, "not-there", ["no such bucket", "--store"]),
    ],
)
def test_what_does_not_pass_is_named_at_once(
    s3: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], bucket: str, parts: list[str]
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(UserError) as told:
        Store(f"s3://{bucket}/store")
    assert [part for part in parts if part not in str(told.value)] == []
    assert len(s3.proxy.seen) <= 2, "nothing is tried again"
    assert s3.secret not in str(told.value) and "hunter2" not in str(told.value)


def test_a_bucket_that_is_not_there_is_named_to_those_who_may_not_list_it(s3: Any) -> None:
    s3.proxy.fault = lambda method, path: "404 NoSuchBucket"
    with pytest.raises(UserError, match="there is no bucket 'tickets'"):
        Store("s3://tickets/store")


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ("403 AccessDenied", "s3:PutObject"),
        ("400 ExpiredToken", "fetch new credentials"),
        ("403 RequestTimeTooSkewed", "clock"),
        ("301 PermanentRedirect", "AWS_REGION"),
        ("404 NoSuchBucket", "no such bucket"),
    ],
)
def test_a_store_that_begins_to_refuse_is_not_asked_twice(s3: Any, store: Store, fault: str, part: str) -> None:
    s3.proxy.fault = lambda method, path: fault
    s3.proxy.seen.clear()
    with pytest.raises(StoreRefusedError, match=part) as told:
        store.folder.write("documents/x.json", b"x")
    assert len(s3.proxy.seen) == 1
    assert isinstance(pickle.loads(pickle.dumps(told.value)), StoreRefusedError), "it comes whole from a lane"


def test_an_address_where_nobody_answers_is_named_soon(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PATIENCE", 0.5)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StoreAwayError, match=r"has not answered for .*AWS_ENDPOINT_URL_S3"):
        Store("s3://tickets/store")


def test_who_waited_in_vain_spares_the_others_the_wait(s3: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    store.folder.write("documents/x.json", b"x")
    s3.proxy.fault = lambda method, path: "503 SlowDown"
    with pytest.raises(StoreAwayError, match="has not answered for 1 s"):
        store.folder.read("documents/x.json")
    began = time.monotonic()
    with pytest.raises(StoreAwayError):
        store.folder.read("documents/x.json")
    assert time.monotonic() - began < 0.5
    s3.proxy.fault = lambda method, path: None
    assert store.folder.read("documents/x.json") == b"x"
    monkeypatch.setattr(patience, "PATIENCE", 60.0)
    s3.proxy.fault = twice("503 SlowDown", "HEAD")
    assert store.folder.read("documents/x.json") == b"x", "once it is back it is waited for again"


def test_one_object_that_never_comes_does_not_wait_on_others_that_do(
    s3: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    for name in ("good", "bad"):
        store.folder.write(f"outputs/{name}", b"x")
    s3.proxy.fault = lambda method, path: "500 InternalError" if path.endswith("bad") else None
    ended = threading.Event()

    def others() -> None:
        while not ended.is_set():
            store.folder.read("outputs/good")

    thread = threading.Thread(target=others, daemon=True)
    thread.start()
    try:
        with pytest.raises(StoreAwayError):
            store.folder.read("outputs/bad")
    finally:
        ended.set()
        thread.join()


def test_the_address_may_say_all_but_the_credentials(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_REGION")
    uri = f"s3://tickets/by-address?endpoint_override=127.0.0.1:{s3.proxy.port}&scheme=http&region=us-east-1"
    Store(uri).documents.write("x", {"y": 1})
    assert pickle.loads(pickle.dumps(Store(uri))).documents.read("x") == {"y": 1}
