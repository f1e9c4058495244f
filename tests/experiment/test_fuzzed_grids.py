"""Thousands of damaged grids: nothing but UserError, with its place, comes out of loading and planning, and soon."""

import random
import re
import time
from pathlib import Path

import pytest

from pipeline.experiment.collections import open_work
from pipeline.experiment.errors import UserError

SEED = 20261130
SECONDS = 5.0
"""For all mutations together: on a slow machine they are fewer, the same from the first on."""
MUTATIONS = 5000
SLOWEST = 3.0
"""Processor seconds of one grid."""
GRIDS = Path(__file__).parents[2] / "experiments"
VALUES = [
    *["", "~", "null", "true", "yes", "[]", "{}", "[[]]", "{a: }", "{? [1] : 2}", "0", "-1", "1e999", ".nan", ".inf"],
    *["010", "0x1f", "1:30", "0,9", "9" * 30, "9" * 5000, "1e-400", "-0.0", "!!int ''", "!!float x", "!!bool maybe"],
    *["!!python/name:os.system", "!!set {a}", "!!binary aGk=", "*x", "&x [*x]", "&x {<<: *x}", "<<: 3", "'", '"\\x00"'],
    *[
        "'\\ud800'",
        "“smart”",
        "ＦＵＬＬ",
        "١٢",
        "\u202eright-to-left",
        "😀" * 50,
        "a\tb",
        "\t",
        "|\n  text",
        "2020-01-01",
    ],
    *["same", "all", "none", "winning", "../../etc/passwd", "nothere.py:Net", "{name: sgd, name: sgd}", "lenet-0"],
    *["lenet-99999999999", "vgg19-" + "9" * 400, "99999999999ep", "1ep1it", "it", "[1, 2, 3]", "100000", "{grid: {}}"],
    *["{name: digits, half: c}", "{name: images, path: .}", "{name: parquet, path: nothere}", "{0: 1}", "x" * 70_000],
    *[
        "{grid: {training.optimizer.lr: [0.1, 0.2]}}",
        "{name: lenet, hidden: []}",
        "1_000",
        "1_0",
        "on",
        "\\",
        "%",
        "@a",
    ],
]
LINES = [
    *[
        "<<: *nothing",
        "extends: nothere.yaml",
        "extends: [.]",
        "experiments: []",
        "? a",
        "---",
        "...",
        "%YAML 9.9",
        "!",
    ],
    *["seeds: 100000", "max_stages: 1", "max_stages: -1", "x-a: &a [1, 1]", "x-b: &b [*a, *a, *a]", "9:", "foo: null"],
    *["dense: repeated", "diagonal: retrain", "pairs: {only: [['*', '*']]}", "baselines: [{target: x}]", "model: xor"],
    *["analysis: {published: {of: x, tests: [{}]}}", "head: keep", "targets: [mnist]", "sources: [digits, digits]"],
    *["seeds: [0, 1, 2", "tickets: [{name: x, mask: permuted-globally, draws: 200}]", "name: a@b", "prune: {units: 1}"],
]
KEYS = [
    *["name", "sources", "sources.0.dataset", "sources.0.grid", "targets", "pairs.only", "tickets", "tickets.0.start"],
    *[
        "model",
        "model.arguments.x",
        "training.length",
        "training.lr_decay",
        "training.optimizer.lr",
        "training.augment",
    ],
    *["prune.rounds", "prune.rates", "prune.evaluate", "analysis.levels", "max_stages", "extends", "x-a", "a.b.c.d"],
]
BOMB = "".join(f"x-{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True))


def mutations(text: str, chance: random.Random) -> str:
    """`text` damaged once to four times, as hands, editors and enemies do."""
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 4])):
        lines = text.splitlines(keepends=True) or ["\n"]
        place = chance.randrange(len(lines))
        line = lines[place]
        damage = chance.randrange(15)
        if damage == 0:
            del lines[place]
        elif damage == 1:
            lines.insert(place, line)
        elif damage == 2:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], line
        elif damage in (3, 4, 5):
            lines[place] = re.sub(r":\s.*", lambda _: ": " + chance.choice(VALUES), line, count=1)
        elif damage in (6, 7, 8):
            scalars = list(re.finditer(r"[\w.@-]+", line))
            if scalars:
                found = chance.choice(scalars)
                lines[place] = line[: found.start()] + chance.choice(VALUES) + line[found.end() :]
        elif damage == 9:
            lines.insert(place, chance.choice(LINES) + "\n")
        elif damage == 10:
            lines[place] = chance.choice(["\t", "  ", "- ", "\x00", "\ufeff", "\x85", "\x1b[31m"]) + line
        elif damage == 11:
            at = chance.randrange(len(line))
            lines[place] = line[:at] + chance.choice("{}[],:&*?!|>'\"%@`#-\r\x07é") + line[at:]
        elif damage == 12:
            lines = [chance.choice(["\r\n", "\r", "\n\n"]).join(each.rstrip("\n") for each in lines)]
        elif damage == 13:
            depth = chance.choice([10, 60, 3000])
            lines.insert(
                place, chance.choice(["x-deep: " + "[" * depth + "]" * depth, "x-a: &a [1, 1]\n" + BOMB]) + "\n"
            )
        else:
            lines = lines[: place + 1]
        text = "".join(lines)
    return text


def small(text: str) -> str:
    """A grid with one seed and few rounds: as many mistakes to make, and planned in a moment."""
    text = re.sub(r"^seeds:.*", "seeds: [0]", text, flags=re.MULTILINE)
    return re.sub(r"rounds: \d+", "rounds: 2", re.sub(r", evaluate: \[[\d, ]*\]", "", text))


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grids of the project, small, each with what it extends where it looks for it."""
    folder = tmp_path_factory.mktemp("experiments")
    for file in sorted(GRIDS.rglob("*.yaml")):
        copy = folder / file.relative_to(GRIDS)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(small(file.read_text()))
    return folder


def test_nothing_but_a_users_error_with_its_place_comes_out_of_damaged_grids(grids: Path) -> None:
    texts = {file: file.read_text() for file in sorted(grids.rglob("*.yaml"))}
    chance, begin, slow, refused = random.Random(SEED), time.monotonic(), [], 0
    for number in range(MUTATIONS):
        if time.monotonic() - begin > SECONDS:
            break
        file = chance.choice(list(texts))
        text, mutant = mutations(texts[file], chance), file.parent / "mutant.yaml"
        mutant.write_bytes(text.encode("utf-8", "surrogatepass"))
        overrides = [f"{chance.choice(KEYS)}={chance.choice(VALUES)}"] if chance.random() < 0.2 else []
        started = time.process_time()
        try:
            open_work(mutant, overrides, data_root=grids)
        except UserError as error:
            refused += 1
            assert re.search(r"\.(yaml|py)\b|^--set ", str(error), re.MULTILINE), f"no place: {error}"
        except BaseException as error:
            raise AssertionError(f"mutation {number} of {file.name}, {overrides}:\n{text[:3000]}") from error
        if time.process_time() - started > SLOWEST:
            slow.append((number, file.name))
    assert not slow
    assert number > 50 and refused > number / 3
