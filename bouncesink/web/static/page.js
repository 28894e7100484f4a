// Keys, charts, and where the focus goes. All acts work without this file: it presses the buttons
// that are there.
"use strict";

const typing = (target) => target.closest("input:not([type=checkbox]), select, textarea") !== null;
const rows = () => [...document.querySelectorAll("[data-row]")];
const current = () => document.activeElement.closest("[data-row]");

function focus(element) {
  if (!element.matches("a, button, input, [tabindex]")) element.setAttribute("tabindex", "-1");
  element.focus();
  element.scrollIntoView({ block: "nearest" });
}

function go(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  focus(all[Math.min(Math.max(at + step, 0), all.length - 1)]);
}

function press(key) {
  const row = current() || (rows().length ? null : document);
  const target = row && row.querySelector(`[data-key="${key}"]`);
  if (target) target.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "j") go(1);
  else if (event.key === "k") go(-1);
  else if (event.key === "o") {
    const link = current() && (current().querySelector("[data-open]") || current().querySelector("a"));
    if (link) link.click();
  } else if (event.key === "/") {
    const search = document.querySelector("[data-key='/']");
    if (search) search.focus();
  } else if ("cdx".includes(event.key)) press(event.key);
  else return;
  event.preventDefault();
});

// What is decided about makes way for what came of it, and the focus goes on to the next.
let deciding = null;

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  if (requestConfig.verb === "get") {
    // What brings itself up to date waits while somebody is in it.
    if (elt.contains(document.activeElement) || elt.querySelector("details[open]")) event.preventDefault();
    return;
  }
  const row = elt.closest("[data-row]");
  const before = row.previousElementSibling;
  if (before && before.matches(".said.problem")) before.remove();
  const all = rows();
  const at = all.indexOf(row);
  deciding = { row, next: all[at + 1] || all[at - 1] };
});

document.addEventListener("htmx:afterSettle", () => {
  if (!deciding || deciding.row.isConnected) return;
  focus(deciding.next || document.querySelector("a[rel=next]") || document.getElementById("main"));
  deciding = null;
});

document.addEventListener("htmx:sendError", (event) => {
  const row = event.detail.elt.closest("[data-row]");
  if (!row) return;
  const words = document.createElement("p");
  words.className = "said problem";
  words.setAttribute("role", "alert");
  words.textContent = "bouncesink cannot be reached: try again.";
  row.before(words);
});

// A chart is drawn from the table under it, which stays for whoever cannot see the chart.
const HEIGHT = 220;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name.toLowerCase()}`).trim();
}

function text(cell) {
  return cell.textContent.trim();
}

function short(label) {
  const shown = label.replace(/^\d{4}-(\d\d-\d\d)$/, "$1");
  return shown.length > 16 ? `${shown.slice(0, 15)}…` : shown;
}

// Each series is drawn over the sum of itself and those under it.
function stacked(figure) {
  const table = [...figure.querySelectorAll("table")].pop();  // the legend of a chart is one, too
  const heads = [...table.querySelectorAll("thead th")].map(text);
  const lines = [...table.querySelectorAll("tbody tr")];
  const labels = lines.map((line) => text(line.querySelector("th")));
  const values = heads.slice(1).map((_, column) =>
    lines.map((line) => Number(text(line.querySelectorAll("td")[column]))));
  const sums = values.map((_, index) =>
    labels.map((_, at) => values.slice(index).reduce((sum, each) => sum + each[at], 0)));
  return {
    labels,
    columns: sums,
    range: (_, __, most) => [0, Math.max(most, 1)],
    ticks: (_, splits) => splits.map((n) => (Number.isInteger(n) ? n.toLocaleString() : "")),
    series: heads.slice(1).map((name, index) => ({
      label: name, stroke: colour(name), fill: colour(name),
      value: (_, __, ___, at) => (at == null ? "" : values[index][at].toLocaleString()),
    })),
    legend: heads[0],
  };
}

// A bar for each rate, a line from end to end of its interval, and where an alarm begins.
function intervals(figure) {
  const lines = [...figure.querySelectorAll("tr[data-rate]")].slice(0, 20);
  const of = (name) => lines.map((line) => Number(line.dataset[name]));
  const [rates, low, high] = [of("rate"), of("low"), of("high")];
  const limits = [[Number(figure.dataset.warn), "soft"], [Number(figure.dataset.act), "hard"]];
  const most = Math.max(...rates, 2 * limits[1][0]);
  function draw(plot) {
    const { ctx, bbox } = plot;
    const y = (value) => plot.valToPos(Math.min(value, plot.scales.y.max), "y", true);
    function line(name, from, to, dash) {
      ctx.strokeStyle = colour(name);
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(...from);
      ctx.lineTo(...to);
      ctx.stroke();
    }
    ctx.save();
    ctx.lineWidth = 2 * devicePixelRatio;
    rates.forEach((_, at) => {
      const x = plot.valToPos(at, "x", true);
      line("ink", [x, y(low[at])], [x, y(high[at])], []);
    });
    for (const [limit, name] of limits) {
      line(name, [bbox.left, y(limit)], [bbox.left + bbox.width, y(limit)], [6, 6]);
    }
    ctx.restore();
  }
  return {
    labels: lines.map((line) => text(line.querySelector("th"))),
    columns: [rates],
    range: () => [0, Math.max(Math.min(Math.max(...high), 2 * most), most)],
    ticks: (_, splits) => splits.map((n) => `${n} %`),
    series: [{
      label: "rate", stroke: colour("block"), fill: colour("block"),
      value: (_, __, ___, at) =>
        (at == null ? "" : `${rates[at].toFixed(2)} % (${low[at].toFixed(2)} to ${high[at].toFixed(2)})`),
    }],
    legend: "campaign",
    draw,
  };
}

function draw(figure) {
  const chart = figure.dataset.chart === "interval" ? intervals(figure) : stacked(figure);
  const { labels } = chart;
  if (!labels.length) return;
  let place = figure.querySelector(".plot");
  if (!place) {
    place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("aria-hidden", "true");
    figure.querySelector("figcaption").after(place);
    new ResizeObserver(() => place.plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  } else place.plot.destroy();
  const dated = /^\d{4}-\d\d-\d\d$/.test(labels[0]);
  const bars = uPlot.paths.bars({ size: [0.8, 60] });
  const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 } };
  const names = dated ? { space: 60 } : { rotate: -30, size: 70, splits: () => labels.map((_, at) => at) };
  place.plot = new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    padding: [null, dated ? null : 48, null, null],
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: chart.range } },
    axes: [
      { ...axis, ...names, values: (_, splits) => splits.map((at) => short(labels[at] || "")) },
      { ...axis, values: chart.ticks, size: 60 },
    ],
    series: [
      { label: chart.legend, value: (_, at) => (at == null ? "" : labels[at]) },
      ...chart.series.map((each) => ({ ...each, paths: bars, points: { show: false } })),
    ],
    hooks: chart.draw ? { draw: [chart.draw] } : {},
  }, [labels.map((_, at) => at), ...chart.columns], place);
}

function drawAll() {
  if (window.uPlot) document.querySelectorAll("[data-chart]").forEach(draw);
}

document.addEventListener("DOMContentLoaded", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
