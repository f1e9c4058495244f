"""What is shown of an address has no credentials, and those that it has are noticed."""

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lottery.credentials import holds_secret, shown


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://AKIA:SECRET@bucket/a/b?region=x", "s3://bucket/a/b?region=x"),
        ("s3://AKIA:SEC/RET@bucket/a", "s3://bucket/a"),
        ("s3://bucket/a?region=x&secret_key=SECRET&scheme=http", "s3://bucket/a?region=x&scheme=http"),
        ("https://bucket.s3/k?X-Amz-Signature=SECRET&X-Amz-Date=3", "https://bucket.s3/k?X-Amz-Date=3"),
        ("abfs://container@account/p?sig=SECRET&sv=1", "abfs://account/p?sv=1"),
        ("postgresql://mlflow:SEC@RET@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql+psycopg2://host/db?user=u&password=SECRET", "postgresql+psycopg2://host/db?user=u"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3DSECRET", "mssql+pyodbc:///"),
        ("redis://:SECRET@host", "redis://host"),
        ("http://admin:SECRET@127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_secret_is_noticed_and_left_out(address: str, told: str) -> None:
    assert holds_secret(address)
    assert shown(address) == told
    message = f'The store {address!r} is away, {address} and "{address}"'
    assert shown(message) == f'The store {told!r} is away, {told} and "{told}"'


@pytest.mark.parametrize(
    "text",
    [
        "/folder/of@mine/a:b",
        "file:///a:b/c@d",
        "sqlite:////tmp/mlflow.db",
        "s3://bucket/a@b/c?region=x&scheme=http&endpoint_override=host:9000",
        "http://host:5000/a@b",
        "Nothing answers at http://127.0.0.1:8265, ask admin@example.org. Is it s3://bucket?",
        "Did it fail? token=1, password=2",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text
    assert not holds_secret(text)


def test_a_user_alone_is_no_secret_but_may_be_a_token_and_is_not_shown() -> None:
    assert not holds_secret("postgresql://mlflow@postgres/mlflow")
    assert shown("https://ghp_TOKEN@host/x") == "https://host/x"


words = st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1)


@given(words, words, st.sampled_from(["s3://{}:{}@bucket/x", "postgresql://{}:{}@h/d", "https://h/d?a={}&token={}"]))
def test_no_quoted_secret_is_shown(user: str, secret: str, form: str) -> None:
    marked = quote(f"SECRET{secret}", safe="")
    address = form.format(quote(user, safe=""), marked)
    assert "SECRET" not in shown(f"cannot open {address}: it's away").replace(quote(user, safe=""), "")
    assert holds_secret(address)


@pytest.mark.parametrize("unit", ["://:", "a://", "://a:b/", "://:1", "a:", "@", "://a@", "?token=", "?a=b&", "&?="])
@pytest.mark.parametrize("end", ["", "@"])
def test_megabytes_of_what_begins_like_an_address_are_filtered_in_no_time(unit: str, end: str) -> None:
    """Messages of others may be of any length. With quadratic patterns 30 kB of these took up to ten seconds."""
    text = "://" + unit * (2_000_000 // len(unit)) + end
    started = time.process_time()
    shown(text)
    holds_secret(text)
    assert time.process_time() - started < 5
