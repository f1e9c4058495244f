"""Whether results of one run come from hardware that does not give the same bits."""

from pipeline.engine.provenance import that_decides_bits
from pipeline.engine.store.records import Record


class HardwareSeen:
    """What the records so far were made with."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def add(self, record: Record | None) -> None:
        hardware = that_decides_bits(record.get("hardware", {}) if record else {})
        if hardware:
            self._kinds.add(", ".join(f"{name} {value}" for name, value in sorted(hardware.items())))

    def warning(self) -> str | None:
        """None as long as all of it is the same."""
        if len(self._kinds) < 2:
            return None
        return (
            "The results come from different hardware, on which the same key need not give the same bits: "
            + "; ".join(sorted(self._kinds))
        )
