"use strict";
// From a chart's description to a plotly figure: `figureOf`. Descriptions are made by pipeline/report/charts*.py.

const DATA = JSON.parse(document.getElementById("data").textContent);
const shown = { seeds: false, zoom: "all", highlight: "", print: false };
const LEGEND_ROW = 19, LEGEND_MARK = 46, LETTER = 6.6, SIDES = 72;
const MARKED = 60; // points up to which a line of an ordered family has markers

let inks = {}; // emptied when the theme changes
const ink = (name) => (inks[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim());

// Plotly reads a few HTML tags in text; names are not HTML.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function number(value) {
  if (typeof value !== "number") return plain(value);
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
}

function translucent(colour, alpha) {
  const part = (at) => parseInt(colour.slice(at, at + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
}

function between(first, last, place) {
  const part = (at) => {
    const [from, to] = [first, last].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(from + (to - from) * place).toString(16).padStart(2, "0");
  };
  return `#${part(1)}${part(3)}${part(5)}`;
}

// Colour, dashes and marker of one line; the same in every panel.
function lookOf(one) {
  const at = one.colour ?? 0, dash = DATA.dashes[(one.dash ?? 0) % DATA.dashes.length];
  const [solid, dashed, dotted] = DATA.dashes;
  if (one.role === "level" || one.role === "reference") return { colour: ink("--dense"), dash: dashed, size: 0 };
  if (one.role === "chance") { // where pairs differ in what chance gives, of the colour of its pair
    const colour = one.colour === undefined ? `--grey-${one.place ? 1 : 0}` : `--ink-${at % DATA.inks}`;
    return { colour: ink(colour), dash: one.place ? dotted : dashed, size: 0 };
  }
  if (one.role === "step") {
    const size = one.bare || one.x.length > MARKED ? 0 : 3.5;
    return { colour: between(ink("--first"), ink("--last"), one.place ?? 0), dash: solid, marker: "circle", size };
  }
  if (one.role === "histogram") return { colour: ink(`--ink-${at % DATA.inks}`), dash, size: 0 };
  if (one.shared) return { colour: ink(`--grey-${at % DATA.greys}`), dash, marker: "x", size: 5 };
  const hollow = one.dash ? "-open" : ""; // a lone point has no dashes to tell it by
  return { colour: ink(`--ink-${at % DATA.inks}`), dash, marker: DATA.markers[at % DATA.markers.length] + hollow, size: 6 };
}

// Lines of a chart share columns: series name them by their place.
function described(id) {
  const chart = DATA.charts[id];
  if (chart.columns) {
    const column = (place) => chart.columns[place];
    for (const one of chart.series) {
      for (const name of ["x", "y", "spread", "low", "high"]) if (name in one) one[name] = column(one[name]);
      if (one.more) one.more = one.more.map(column);
    }
    delete chart.columns;
  }
  return chart;
}

// What hovering over a point says.
function wordsOf(chart, one, at) {
  const unit = (axis) => (axis.unit ? ` ${axis.unit}` : "");
  const spread = one.spread && one.spread[at] !== null ? ` ± ${number(one.spread[at])}` : "";
  const bare = (title) => title.replace(/ \(.*\)$/, "");
  const lines = [`<b>${plain(one.name)}</b>`, `${bare(chart.y.title)}: ${number(one.y[at])}${spread}${unit(chart.y)}`];
  if (one.role !== "level") lines.push(`${bare(chart.x.title)}: ${number(one.x[at])}${unit(chart.x)}`);
  chart.fields.forEach((field, column) => {
    const value = one.more && one.more[column] ? one.more[column][at] : null;
    if (value !== null && value !== undefined) lines.push(`${field}: ${number(value)}`);
  });
  return lines.join("<br>");
}

function bandOf(one, look, group) {
  const [low, high] = one.low
    ? [one.low, one.high]
    : [one.y.map((y, at) => y - one.spread[at]), one.y.map((y, at) => y + one.spread[at])];
  const there = one.x.map((_, at) => at).filter((at) => one.y[at] !== null && (one.low || one.spread[at] !== null));
  if (there.length < 2) return [];
  const back = [...there].reverse();
  return [{
    type: "scatter", mode: "lines", x: [...there, ...back].map((at) => one.x[at]),
    y: [...there.map((at) => high[at]), ...back.map((at) => low[at])], fill: "toself", fillcolor: translucent(look.colour, 0.15),
    line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: group,
  }];
}

function seedsOf(one, look, group) {
  const x = [], y = [], text = [];
  one.seeds.forEach((values, seed) => {
    x.push(...one.x, null); y.push(...values, null);
    text.push(...values.map((value) => `${plain(one.name)}<br>one seed, number ${seed + 1}: ${number(value)}`), "");
  });
  return {
    type: "scatter", mode: "lines+markers", x, y, text, hoverinfo: "text", showlegend: false, legendgroup: group, connectgaps: false,
    line: { width: 0.7, color: translucent(look.colour, 0.6) }, marker: { size: 3, color: translucent(look.colour, 0.75) },
    meta: "seeds",
  };
}

function lineOf(chart, one, look, group, emphasised) {
  const size = emphasised ? look.size : 0;
  const trace = {
    type: "scatter", mode: "lines", x: one.x, y: one.y, name: plain(one.name), hoverinfo: "text", legendgroup: group,
    text: one.x.map((_, at) => wordsOf(chart, one, at)), showlegend: !one.hidden,
    line: { color: emphasised ? look.colour : translucent(look.colour, 0.55), dash: look.dash, width: emphasised ? 1.8 : 0.9 },
  };
  if (one.role === "histogram") trace.line.shape = "hvh";
  return size ? { ...trace, mode: "lines+markers", marker: { size, symbol: look.marker, color: look.colour } } : trace;
}

// Rings around the points that hold a diverged run.
function ringsOf(one, look, group) {
  return {
    type: "scatter", mode: "markers", x: one.marked.map((at) => one.x[at]), y: one.marked.map((at) => one.y[at]), hoverinfo: "skip",
    showlegend: false, legendgroup: group, marker: { size: 11, symbol: "circle-open", color: look.colour },
  };
}

// When a line's training has converged: a dot, with a bar along the iterations.
function momentOf(one, look, group) {
  const { x, y, low, high, words } = one.moment;
  return {
    type: "scatter", mode: "markers", x: [x], y: [y], text: [[`<b>${plain(one.name)}</b>`, ...words.map(plain)].join("<br>")],
    hoverinfo: "text", showlegend: false, legendgroup: group,
    error_x: { type: "data", symmetric: false, array: [high - x], arrayminus: [x - low], color: look.colour, thickness: 1.3, width: 4 },
    marker: { size: 10, color: look.colour, line: { width: 1.5, color: ink("--page") } },
  };
}

// Whether a line has its own colour, band and marker at full strength: among many, only some do.
function standsOut(chart) {
  const crowded = chart.series.filter((one) => !one.role && !one.shared).length > DATA.crowd;
  return (one) => !crowded || one.role || one.own || one.shared || (shown.highlight && one.source === shown.highlight);
}

// All traces of a chart: bands below, then single seeds, then lines, those that stand out last.
function tracesOf(chart) {
  const emphasised = standsOut(chart);
  const bands = [], seeds = [], thin = [], lines = [], rings = [], moments = [];
  chart.series.forEach((one, at) => {
    const strong = Boolean(emphasised(one)), look = lookOf(one), group = strong ? `line ${at}` : "others";
    if ((one.spread || one.low) && strong) bands.push(...bandOf(one, look, group));
    if (shown.seeds && one.seeds && strong) seeds.push(seedsOf(one, look, group));
    (strong ? lines : thin).push(lineOf(chart, one, look, group, strong));
    if (one.marked) rings.push(ringsOf(one, look, group));
    if (one.moment) moments.push(momentOf(one, look, group));
  });
  thin.forEach((trace, at) => Object.assign(trace, { showlegend: at === 0, name: others(thin.length) }));
  return [...bands, ...seeds, ...thin, ...lines, ...rings, ...moments];
}

const others = (count) => `${count} other line${count === 1 ? "" : "s"}`;

// Descending: 1, 2, 5 of each decade, or powers of ten where a decade has less than `room` pixels.
function ticksOf(from, to, length, room) {
  const steps = length / Math.log10(from / to) < room ? [1] : [5, 2, 1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(from)); power > -5; power -= 1) {
    for (const step of steps) {
      const tick = Number((step * 10 ** power).toPrecision(1));
      if (tick <= from && tick >= to) ticks.push(tick);
    }
  }
  return ticks;
}

function abscissa(chart, width) {
  const axis = { title: { text: chart.x.title, standoff: 6 }, automargin: true };
  if (chart.x.kind === "category") return { ...axis, type: "category", tickangle: uprightBy(chart, width) ? -90 : 0 };
  const percent = chart.x.kind === "left";
  if (!percent && chart.x.kind !== "weights") return { ...axis, type: chart.x.kind, rangemode: "tozero" };
  const [least, most] = [Math.min, Math.max].map((edge) => edge(...chart.series.map((one) => edge(...one.x))));
  const [from, to] = percent ? [118, Math.min(50, least) / 1.18] : [most * 1.18, least / 1.18];
  const ticks = ticksOf(from, to, width - SIDES, 105);
  const texts = ticks.map((tick) => percent ? String(tick) : tick.toLocaleString("en"));
  return { ...axis, type: "log", range: [Math.log10(from), Math.log10(to)], tickvals: ticks, ticktext: texts };
}

// Legend entries have one width, so that the rows they take, and the height of the chart, are known before it is drawn;
// plotly puts them side by side within the width of the axes.
function legendOf(chart, width) {
  const strong = chart.series.filter(standsOut(chart)), thin = chart.series.length - strong.length;
  const names = strong.filter((one) => !one.hidden).map((one) => one.name.length);
  if (thin) names.push(others(thin).length);
  const entry = Math.min(LEGEND_MARK + LETTER * Math.max(4, ...names), width - SIDES);
  const columns = Math.max(1, Math.floor((width - SIDES - 6) / entry));
  const rows = names.length > 1 ? Math.ceil(names.length / columns) : 0;
  return { rows, entry: entry - LEGEND_MARK, height: rows * LEGEND_ROW + 8 };
}

// Pixels that names of layers need below the axis if they stand upright, 0 where they fit side by side.
function uprightBy(chart, width) {
  if (chart.x.kind !== "category") return 0;
  const names = [...new Set(chart.series.flatMap((one) => one.x))], longest = Math.max(...names.map((name) => name.length));
  return names.length * (longest * LETTER + 10) > width - SIDES ? Math.min(150, longest * LETTER) : 0;
}

function heightOf(chart, width) {
  return Math.round(Math.min(330, Math.max(230, width * 0.6))) + 46 + uprightBy(chart, width) + legendOf(chart, width).height;
}

const AXIS_HEIGHT = 200; // at the least

function ordinate(chart) {
  if (chart.y.kind !== "log") return { type: "linear" };
  const values = chart.series.flatMap((one) => one.y).filter((y) => y > 0);
  const ticks = ticksOf(2 * Math.max(...values), Math.min(...values) / 2, AXIS_HEIGHT, 50);
  return { type: "log", tickvals: ticks, ticktext: ticks.map(String) };
}

function figureOf(chart, width) {
  const traces = tracesOf(chart), legend = legendOf(chart, width);
  const grid = {
    gridcolor: ink("--grid"), linecolor: ink("--rule"), tickcolor: ink("--rule"), zeroline: false, showline: true,
    ticks: "outside", ticklen: 4,
  };
  const narrowed = (chart.narrow || shown.zoom === "differences") && chart.zoom;
  const layout = {
    width, height: heightOf(chart, width), margin: { l: 58, r: 14, t: 12, b: 46 + uprightBy(chart, width) + legend.height },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink("--text") },
    xaxis: { ...grid, ...abscissa(chart, width) },
    yaxis: { ...grid, title: { text: chart.y.title, standoff: 8 }, automargin: true, uirevision: shown.zoom,
      ...ordinate(chart),
      ...(narrowed ? { range: chart.zoom } : { autorange: true }) },
    legend: { orientation: "h", xref: "container", x: 0.01, yref: "container", y: 0, yanchor: "bottom", entrywidth: legend.entry,
      entrywidthmode: "pixels", font: { size: 12 }, bgcolor: "rgba(0,0,0,0)", tracegroupgap: 0,
      maxheight: legend.height + LEGEND_ROW },
    showlegend: legend.rows > 0, hovermode: "closest", uirevision: "kept",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    hoverlabel: { bgcolor: ink("--raised"), bordercolor: ink("--rule"), font: { color: ink("--text"), size: 12 }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink("--quiet"), activecolor: ink("--accent") },
  };
  return { data: traces, layout };
}
