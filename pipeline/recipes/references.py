"""What a stage reads of another stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import made


@dataclass(frozen=True, slots=True)
class Reference:
    """An output of another stage, which is named by its key."""

    stage: str
    output: str

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Reference":
        return made(cls, fields, "A reference")

    def fields(self) -> dict[str, str]:
        return {"stage": self.stage, "output": self.output}
