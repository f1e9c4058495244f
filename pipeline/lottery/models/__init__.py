"""Models by name, and how they are initialized. A new model is one file, beside its recipe."""

from pipeline.lottery.models.initialization import initialize, model_id
from pipeline.lottery.models.registry import build, describe

__all__ = ["build", "describe", "initialize", "model_id"]
