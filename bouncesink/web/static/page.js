// Keys and charts. All acts work without this file: it presses the buttons that are there.
"use strict";

const typing = (target) => target.closest("input:not([type=checkbox]), select, textarea") !== null;
const rows = () => [...document.querySelectorAll("[data-row]")];
const current = () => document.activeElement.closest("[data-row]");

function go(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  if (!next.hasAttribute("tabindex")) next.setAttribute("tabindex", "-1");
  next.focus();
  next.scrollIntoView({ block: "nearest" });
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
  } else if (event.key === "/") document.querySelector("[data-key='/']").focus();
  else if ("cdx".includes(event.key)) press(event.key);
  else return;
  event.preventDefault();
});

// A chart is drawn from the table under it, which stays for whoever cannot see the chart.
function numbers(figure) {
  const heads = [...figure.querySelectorAll("thead th")].map((cell) => cell.textContent);
  const lines = [...figure.querySelectorAll("tbody tr")];
  const labels = lines.map((line) => line.querySelector("th").textContent);
  const values = heads.slice(1).map((_, column) =>
    lines.map((line) => Number(line.querySelectorAll("td")[column].textContent)));
  return { heads, labels, values };
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name.toLowerCase()}`).trim();
}

function draw(figure) {
  const { heads, labels, values } = numbers(figure);
  if (!labels.length) return;
  const place = document.createElement("div");
  place.className = "plot";
  place.setAttribute("aria-hidden", "true");
  figure.insertBefore(place, figure.querySelector("details"));
  // Stacked: each series is drawn over the sum of itself and those under it.
  const sums = values.map((_, index) =>
    labels.map((_, at) => values.slice(index).reduce((sum, each) => sum + each[at], 0)));
  const bars = uPlot.paths.bars({ size: [0.8, 60] });
  const ink = colour("faint");
  const axis = { stroke: ink, grid: { stroke: colour("line"), width: 1 } };
  const shown = (_, splits) => splits.map((at) => (Number.isInteger(at) ? (labels[at] || "").slice(0, 12) : ""));
  const options = {
    width: Math.max(place.clientWidth, 200),
    height: 220,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, __, most) => [0, Math.max(most, 1)] } },
    axes: [{ ...axis, values: shown, space: 80 }, { ...axis, values: (_, splits) => splits.map((n) => (Number.isInteger(n) ? n.toLocaleString() : "")) }],
    series: [
      { label: heads[0], value: (_, at) => labels[at] ?? "" },
      ...heads.slice(1).map((name, index) => ({
        label: name, stroke: colour(name), fill: colour(name), paths: bars, points: { show: false },
        value: (_, __, ___, at) => (at == null ? "" : values[index][at].toLocaleString()),
      })),
    ],
  };
  const plot = new uPlot(options, [labels.map((_, at) => at), ...sums], place);
  new ResizeObserver(() => plot.setSize({ width: Math.max(place.clientWidth, 200), height: 220 })).observe(place);
}

document.addEventListener("DOMContentLoaded", () => {
  if (window.uPlot) document.querySelectorAll("[data-chart]").forEach(draw);
});
