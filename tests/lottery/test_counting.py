"""One stage, two stages."""

from pipeline.lottery.counting import count_of


def test_a_count_has_its_noun_in_singular_or_plural() -> None:
    assert [count_of(count, "stage") for count in (0, 1, 2, 2400)] == [
        "0 stages",
        "1 stage",
        "2 stages",
        "2,400 stages",
    ]
    assert [count_of(count, "is", "are") for count in (1, 2)] == ["1 is", "2 are"]
    assert [count_of(count, "CPU") for count in (0.5, 1.0, 4.0)] == ["0.5 CPUs", "1 CPU", "4 CPUs"]
