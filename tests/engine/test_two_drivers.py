"""Two drivers at once on one store: both finish, nothing is broken, and little is done twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.engine.store import Store


def test_two_drivers_at_once_both_finish_with_the_same_results(
    start: Callable[..., Any],
    small: Any,
    tmp_path: Path,
    expected: dict[str, Any],
    results_of: Callable[[Path], dict[str, Any]],
    run_locally: Any,
) -> None:
    drivers = [start("--local") for _ in range(2)]
    outputs = [driver.communicate(timeout=600)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    store = tmp_path / "store"
    assert not [problem for problem in Store(str(store)).verify() if problem.severity == "error"]
    summary, _ = run_locally(small, store)  # alone: what both left to each other is collected
    assert summary.ran == 0
    assert results_of(store) == expected
    ran = [int(output.replace("1 stage run", "1 stages run").split(" stages run")[0].split()[-1]) for output in outputs]
    assert len(small.stages) <= sum(ran) < 1.5 * len(small.stages), outputs
