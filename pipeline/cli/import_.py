"""`tickets import`: what `tickets archive` wrote becomes part of a store."""

from typing import Annotated

import typer

from pipeline.cli.options import STORE, StoreOption
from pipeline.lottery.counting import count_of


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `tickets archive` wrote: a path or a URI.")],
    store: StoreOption = STORE,
) -> None:
    """Add an archive to the store.

    Everything in it is checked before anything is written. What the store has already stays as it is.
    """
    from pipeline.engine.archive import adding, reading
    from pipeline.engine.archive.places import fetched
    from pipeline.engine.store import Store

    with fetched(file) as local, reading.opened(local) as archive:
        added = adding.add(archive, Store(store), print)
    manifest = archive.manifest
    print(
        f"{manifest.experiment}: {manifest.done} of {count_of(manifest.stages, 'stage')} in the archive, "
        f"{count_of(added.stages, 'stage')} and {count_of(added.outputs, 'output')} new to the store"
    )
    if added.differing:
        kept = count_of(len(added.differing), "stage")
        print(f"note: of {kept} the store has other results (of other hardware, perhaps): its own stay")
    if manifest.carried == "results":
        print("Results only: `tickets report` shows them; `tickets run` would train again what tickets need.")
    else:
        print(f"`tickets report {manifest.experiment}` shows it; `tickets run` of its grid goes on from there.")
