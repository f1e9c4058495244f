"""What a stage reads of another stage."""

from dataclasses import dataclass

from pipeline.recipes.fields import Fields, Keyed


@dataclass(frozen=True, slots=True)
class Reference(Keyed):
    """An output of another stage, which is named by its key."""

    stage: str
    output: str

    def fields(self) -> Fields:
        # written out: a grid of 12,000 stages asks 30,000 times
        return {"stage": self.stage, "output": self.output}
