"""Models by name, and how they are initialized. A new model is one file with a builder and one line in the registry."""

from pipeline.lottery.models.initialization import initialize, model_id
from pipeline.lottery.models.registry import BUILDERS, build, describe

__all__ = ["BUILDERS", "build", "describe", "initialize", "model_id"]
