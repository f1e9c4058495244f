"""What a stage reads of another stage."""

from dataclasses import dataclass

from pipeline.recipes.fields import Keyed


@dataclass(frozen=True, slots=True)
class Reference(Keyed):
    """An output of another stage, which is named by its key."""

    stage: str
    output: str
