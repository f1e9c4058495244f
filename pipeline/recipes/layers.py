"""Which layers a mask is over."""

from dataclasses import dataclass

from pipeline.recipes.fields import Keyed


@dataclass(frozen=True, slots=True)
class MaskedLayers(Keyed):
    """Parameters that a mask covers, and that are counted: by default all weights of convolutions and linear layers."""

    layers: tuple[str, ...] | None = None
    """Those of them that are pruned where others are left whole."""
    included: tuple[str, ...] = ()
    """Parameters of a user's model that are pruned though they are no such weights."""
    prunes_output: bool = False
    """Whether the output layer's are among them."""
