"""The whole range of a panel whose y axis is narrowed, as an inset: the form of Morcos et al. 2019, Figures 3 to 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.report.charts.chart import Series, as_floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = ((0.46, 0.42), (0.4, 0.38), (0.34, 0.4), (0.28, 0.42), (0.36, 0.3))
"""Width and height as fractions of the panel, the best first; of smaller ones nothing can be read in print."""
ROOM = {"left": 0.085, "right": 0.025, "below": 0.075, "above": 0.03}
"""Around it, for its tick labels and the markers of the lines, as fractions of the panel."""
LABEL = "whole range"

Numbers = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, bottom, width and height as fractions of the panel."""
Band = tuple[Numbers, Numbers, Numbers]
"""x, rising, and the lower and upper edge of a line's band there, as fractions of the panel."""


def empty_corner(axes: Axes, series: Sequence[Series]) -> Box | None:
    """The emptiest corner of a panel whose limits are set, at the first size that fits: no line or band is in it.

    None where the data leave no corner.
    """
    bands = [_band(axes, one) for one in series]
    for width, height in SIZES:
        lefts = (ROOM["left"], 1 - width - ROOM["right"])
        bottoms = (ROOM["below"], 1 - height - ROOM["above"])
        boxes = [(left, bottom, width, height) for left in lefts for bottom in bottoms]
        gaps = {box: min(_gap(box, band) for band in bands) for box in boxes}
        emptiest = max(gaps, key=lambda box: gaps[box])
        if gaps[emptiest] > 0:
            return emptiest
    return None


def finish_inset(inset: Axes, panel: Axes) -> None:
    """The panel's x axis, few ticks, and text that can be read in print."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

    left, right = panel.get_xlim()
    decades = [tick for tick in (10.0**power for power in range(9, -4, -1)) if left >= tick >= right]
    inset.set_label(LABEL)
    inset.set_xscale("log")
    inset.set_xlim(left, right)
    inset.xaxis.set_major_locator(FixedLocator(decades))
    inset.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in decades]))
    inset.xaxis.set_minor_locator(NullLocator())
    inset.yaxis.set_major_locator(MaxNLocator(4))
    inset.tick_params(labelsize=7, length=2, pad=1.5)
    inset.grid(alpha=0.25, linewidth=0.5)
    inset.spines[:].set(linewidth=0.6, edgecolor="#666666")


def _band(axes: Axes, one: Series) -> Band:
    to_panel = axes.transScale + axes.transLimits
    low, high = (to_panel.transform(np.column_stack([as_floats(one.x), edge])) for edge in one.band())
    rising = np.argsort(low[:, 0], kind="stable")
    return low[rising, 0], low[rising, 1], high[rising, 1]


def _gap(box: Box, band: Band) -> float:
    """Height between a box with its room and a band, as a fraction of the panel; 0 or less where they meet."""
    left, right = box[0] - ROOM["left"], box[0] + box[2] + ROOM["right"]
    bottom, top = box[1] - ROOM["below"], box[1] + box[3] + ROOM["above"]
    x, low, high = band
    # a band is straight between its points: those and the box's edges are all that matter
    at = np.concatenate([[left, right], x[(x > left) & (x < right)]])
    at = at[(at >= x[0]) & (at <= x[-1])]
    if not len(at):
        return 1.0
    # all of it on one side: a line that falls steeply crosses the box between two points
    return max(float((np.interp(at, x, low) - top).min()), float((bottom - np.interp(at, x, high)).min()))
