"""Lengths of training in epochs and iterations: "160ep", "500it", "10ep5it"."""

import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"(?:(?P<epochs>\d{1,9})ep)?(?:(?P<extra>\d{1,12})it)?")


@dataclass(frozen=True, slots=True)
class Steps:
    """A moment in training, or its length: whole epochs and further iterations."""

    epochs: int = 0
    extra: int = 0

    @classmethod
    def parse(cls, written: object) -> "Steps":
        """Read "10ep", "500it", "10ep5it" or a bare 0. Raises ValueError with what to write instead."""
        if isinstance(written, Steps):
            return written
        if isinstance(written, int) and not isinstance(written, bool):
            if written == 0:
                return cls()
            raise ValueError(f"needs a unit: write {written}ep for epochs or {written}it for iterations")
        match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if not match or not written:
            raise ValueError(f"should be a number of steps such as 10ep, 500it or 10ep5it, not {written!r}")
        return cls(int(match["epochs"] or 0), int(match["extra"] or 0))

    def iterations(self, per_epoch: int) -> int:
        """The same in iterations, where an epoch has `per_epoch` of them."""
        return self.epochs * per_epoch + self.extra

    def __str__(self) -> str:
        parts = (f"{self.epochs}ep" if self.epochs else "") + (f"{self.extra}it" if self.extra else "")
        return parts or "0it"
