"""What the numbers of a paired test are numbers of."""

from pipeline.experiment.spec import Spec

SEED, CLASS_SPLIT = "seed", "class split"


def unit_of(spec: Spec) -> str:
    """`class split` where the classes of a data set are split anew for each seed (`split: {seed: each}`), or `seed`.

    The plural takes an s.
    """
    return CLASS_SPLIT if spec.differs_by_seed else SEED
