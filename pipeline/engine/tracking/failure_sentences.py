"""What went wrong with MLflow, in one sentence: neither a server's page nor SQLAlchemy's statement."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.engine.addresses import shown
from pipeline.engine.tracking.access import refusal

READ = 4_000
"""Characters of an error that are looked at: a server may send a page of them."""
LONGEST = 300
"""Characters of a sentence."""
RAISED_BY = re.compile(r"^\((?:\w+\.)*\w+\) ")
"""How SQLAlchemy begins: `(sqlite3.OperationalError) `."""
CAUSED = re.compile(r"\(Caused by \w+\((.*)\)\)", re.DOTALL)
"""How urllib3 ends when no attempt was answered: `(Caused by NewConnectionError("...: Connection refused"))`."""
DAMAGED = ("malformed", "not a database")
ADVICE = {
    "database is locked": "another process holds it locked.",
    "disk is full": "its disk is full.",
    "readonly database": "it may not be written, or it has been deleted meanwhile.",
    "unable to open database file": "it cannot be opened: may this user write the file and its folder?",
    "disk i/o error": "its disk cannot be read or written.",
}
"""What SQLite says -> what it means."""
QUOTES = "'\""


def sentence(error: BaseException) -> str:
    """One line without credentials or control characters."""
    for cause in _causes(error):
        why = refusal(cause) or (f"there was {cause}." if _is_no_answer(cause) else None)
        if why is not None:
            return why
    text = RAISED_BY.sub("", str(error)[:READ])
    for said, meaning in ADVICE.items():
        if said in text.lower():
            return meaning
    if any(said in text.lower() for said in DAMAGED):
        return (
            f"the database is damaged ({_line(text)}). Move it away (`mv FILE FILE.damaged`): the next `tickets run` "
            "or `tickets sync` makes a new one, with everything that the store has."
        )
    if caused := CAUSED.search(text):
        return f"no request gets through: {_line(caused[1].rpartition('connection: ')[2]).strip(QUOTES)}."
    line = _line(text) or type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."


def is_no_answer(error: BaseException) -> bool:
    """Whether it is a server that has not answered in time, under whatever MLflow makes of that."""
    return any(_is_no_answer(cause) for cause in _causes(error))


def is_refusal(error: BaseException) -> bool:
    """Whether it is a server that does not let this user do it: trying again is in vain."""
    return any(refusal(cause) is not None for cause in _causes(error))


def _is_no_answer(error: BaseException) -> bool:
    return type(error).__name__ == "NoAnswer"  # by its name: importing it means importing requests


def _line(text: str) -> str:
    first = next((line for line in shown(text).splitlines() if line.strip()), "").strip()
    printable = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in first)
    return printable if len(printable) <= LONGEST else f"{printable[: LONGEST - 1]}…"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
