"""Data sets as MLflow shows them."""

from typing import Any

import pytest

from pipeline.engine.tracking.data import DataSet
from pipeline.experiment.stages import make_stage


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
    fields = {"data": data, "input": (3, 32, 32), "classes": 10}
    stage = make_stage("train", fields, {}, label="", locations={"data": location})
    assert DataSet.of(stage).name == name
