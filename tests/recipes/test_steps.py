"""Lengths in epochs and iterations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes.steps import Steps


@pytest.mark.parametrize(
    ("written", "iterations"), [("10ep", 230), ("500it", 500), ("10ep5it", 235), ("0it", 0), (0, 0), ("0ep", 0)]
)
def test_iterations_of_a_data_set_with_23_an_epoch(written: object, iterations: int) -> None:
    assert Steps.parse(written).iterations(23) == iterations


@pytest.mark.parametrize(
    "written", ["", "10", "ep", "5it10ep", "-1ep", "1.5ep", "10 ep", None, True, 1.0, "9" * 30 + "it"]
)
def test_what_is_no_length_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="10ep"):
        Steps.parse(written)


def test_a_bare_number_needs_a_unit() -> None:
    with pytest.raises(ValueError, match="write 160ep for epochs or 160it for iterations"):
        Steps.parse(160)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_written_and_read_again_it_is_the_same(epochs: int, extra: int) -> None:
    assert Steps.parse(str(Steps(epochs, extra))) == Steps(epochs, extra)
