"""The class scores among what a model returns."""

from torch import Tensor, nn


class ClassScores(nn.Module):
    """A model without its auxiliary outputs: of a tuple, as some models return in training, the first is trained on.

    Several workers have to see it so, too: what only auxiliary outputs depend on has no gradient to wait for.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model(images)
        scores: Tensor = outputs[0] if isinstance(outputs, tuple | list) else outputs
        return scores
