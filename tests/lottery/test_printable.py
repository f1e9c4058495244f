"""Text of others is shown so that nothing obeys it, and otherwise as it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lottery.printable import escaped, escaped_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07"),
        ("right\rwrong", r"right\x0dwrong"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("gpj.\u202etac", r"gpj.\u202etac"),
        ("a\u2028b\U000e0041", r"a\u2028b\U000e0041"),
        ("caf\udce9.png", r"caf\udce9.png"),
        ("two\n\tlines, ä, 猫, 👩‍🔬, \\x1b and [bold]", "two\n\tlines, ä, 猫, 👩‍🔬, \\x1b and [bold]"),
    ],
)
def test_what_is_obeyed_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert escaped(shown) == shown
    shown.encode()


texts = st.text(st.characters() | st.sampled_from('\x1b\x07\x08\r\x0c\x9b\x7f\u202e\\"ubx01\n\t'))


@given(
    st.recursive(
        texts | st.none() | st.floats(allow_nan=False), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    )
)
def test_strings_in_json_are_escaped_alike(value: Any) -> None:
    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {escaped(name): plain(each) for name, each in item.items()}
        return (
            [plain(each) for each in item]
            if isinstance(item, list)
            else escaped(item)
            if isinstance(item, str)
            else item
        )

    assert json.loads(escaped_json(json.dumps(value, ensure_ascii=False))) == plain(value)
