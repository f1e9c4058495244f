"""What commands take on a store of many stages, in a folder or on an S3 server of this machine.

python tests/benchmarks/large_store.py [seeds] [--s3]

Seconds, memory, requests. Of the quickstart one seed is trained; the records of all other seeds are made of the first
one's, with fields and keys of their own. 303 seeds are 20,000 stages, 1,515 are 100,000.
"""

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.experiments import remember
from pipeline.engine.store import Store, layout, records
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.records import Record
from pipeline.experiment.grid import Grid, expand
from pipeline.experiment.loading import load

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"


class Unheard:
    """A listener that tells nobody."""

    def planned(self, *arguments: object) -> None: ...
    def followed(self, *arguments: object) -> None: ...
    def said(self, *arguments: object) -> None: ...


class UnsyncedFolder(LocalFolder):
    """Filling the store is not what is measured."""

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        super().write(path, data, durable=False)


def grid_of(seeds: int) -> Grid:
    return expand(load(QUICKSTART, [f"seeds={seeds}", "max_stages=1000000"]), "data")


def fill(store: Store, seeds: int, trained: Store) -> Grid:
    """Records and outputs of all seeds, copied from the one in `trained`."""
    grid = grid_of(seeds)
    first = list(grid_of(1).stages)
    known = [trained.record(key) for key in first]
    payloads = [
        {name: trained.read(key, name) for name, entry in record["outputs"].items() if "path" in entry}
        for key, record in zip(first, known, strict=True)
        if record is not None
    ]
    for place, (key, stage) in enumerate(grid.stages.items()):
        like = known[place % len(first)]
        assert like is not None
        outputs = {
            name: store.put_output(key, name, data, like["outputs"][name]["path"].rpartition(".")[2])
            for name, data in payloads[place % len(first)].items()
        }
        record: Record = {
            **like,
            "key": key,
            "fields": stage.recipe.fields(),
            "outputs": {**like["outputs"], **outputs},
        }
        store.folder.write(layout.record(key), records.encode(record))
    remember(store, grid)
    return grid


def measured(*arguments: str, folder: Path, environment: dict[str, str]) -> tuple[float, float, int, str]:
    """Seconds, peak memory in MB, exit code and output of a command in a process of its own."""
    watched = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.cli import main\ntry:\n main()\nfinally:\n "
        "print(Path('/proc/self/status').read_text(), file=sys.stderr)"
    )
    started = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", watched, *arguments], cwd=folder, env=environment, text=True, capture_output=True
    )
    seconds = time.perf_counter() - started
    peak = re.findall(r"VmHWM:\s+(\d+) kB", said.stderr)
    return seconds, int(peak[-1]) / 1000, said.returncode, said.stdout + said.stderr


def commands(seeds: int) -> dict[str, list[str]]:
    grid = [str(QUICKSTART), "--set", f"seeds={seeds}", "--set", "max_stages=1000000"]
    return {
        "plan": ["plan", *grid],
        "plan --why, another learning rate": ["plan", *grid, "--set", "training.optimizer.lr=0.05", "--why"],
        "status": ["status", *grid],
        "du": ["du"],
        "gc": ["gc"],
        "gc --budget, half": ["gc", "--budget", "1MB"],
        "verify": ["verify"],
        "report": ["report", "quickstart"],
        "archive": ["archive", "quickstart", "quickstart.zip"],
    }


def counting_server(requests: list[str]) -> tuple[str, Callable[[str, bytes], object]]:
    """The address of an S3 server in this process, and what puts an object into it without a request."""
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)

    def counted(environ: Any, start_response: Any) -> Iterable[bytes]:
        requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        answer: Iterable[bytes] = application(environ, start_response)
        return answer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, counted, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    backend = get_backend("s3")["123456789012"]["aws"]
    backend.create_bucket("tickets", "us-east-1")
    return f"http://127.0.0.1:{server.server_port}", lambda path, data: backend.put_object("tickets", path, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=303)
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = Store(folder / "trained")
        run(grid_of(1), RunOptions(str(folder / "trained"), Path("data"), local=True), Unheard())
        store = Store(folder / "store")
        store.folder = UnsyncedFolder(folder / "store")
        grid = fill(store, options.seeds, trained)
        for file in (folder / "store" / "done").iterdir():
            os.utime(file, (1e9, 1e9))
        store.compact(always=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": "none"}
        environment["TICKETS_STORE"] = str(folder / "store")
        requests: list[str] = []
        if options.s3:
            address, put = counting_server(requests)
            for file in sorted((folder / "store").rglob("*")):
                if file.is_file():
                    put(f"store/{file.relative_to(folder / 'store')}", file.read_bytes())
            environment |= {
                "TICKETS_STORE": "s3://tickets/store",
                "AWS_ENDPOINT_URL_S3": address,
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            os.environ |= {name: value for name, value in environment.items() if name.startswith("AWS_")}
            time.sleep(3)  # records that are younger than two seconds are not indexed
            Store("s3://tickets/store").compact(always=True)
        size = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
        print(f"{len(grid.stages):,} stages, {size / 1e6:.0f} MB, {'S3' if options.s3 else 'a folder'}")
        for what, command in commands(options.seeds).items():
            if options.only and options.only not in what:
                continue
            requests.clear()
            seconds, peak, code, said = measured(*command, folder=folder, environment=environment)
            counts = ""
            if options.s3:
                methods = Counter(each.partition(" ")[0] for each in requests)
                counts = f"{len(requests)} requests {dict(methods)}, {len(requests) - len(set(requests))} repeated"
            print(f"{what:36} {seconds:7.1f} s {peak:7.0f} MB  {code} {counts}", flush=True)
            if code not in (0, 1):
                print(said[-2000:])


if __name__ == "__main__":
    main()
