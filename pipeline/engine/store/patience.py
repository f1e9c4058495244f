"""Requests to an object store that fail: tried again while the reason may pass, else named with what to do.

The one place that decides it. `opening` leaves pyarrow a single attempt at each request: its own retries come five
times a second for six seconds whatever the store asks for, and a store that takes requests and does not answer holds it
up for 31 times the read timeout (measured with 25.0).
"""

import logging
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a store which has answered before may be away: a restart, a lost network, a quota that refills."""
FIRST_PATIENCE = 15.0
"""The same for one that has not answered yet: its address may be wrong."""
TOLD_AFTER = 2.0
"""Seconds after which a person is told that the store is away."""
DELAYS = (0.1, 10.0)
"""Seconds, about, before the second attempt, and the most between two; each delay is twice the one before it."""

PASSING = {
    *("NETWORK_CONNECTION", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "THROTTLING", "REQUEST_TIMEOUT"),
    "NO_SUCH_UPLOAD",  # somebody cleared the parts of this attempt away: the next one sends them again
}
"""What the AWS SDK calls faults that may pass; refused connections, time-outs and broken bodies are the first."""
PASSING_STATUS = (408, 409, 429)
"""HTTP statuses of such faults, beside all from 500."""

CREDENTIALS = (
    "Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), from AWS_PROFILE and "
    "~/.aws, or from the machine's role, on each node alike"
)
ADVICE = {
    "ACCESS_DENIED": "Needed are s3:ListBucket on the bucket and, on what is in it, s3:GetObject, s3:PutObject and "
    f"s3:DeleteObject. {CREDENTIALS}",
    "INVALID_ACCESS_KEY_ID": f"The store does not know this access key. {CREDENTIALS}",
    "SIGNATURE_DOES_NOT_MATCH": f"The secret key does not belong to the access key. {CREDENTIALS}",
    "ExpiredToken": f"The session is over: fetch new credentials. {CREDENTIALS}",
    "REQUEST_TIME_TOO_SKEWED": "The clock of this machine is wrong: set it",
    "NO_SUCH_BUCKET": "There is no such bucket: make it, or correct --store (TICKETS_STORE)",
    "AuthorizationHeaderMalformed": "The bucket is in another region: name it with AWS_REGION or ?region=",
    "PermanentRedirect": "The bucket is in another region: name it with AWS_REGION or ?region=",
}
OTHERWISE = f"Check the bucket, its region (AWS_REGION), the clock and the credentials. {CREDENTIALS}"

_log = logging.getLogger(__name__)


class StoreError(OSError):
    """The store cannot be used; the message says which, why and what to do."""


class StoreRefusedError(StoreError):
    """It answers, and will not do it however often it is asked."""


class StoreAwayError(StoreError):
    """It has not answered for as long as it was waited for. What is finished is there; running again goes on."""

    exit_code = 75
    """Of a command that ends so: EX_TEMPFAIL."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What pyarrow tells of a request to S3 that failed."""

    name: str
    """In the words of the AWS SDK or, where it has none, of the store."""
    status: int | None
    """Of HTTP, where pyarrow tells it."""
    message: str

    @classmethod
    def of(cls, error: OSError) -> "Fault | None":
        """None for an error that is not of S3."""
        message = str(error).partition("\n")[0].rstrip(".: ")
        found = re.search(r"AWS Error (\[code \d+\]|\w+)(?: \(HTTP status (\d+)\))?", message)
        if found is None:
            return None
        own = re.search(r"Unable to parse ExceptionName: (\w+)", message)
        return cls(own[1] if own else found[1], int(found[2]) if found[2] else None, message)

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed later."""
        if self.status is not None:
            return self.status >= 500 or self.status in PASSING_STATUS
        return self.name in PASSING


class Patience:
    """Makes requests to one store. It may be called from several threads at once."""

    def __init__(self, store: str) -> None:
        """`store`: its address as it may be shown."""
        self._store = store
        self._answered = False
        self._announced = False
        self._away_since: float | None = None
        """When the first of the requests failed since the last one that was answered: one that has waited for the
        store in vain spares the next one the wait."""

    def __call__(self, request: Callable[[], T]) -> T:
        """What `request` returns, in the end. It may be done more than once.

        Raises StoreRefusedError, StoreAwayError, and whatever is no fault of S3 as it is.
        """
        failing_since = math.inf
        attempt = 0
        while True:
            try:
                result = request()
            except FileNotFoundError:
                self._answer()
                raise
            except OSError as error:
                fault = Fault.of(error)
                if fault is None:
                    raise
                if not fault.passes:
                    self._answer()
                    raise self._refused(fault) from error
                failing_since = min(failing_since, time.monotonic())
                self._wait(fault, failing_since, attempt)
                attempt += 1
            else:
                self._answer()
                return result

    def _answer(self) -> None:
        if self._announced:
            _log.warning("The store %s answers again.", self._store)
        self._answered, self._announced, self._away_since = True, False, None

    def _wait(self, fault: Fault, failing_since: float, attempt: int) -> None:
        """Sleep until the next attempt; raises StoreAwayError if it is time to give up."""
        if self._away_since is None:
            self._away_since = failing_since
        patience = PATIENCE if self._answered else FIRST_PATIENCE
        away = time.monotonic() - min(failing_since, self._away_since)
        if away >= patience:
            raise StoreAwayError(
                f"The store {self._store} has not answered for {away:.0f} s ({fault.message}). If its address is right "
                "(--store, AWS_ENDPOINT_URL_S3), see that it runs and can be reached from here"
            )
        if away >= TOLD_AFTER and not self._announced:
            self._announced = True
            _log.warning("The store %s does not answer; waiting for it (%s).", self._store, fault.message)
        # At random, so that lanes which lost the store together do not come back together.
        delay = min(DELAYS[1], DELAYS[0] * 2**attempt) * random.uniform(0.5, 1)
        time.sleep(min(delay, patience - away))

    def _refused(self, fault: Fault) -> StoreRefusedError:
        name = "ACCESS_DENIED" if fault.status in (401, 403) and fault.name == "UNKNOWN" else fault.name
        return StoreRefusedError(f"The store {self._store} refuses: {fault.message}. {ADVICE.get(name, OTHERWISE)}")
