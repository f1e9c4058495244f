"""Published files that are missing: downloaded by torchvision, or said which, where, and how to get them."""

import tempfile
from pathlib import Path
from typing import Any

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.published_data import PUBLISHED


def complete(name: str, root: Path) -> None:
    """See to it that the files are there: the small sets are downloaded. Raises DataError.

    By way of a scratch folder two lanes may download at once, and neither reads what is half written.
    """
    published = PUBLISHED[name]
    missing = published.missing(root)
    if not missing:
        return
    lacking, failed = published.lacks(name, root), ""
    if published.downloads:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="download-", dir=root) as scratch:
                _download(name, Path(scratch))
                folder = root / published.folder
                folder.mkdir(parents=True, exist_ok=True)
                for file in missing:
                    (Path(scratch) / published.folder / file).replace(folder / file)
            return
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            failed = f"torchvision could not download it ({reason}).\n"
    raise DataError(
        f"{lacking}\n{failed}"
        f"Put the original files there, choose another data root with --data or TICKETS_DATA, or name a folder that "
        f"`tickets prepare {name} URI` made as `prepared: URI`. {published.how(root)}"
    )


def _download(name: str, scratch: Path) -> None:
    """All files of a set below a folder, laid out as below a data root."""
    # Imported here: torchvision takes a second.
    from torchvision import datasets

    dataset: Any = getattr(datasets, PUBLISHED[name].torchvision)
    if name == "svhn":
        for split in ("train", "test"):
            dataset(scratch / "svhn", split, download=True)
    else:
        dataset(scratch, download=True)
