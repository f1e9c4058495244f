"""Ray is gone, or did not start: how a run ends then, and what it says."""

GONE = 75
"""Exit code (EX_TEMPFAIL) when the cluster or the board is lost: running again goes on."""

GO_ON = "Finished stages are in the store: run the same command again to go on."


class RayLostError(Exception):
    """Ray did not start, or it is gone. The message is a sentence without its full stop."""


class BoardLostError(RayLostError):
    """The board actor died or cannot be reached."""


def first_line(error: BaseException) -> str:
    """Of what it says, without the full stop; Ray goes on with traces and logs."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
