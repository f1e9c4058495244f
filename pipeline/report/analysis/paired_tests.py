"""Tests of paired differences, whole columns at a time: `mean`, `std` (ddof = 1) and `n` of each row's differences.

scipy.special rather than scipy.stats: the same t distribution, without the 0.8 s that importing scipy.stats costs.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
SIGNIFICANT = 0.05


def half_width(std: Floats, n: Whole) -> Floats:
    """Half the 95 % t interval of a mean; NaN for fewer than two values."""
    from scipy.special import stdtrit

    degrees = np.where(n > 1, n - 1, np.nan)
    half: Floats = std * stdtrit(degrees, 0.5 + CONFIDENCE / 2) / np.sqrt(np.maximum(n, 1))
    return half


def t_statistic(mean: Floats, std: Floats, n: Whole) -> Floats:
    """t of `mean` against 0; NaN where `std` is."""
    return mean / (std / np.sqrt(np.maximum(n, 1)))


def two_sided(t: Floats, n: Whole) -> Floats:
    """p of a paired t-test, as scipy.stats.ttest_rel."""
    from scipy.special import stdtr

    p: Floats = 2 * stdtr(n - 1.0, -np.abs(t))
    return p


def noninferiority(mean: Floats, std: Floats, n: Whole, margin: float) -> Floats:
    """One-sided p of "the mean difference is -margin or less": small where the first is not worse by the margin."""
    from scipy.special import stdtr

    p: Floats = stdtr(n - 1.0, -t_statistic(mean + margin, std, n))
    return p


def equivalence(mean: Floats, std: Floats, n: Whole, margin: float) -> Floats:
    """p of two one-sided t-tests (Schuirmann 1987): the larger one; small where the difference is within +-margin."""
    return np.maximum(noninferiority(mean, std, n, margin), noninferiority(-mean, std, n, margin))


def hedges_g(mean: Floats, std: Floats, n: Whole) -> Floats:
    """Standardized mean of paired differences without its bias in small samples: mean / std * J(n - 1).

    J(m) = gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)), the exact factor (Hedges 1981, equation 6e). It is 0 for one
    degree of freedom.
    """
    from scipy.special import gammaln

    half = np.maximum(n - 1, 1) / 2
    factor: Floats = np.exp(gammaln(half) - gammaln(half - 0.5)) / np.sqrt(half)
    return mean / std * factor


def holm(p: Floats, family: Whole) -> tuple[Floats, Whole]:
    """p of each family corrected by Holm's step-down procedure (Holm 1979), and how many tests its family has.

    `family` numbers the family of each p. A NaN is no test: it stays NaN and its family does not count it.
    """
    tested = pd.DataFrame({"p": p, "family": family}).dropna(subset="p").sort_values(["family", "p"], kind="stable")
    by_family = tested.groupby("family")["p"]
    remaining = by_family.transform("size") - by_family.cumcount()
    # a larger p is never called more significant than a smaller one
    stepped = (tested["p"] * remaining).groupby(tested["family"]).cummax().clip(upper=1)
    corrected = np.full(len(p), np.nan)
    corrected[stepped.index] = stepped.to_numpy()
    members = np.bincount(family[~np.isnan(p)], minlength=family.max(initial=-1) + 1)
    return corrected, members[family].astype("int64")
