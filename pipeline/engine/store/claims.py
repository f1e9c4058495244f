"""Who is working on what: advice that keeps two drivers from doing the same work. Correctness never depends on it."""

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.documents import read_sealed
from pipeline.engine.store.drivers import Drivers
from pipeline.engine.store.filesystem import StoreFolder


class Claims:
    """Those of a store."""

    def __init__(self, folder: StoreFolder, drivers: Drivers) -> None:
        self._folder, self._drivers = folder, drivers

    def claim(self, key: str, driver: str) -> bool:
        """Whether `driver` should work on the stage: it is free, its own, or its holder is gone.

        A driver without a heartbeat gets nothing: it was killed and retired by another, and this is a lane that
        outlived it.
        """
        if not self._drivers.is_present(driver):
            return False
        path = layout.claim(key)
        data = sealed.seal(path, {"driver": driver})
        if self._folder.create(path, data):
            return True
        holder = self._holder(key)
        if holder == driver:
            return True
        if holder is not None and not self._drivers.is_stale(holder, driver):
            return False
        self._folder.write(path, data, durable=False)
        return self._holder(key) == driver  # another driver may have taken over at the same moment

    def release(self, key: str, driver: str) -> None:
        """Give the claim back, if it is still the driver's; a damaged one is nobody's, and is removed."""
        if self._holder(key) in (driver, None):
            self._folder.delete(layout.claim(key))

    def retire(self, driver: str) -> None:
        """Remove the driver's claims and its heartbeat, and the heartbeats of drivers that were killed.

        Without a heartbeat a claim is void, as with an old one; a driver that was only stopped beats again.
        """
        for listed in self._folder.files("claims"):
            self.release(layout.stem(listed.path), driver)
        self._drivers.remove(driver)

    def _holder(self, key: str) -> str | None:
        content = read_sealed(self._folder, layout.claim(key))
        return content["driver"] if content else None
