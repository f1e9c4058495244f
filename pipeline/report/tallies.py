"""In how many transfers something is shown, in words: what no transfer has is not said."""

import pandas as pd

from pipeline.lottery.counting import count_of
from pipeline.report.analysis.paired_tests import SIGNIFICANT
from pipeline.report.wording import listed, margin_points


def tally(rows: pd.DataFrame, against: str) -> str:
    """`above random ones in 3 of 4 transfers ...`: what the tests of one family say of these rows."""
    tested = rows[rows["remark"] == ""]
    if tested.empty:
        return f"not tested against {against} ({reasons(rows)})"
    real = tested[tested["p_holm"] < SIGNIFICANT]
    above = int((real["difference"] > 0).sum())
    counts = {
        "above": above,
        "below": len(real) - above,
        "not shown to differ from": len(tested) - len(real),
        "not tested against": len(rows) - len(tested),
    }
    clauses: list[str] = []
    for words, count in counts.items():
        if count:
            place = in_transfers(count, len(rows), whole=not clauses)
            clauses.append(f"{words} {'them' if clauses else against} {place}")
    if len(tested) < len(rows):
        clauses[-1] += f" ({reasons(rows)})"
    tests = count_of(int(rows["tests"].iloc[0]), "test")
    return f"{listed(clauses)} (paired t-tests, p < {SIGNIFICANT:g}, Holm-corrected over {tests})"


def equivalence(own: pd.DataFrame) -> str:
    """Where equivalence with the target's own tickets is shown, and where nothing is; each where there is such."""
    equivalent = own["equivalent"].fillna(False).astype(bool)
    neither = (own["remark"] == "") & ~equivalent & ~(own["p_holm"] < SIGNIFICANT)
    tests = f"(two one-sided tests, p < {SIGNIFICANT:g} each, not corrected)"
    said = ""
    if equivalent.any():
        shown = in_transfers(equivalent.sum(), len(own))
        said = f" Equivalence to these within ±{margin_of(own)} {tests} is shown {shown}."
    if neither.any():
        within = "" if said else f" within ±{margin_of(own)} {tests}"
        said += f" Neither a difference nor equivalence{within} is shown {in_transfers(neither.sum(), len(own))}."
    return said


def in_transfers(count: int, of: int, *, whole: bool = True) -> str:
    """`in 2 of 4 transfers`, `in all 4 transfers`, `in both transfers`, `in the one transfer`; not `whole`: `in 2`."""
    if of == 1:
        return "in the one transfer"
    if count == of:
        return "in both transfers" if of == 2 else f"in all {of:,} transfers"
    return f"in {count:,} of {of:,} transfers" if whole else f"in {count:,}"


def reasons(rows: pd.DataFrame) -> str:
    """Why rows have no test, each reason once."""
    return "; ".join(dict.fromkeys(remark for remark in rows["remark"] if remark))


def margin_of(rows: pd.DataFrame) -> str:
    """The margin of equivalence, which all rows share."""
    return margin_points(float(rows["margin"].iloc[0]))
