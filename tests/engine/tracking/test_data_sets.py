"""Data sets as MLflow shows them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.tracking.data_sets import DataSet, inputs_of
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.stages import make_stage
from pipeline.recipes import datasets
from pipeline.recipes.configuration import Configuration
from pipeline.recipes.models import Linear
from pipeline.recipes.optimizers import SGD
from pipeline.recipes.schedule import Schedule
from pipeline.recipes.training import Train


@pytest.mark.parametrize(
    ("data", "location", "name"),
    [
        ({"name": "parquet", "half": "a"}, "s3://KEY:SECRET@bucket?region=x", "bucket, half a"),
        ({"name": "images"}, "/data/pets", "pets"),
        ({"name": "user", "function": "mine"}, "/home/me/my_data.py", "mine"),
        ({"name": "cifar10", "half": "b"}, "s3://KEY:SECRET@bucket/shards", "cifar10, half b"),
    ],
)
def test_a_data_set_has_the_name_of_its_place_only_where_it_has_no_other(
    data: dict[str, Any], location: str, name: str
) -> None:
    chosen, schedule = datasets.DataSet.from_fields(data), Schedule(8, iterations=1, record_every=1)
    configuration = Configuration(Linear(), (3, 32, 32), 10, chosen, SGD(0.1), schedule)
    stage = make_stage(Train(configuration, seed=0, round=0), label="", locations={"data": location})
    assert DataSet.of(stage).name == name


def test_a_seed_that_splits_the_classes_its_own_way_has_data_sets_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "name: g\nmodel: lenet-5\nseeds: 2\ntraining: {length: 1ep}\nprune: {rounds: 1}\n"
        "sources: [{name: one, dataset: {name: digits, split: {seed: each}}}]\n"
        "targets: [{name: two, dataset: {name: digits, split: {seed: each, part: 1}}}]\n"
    )
    inputs = inputs_of(expand(load(file), tmp_path))
    first, second = ([data.name for data in inputs["one", "two", seed]] for seed in (0, 1))
    assert first == ["digits, classes 1-5", "digits, classes 0 6-9"]
    assert second == ["digits, classes 2 5-8", "digits, classes 0-1 3-4 9"]
    assert [data.context for data in inputs["any", "two", 0]] == ["target"]
