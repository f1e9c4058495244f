"""What every part of the spec has in common: immutable, unknown keys refused, errors that know their place."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic_core import PydanticCustomError

from pipeline.recipes.steps import Steps


def refuse(what: str, *at: str | int) -> PydanticCustomError:
    """An error at the key `at`, relative to the model that raises it."""
    return PydanticCustomError("refused", "{what}", {"what": what, "at": at})


class Strict(BaseModel):
    """A part of the spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def written_keys(cls) -> list[str]:
        """What an author may write here; some of it is dealt with before the spec is made."""
        return list(cls.model_fields)

    def in_short(self) -> dict[str, JsonValue]:
        """JSON values of its fields, but for numbers, switches and options at their default: names and choices stay."""
        fields = type(self).model_fields.items()
        usual = {name for name, field in fields if getattr(self, name) == field.default}
        return self.model_dump(
            mode="json", exclude={name for name in usual if not isinstance(getattr(self, name), str)}
        )


def named(raw: object) -> object:
    """A bare name as a mapping with that name."""
    return {"name": raw} if isinstance(raw, str) else raw


def _steps(raw: object) -> Steps:
    return Steps.parse(raw)


Int = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, gt=0, le=10**9)]
Flag = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A float that may be written as an int, never as text or as a truth value."""
Length = Annotated[Steps, BeforeValidator(_steps), PlainSerializer(str)]
SideName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=+-]*$", max_length=150)]
"""A name that is safe in file names and in results."""
