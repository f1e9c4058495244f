"""What is in a stage's key, and what is not."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.grid import Grid
from pipeline.recipes.keys import canonical, key_of

Expand = Callable[..., Grid]

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
FIELDS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=5,
)


def shuffled(value: Any, draw: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(list(value))}
    return [shuffled(item, draw) for item in value] if isinstance(value, list) else value


@given(FIELDS, st.randoms())
def test_the_order_of_fields_does_not_matter(fields: dict[str, Any], random: Any) -> None:
    assert key_of(shuffled(fields, lambda keys: random.sample(keys, len(keys)))) == key_of(fields)


@given(FIELDS, FIELDS)
def test_different_fields_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (key_of(one) == key_of(other)) == (canonical(one) == canonical(other))


def keys(grid: Grid) -> set[str]:
    return set(grid.stages)


def test_defaults_written_out_change_no_key(expanded: Expand) -> None:
    same = expanded(
        ("{name: sgd, lr: 0.1}", "{name: sgd, lr: 1.0e-1, momentum: 0.9, weight_decay: 1e-4, nesterov: false}"),
        ("length: 10ep", "length: 120it\n  augment: {crop: 1, flip: false}\n  precision: fp32\n  record_every: 12it"),
        ("rounds: 3", "rounds: 3, scope: global, method: iterative, rewind: 0it, evaluate: [3, 2, 1]"),
        ("targets: same", "targets: same\nhead: auto\ndiagonal: share\nresources: {workers: 1}"),
    )
    assert keys(same) == keys(expanded())


def test_names_resources_and_retention_are_not_in_a_key(expanded: Expand) -> None:
    renamed = expanded(
        ("name: small", "name: renamed\ndescription: the same again"),
        ("- {dataset", "- {name: first, dataset"),
        ("targets: same", "targets: same\nretention: {chains: weights, evaluations: weights}"),
        ("seeds", "resources: {gpus_per_worker: 0.5, cpus_per_worker: 4}\nseeds"),
        ("[winning, random]", "[{name: won}, {name: lost, mask: permuted-globally}]"),
    )
    assert keys(renamed) == keys(expanded())
    assert {stage.shape.gpus_per_worker for stage in renamed.stages.values()} == {0.5}


def test_what_changes_results_changes_the_keys_it_should(expanded: Expand) -> None:
    plain = expanded()
    for old, new in [
        ("lr: 0.1", "lr: 0.2"),
        ("lr: 0.1", "lr: 0.1, momentum: 0"),
        ("length: 10ep", "length: 9ep"),
        ("length: 10ep", "length: 10ep\n  augment: none"),
        ("length: 10ep", "length: 10ep\n  precision: bf16"),
        ("length: 10ep", "length: 10ep\n  norm_batch: 16"),
        ("targets: same", "targets: same\nresources: {workers: 2}"),
        ("lenet-20-10", "lenet-20-11"),
    ]:
        assert not keys(plain) & keys(expanded((old, new))), new
    more = expanded(("rounds: 3", "rounds: 4"), ("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert keys(plain) < keys(more)


def test_a_data_split_is_the_classes_it_selects(expanded: Expand) -> None:
    split = expanded(("half: a", "split: {groups: 2, part: 0}"), ("half: b", "split: {groups: 2, part: 1}"))
    chosen = [
        stage.training.configuration.data.classes or () for stage in split.stages.values() if stage.kind == "train"
    ]
    parts = sorted(set(chosen))
    assert sorted(label for part in parts for label in part) == list(range(10))
    assert [len(part) for part in parts] == [5, 5]
    written = expanded(("half: a", f"classes: {list(parts[0])}"), ("half: b", f"classes: {list(parts[1])}"),
                       ("- {dataset", "- {name: x, dataset"))  # fmt: skip
    assert keys(written) == keys(split)
