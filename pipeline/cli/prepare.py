"""`tickets prepare`: a data set as Parquet shards, for machines that stream it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import DATA, DataOption, refuse_secrets
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.experiment.catalogue import AnyDataset
    from pipeline.recipes.datasets import DataSet

FOLDERS = ("images", "parquet")


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="A name, images:PATH, parquet:PATH, or as in a grid: '{name: ..., resize: 256}'."
        ),
    ],
    uri: Annotated[str, typer.Argument(metavar="URI", help="Folder or URI (s3://, gs://) that the shards go to.")],
    data: DataOption = DATA,
    shard_size: Annotated[
        float, typer.Option("--shard-size", min=0.001, help="About how large a shard is, in MB.")
    ] = 100.0,
) -> None:
    """Write a data set as Parquet shards of encoded images.

    Killed, it goes on when given again. Given again at the end, it checks every shard and makes damaged ones anew.
    """
    from pipeline.engine.addresses import shown
    from pipeline.experiment.catalogue import content
    from pipeline.lottery.locations import folder_at
    from pipeline.recipes.errors import UnfitError

    for what, given in (("DATASET", dataset), ("URI", uri)):
        refuse_secrets(what, given, "Leave them out:")
    described = _described(dataset)
    if described.square is not None and described.crop is not None:
        raise UserError(
            f"{dataset}: leave `crop` out. Of {described.name} the whole squares are written, with the side `resize`; "
            "a training crops them itself, at random or in the middle."
        )
    folder = folder_at(uri, Path.cwd())
    try:
        chosen, location = content(described, data)
    except UnfitError as error:
        raise UserError(f"{shown(dataset)}: {': '.join([*map(str, error.at), error.what])}") from None

    from pipeline.lottery.data import DataError
    from pipeline.lottery.data.preparing import prepare as write
    from pipeline.lottery.plugins import PluginError

    try:
        manifest = write(chosen, data, location, folder, round(shard_size * 1e6), print)
    except (DataError, PluginError) as error:
        raise UserError(str(error)) from error
    size = sum(shard.bytes for shard in manifest.shards) / 1e6
    print(
        f"{folder}: {sum(manifest.train):,} training and {count_of(sum(manifest.test), 'test image')} in "
        f"{count_of(len(manifest.shards), 'shard')}, {size:,.1f} MB, all whole"
    )
    print(f"in a grid: dataset: {_use(chosen, str(folder))}")
    if not _whole(chosen) and (augment := described.facts(data).augment.fields()):
        # A folder of Parquet files has no default of its own.
        options = ", ".join(f"{name}: {str(value).lower()}" for name, value in augment.items())
        print(f"and, to train on it as on {described.name}: training: {{augment: {{{options}}}}}")


def _described(text: str) -> "AnyDataset":
    """The data set that `text` writes. Raises UserError."""
    import yaml
    from pydantic import TypeAdapter, ValidationError

    from pipeline.experiment.catalogue import AnyDataset

    kind, _, path = text.partition(":")
    try:
        written: Any = {"name": kind, "path": path} if kind in FOLDERS else yaml.safe_load(text)
        adapter: TypeAdapter[AnyDataset] = TypeAdapter(AnyDataset)
        return adapter.validate_python(written)
    except yaml.YAMLError as error:
        raise UserError(f"{text}: not valid YAML. Write it as '{{name: images, path: folder}}'.") from error
    except ValidationError as error:
        raise UserError(f"{text}: {'; '.join(_sentence(each) for each in error.errors(include_url=False))}") from None


def _sentence(mistake: Any) -> str:
    """What pydantic found wrong."""
    from pipeline.experiment.suggestions import did_you_mean

    context = mistake.get("ctx", {})
    if mistake["type"] == "union_tag_invalid":
        names = re.findall(r"'([^']*)'", context["expected_tags"])
        return f"there is no data set {context['tag']!r}.{did_you_mean(context['tag'], names)}"
    at = ".".join(map(str, mistake["loc"]))
    return f"{at}: {mistake['msg']}" if at else str(mistake["msg"])


def _use(chosen: "DataSet", place: str) -> str:
    """How a grid names what was prepared."""
    known = f"name: {chosen.name}, prepared" if _whole(chosen) else "name: parquet, path"
    return f"{{{known}: {place!r}}}"


def _whole(chosen: "DataSet") -> bool:
    """Whether it is all of a named set, which keeps its name."""
    from pipeline.lottery.published_data import PUBLISHED

    return chosen.fields().keys() == {"name"} and chosen.name in PUBLISHED
