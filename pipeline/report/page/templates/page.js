"use strict";
// Draws charts when they come near the window, takes those far away down again, and listens to the page's few controls.

const NEAR = "700px 0px", FAR = "3000px 0px", KEPT = 16;
const PRINT_WIDTH = { panel: 325, single: 660 };
const CONFIG = {
  displaylogo: false, responsive: false, scrollZoom: false, doubleClick: "reset+autosize",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  toImageButtonOptions: { format: "svg" },
};
const charts = [...document.querySelectorAll(".chart")];
const near = new Set(), drawn = new Set();
let waiting = 0;

function widthOf(box) {
  if (!shown.print) return Math.floor(box.getBoundingClientRect().width);
  return box.closest(".single") ? PRINT_WIDTH.single : PRINT_WIDTH.panel;
}

function reserve(box) {
  const width = widthOf(box);
  if (width > 0) box.style.height = `${heightOf(described(box.dataset.chart), width)}px`;
}

function draw(box) {
  const { data, layout } = figureOf(described(box.dataset.chart), widthOf(box));
  box.style.height = `${layout.height}px`;
  const config = { ...CONFIG, staticPlot: shown.print };
  drawn.add(box);
  box.dataset.drawn = "";
  return (box.data && box.staticPlot === shown.print ? Plotly.react : Plotly.newPlot)(box, data, layout, config);
}

function erase(box) {
  Plotly.purge(box);
  drawn.delete(box);
  delete box.dataset.drawn;
}

// One chart a frame: scrolling stays smooth, and what has left the window before its turn is not drawn.
function drawNext() {
  waiting = 0;
  const next = [...near].find((box) => !drawn.has(box));
  if (!next) return;
  draw(next);
  soon();
}

function soon() {
  if (!waiting) waiting = setTimeout(drawNext, 0);
}

function redraw() {
  drawn.forEach(draw);
}

function watch() {
  new Map([[NEAR, (entry) => {
    if (entry.isIntersecting) near.add(entry.target);
    else near.delete(entry.target);
  }], [FAR, (entry) => {
    if (!entry.isIntersecting && drawn.has(entry.target) && drawn.size > KEPT && !shown.print) erase(entry.target);
  }]]).forEach((seen, rootMargin) => {
    const observer = new IntersectionObserver((entries) => {
      entries.forEach(seen);
      soon();
    }, { rootMargin });
    charts.forEach((box) => observer.observe(box));
  });
  let resized = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width || shown.print) return;
    width = innerWidth;
    clearTimeout(resized);
    resized = setTimeout(() => {
      charts.forEach(reserve);
      redraw();
    }, 120);
  });
  const sections = new IntersectionObserver((entries) => entries.forEach((entry) => {
    const link = document.querySelector(`.sections a[href="#${entry.target.id}"]`);
    if (!entry.isIntersecting) link.removeAttribute("aria-current");
    else link.setAttribute("aria-current", "true");
  }), { rootMargin: "-30% 0px -69% 0px" });
  document.querySelectorAll("main > section").forEach((section) => sections.observe(section));
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const asked = document.getElementById("theme").value;
  const chosen = shown.print ? "light" : asked === "auto" ? (dark.matches ? "dark" : "light") : asked;
  if (document.documentElement.dataset.theme === chosen) return;
  document.documentElement.dataset.theme = chosen;
  inks = {};
  redraw();
}

function print(starts) {
  if (shown.print === starts) return;
  shown.print = starts;
  theme();
  (starts ? charts.filter((box) => !box.closest("details:not([open])")) : [...drawn]).forEach(draw);
}

function control(id, event, change) {
  document.getElementById(id)?.addEventListener(event, (happened) => {
    change(happened.target);
    charts.filter((box) => !drawn.has(box)).forEach(reserve);
    redraw();
  });
}

document.getElementById("theme").value = "auto";
document.getElementById("theme").addEventListener("change", theme);
dark.addEventListener("change", theme);
control("seeds", "change", (box) => { shown.seeds = box.checked; });
control("zoom", "change", (box) => { shown.zoom = box.value; });
control("highlight", "change", (box) => { shown.highlight = box.value; });
document.querySelectorAll("#curves .controls input, #curves .controls select").forEach((box) => {
  if (box.type === "checkbox") box.checked = false;
  else box.selectedIndex = 0;
});
document.querySelectorAll("details.more").forEach((box) => box.addEventListener("toggle", () => charts.forEach(reserve)));
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
matchMedia("print").addEventListener("change", (event) => print(event.matches));
theme();
startMatrices();
charts.forEach(reserve);
watch();
