"""`make chaos`: for ten minutes, runs of a real grid with random faults, and what is left of their results.

python tests/chaos [--minutes 10] [--seed N] [--keep FOLDER]

The seed is printed: the same one chooses the same faults, though not the very moment at which they hit. Every other
trial is without Ray. Ends with 1 if a result was lost or changed, a run is missing or double in MLflow, a process was
left, a run ended with an undocumented code or a stack trace, or a trial needed a person.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import outcome
from trial import Trial


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="start no trial after them")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--keep", type=Path, help="a folder that is left with the stores and logs of all trials")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="tickets-chaos-"))).absolute()
    until = time.monotonic() + 60 * options.minutes
    reference = Trial(folder / "undisturbed", "")
    reference.undisturbed()
    wanted = outcome.stages(reference.store), outcome.runs(reference.database)
    trials: list[Trial] = []
    while time.monotonic() < until:
        number = len(trials)
        trial = Trial(folder / f"trial-{number}", f"{options.seed}.{number}", local=number % 2 == 1)
        trial.play(wanted)
        trials.append(trial)
        print(f"trial {number}: {'; '.join(trial.story)}", *trial.problems, sep="\n  ", flush=True)
    wrong = sum(bool(trial.problems) for trial in trials)
    print(f"seed {options.seed}: {len(trials)} trials, {wrong} with problems")
    if options.keep is None and not wrong:
        shutil.rmtree(folder)
    elif wrong:
        print(f"stores and logs: {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
