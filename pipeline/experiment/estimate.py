"""How long a plan will take: from trainings that were timed, or from a throughput that was measured."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pipeline.experiment.grid import Work
from pipeline.experiment.planning import Plan
from pipeline.experiment.stages import Stage
from pipeline.recipes.keys import canonical

SIDE = 32
"""Pixels: throughput is in images of 32x32, and other images count by their area, as convolutions do."""
SPEED = ("model", "input", "batch_size", "precision", "channels_last", "compile", "norm_batch", "world_size")
"""Fields of a training that decide how long an iteration takes, besides where the images come from."""


@dataclass(frozen=True)
class Basis:
    """What an estimate of some trainings rests on."""

    model: str
    data: str
    device: str
    trainings: int
    source: str | None
    """In words; None where nothing is known of their time."""


@dataclass(frozen=True)
class Estimate:
    seconds: float
    """Of work, on one lane."""
    longest_chain: float
    """Seconds that no number of lanes can save."""
    gpu_seconds: float
    """Of GPUs that are held; half a GPU for two seconds is one."""
    bases: tuple[Basis, ...]

    @property
    def unknown(self) -> int:
        """Trainings of a kind that was never timed; they are not in the sums."""
        return sum(basis.trainings for basis in self.bases if basis.source is None)


@dataclass
class Timed:
    """Trainings that were timed."""

    seconds: list[float] = field(default_factory=list)
    """An iteration of each."""
    data: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)

    @property
    def where(self) -> str:
        return ", ".join(sorted(self.devices))


@dataclass(frozen=True)
class Rates:
    """What is known of the time of an iteration.

    `timed`: by speed, class of hardware and data set, and without the data set, which serves others that are like it.
    `throughput`: images of 32x32 a second on one device, by the name of the model, or by "" for every model.
    """

    timed: Mapping[str, Timed] = field(default_factory=dict)
    throughput: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, object]], throughput: Mapping[str, float] | None = None) -> "Rates":
        """From the records of train stages that ran; those of a processor say nothing of a GPU, nor the other way."""
        timed: dict[str, Timed] = defaultdict(Timed)
        for each in records:
            record: Any = each  # JSON of a store
            fields, hardware = record["fields"], record.get("hardware", {})
            iterations = record.get("timed_iterations", record.get("iterations"))
            if fields["kind"] == "train" and iterations:
                share = record.get("gpus_per_worker", 0.0)
                on_gpu = share > 0
                for group in _groups(fields, share):
                    timed[group].seconds.append(record["seconds"] / iterations)
                    timed[group].data.add(fields["data"]["name"])
                    timed[group].devices.add(hardware.get("gpu" if on_gpu else "cpu", "this kind of hardware"))
        return cls(timed, throughput or {})

    def iteration(self, stage: Stage) -> tuple[float, str | None]:
        """Seconds of an iteration of a training and what says so; (0, None) where nothing does."""
        configuration, on_gpu = stage.training.configuration, stage.shape.gpus_per_worker > 0
        same, alike = (self.timed.get(group) for group in _groups(configuration.fields(), stage.shape.gpus_per_worker))
        if same:
            return median(same.seconds), f"trainings of their own kind on {same.where}"
        if alike:
            return median(alike.seconds), f"trainings on {', '.join(sorted(alike.data))} on {alike.where}"
        rate = self.throughput.get(configuration.model.name, self.throughput.get(""))
        if rate is None:
            return 0.0, None
        _, height, width = configuration.input
        images = configuration.schedule.batch_size * height * width / SIDE**2
        devices = stage.shape.workers * (stage.shape.gpus_per_worker if on_gpu else 1)
        return images / (rate * devices), f"{rate:,.10g} images of {SIDE}x{SIDE} a second of a {_device(on_gpu)}"


def estimate(work: Work, plan: Plan, rates: Rates) -> Estimate:
    """Seconds for what `plan` runs; pruning counts as nothing beside training."""
    paths: dict[str, float] = {}
    total, on_gpus = 0.0, 0.0
    kinds: dict[int, tuple[float, str | None, tuple[str, str, str]]] = {}
    counts: Counter[tuple[tuple[str, str, str], str | None]] = Counter()
    for key in plan.to_run:
        stage = work.stages[key]
        own = 0.0
        if stage.kind == "train":
            # stages of one side share its configuration: its identity spares the JSON of 20,000 stages
            same = id(stage.training.configuration)
            if same not in kinds:
                kinds[same] = (*rates.iteration(stage), _named(stage))
            rate, source, what = kinds[same]
            counts[what, source] += 1
            own = stage.iterations * rate
            on_gpus += own * stage.shape.workers * stage.shape.gpus_per_worker
        total += own
        paths[key] = own + max((paths.get(read.stage, 0.0) for read in stage.inputs.values()), default=0.0)
    bases = tuple(Basis(*what, count, source) for (what, source), count in counts.items())
    return Estimate(total, max(paths.values(), default=0.0), on_gpus, bases)


def _groups(fields: Mapping[str, Any], share: float) -> tuple[str, str]:
    """Trainings that take as long on the same `share` of a GPU (0: a processor): on the same data set, and on any."""
    speed = [share, {name: fields[name] for name in SPEED if name in fields}]
    return canonical([speed, fields["data"]]), canonical(speed)


def _named(stage: Stage) -> tuple[str, str, str]:
    """Model, data set with the size of its images where that is not the usual one, and device."""
    configuration = stage.training.configuration
    model, (_, height, width) = configuration.model.fields(), configuration.input
    narrow = f" of width {model['width']}" if "width" in model else ""
    size = "" if height == width == SIDE else f" ({height}x{width})"
    device = _device(stage.shape.gpus_per_worker > 0)
    return f"{model['name']}{narrow}", f"{configuration.data.name}{size}", device


def _device(on_gpu: bool) -> str:
    return "GPU" if on_gpu else "CPU"
