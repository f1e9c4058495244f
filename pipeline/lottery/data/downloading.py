"""Published files that are missing: downloaded by torchvision, or said which, where, and how to get them."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.published_data import PUBLISHED


def complete(name: str, root: Path, download: Callable[[Path], object] | None = None) -> None:
    """See to it that the files are there: `download(scratch)` gets them below a scratch folder.

    By way of that folder two lanes may download at once, and neither reads what is half written. Raises DataError.
    """
    published = PUBLISHED[name]
    missing = published.missing(root)
    if not missing:
        return
    failed = ""
    if download is not None:
        try:
            folder = root / published.folder
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="download-", dir=root) as scratch:
                download(Path(scratch))
                for file in missing:
                    (Path(scratch) / published.folder / file).replace(folder / file)
            return
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            failed = f"torchvision could not download it ({reason}).\n"
    raise DataError(
        f"{name} is not complete in {root / published.folder}: missing {', '.join(missing)}.\n{failed}"
        f"Put the original files there, choose another data root with --data or TICKETS_DATA, or name a folder that "
        f"`tickets prepare {name} URI` made as `prepared: URI`. {published.how(root)}"
    )
