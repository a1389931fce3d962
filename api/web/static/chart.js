"use strict";
/* Draws the element .chart with uPlot: data-values holds [[x…], [y…], …], data-series the names, data-label the title. */
addEventListener("DOMContentLoaded", () => {
  const colours = ["#0172ad", "#b3261e", "#8a5300"];
  const draw = (element) => {
    const style = getComputedStyle(document.body);
    const axis = { stroke: style.color, grid: { stroke: style.getPropertyValue("--pico-muted-border-color") } };
    const series = JSON.parse(element.dataset.series).map((label, index) => ({
      label, stroke: colours[index % colours.length], width: 2, points: { show: true },
    }));
    const options = {
      width: element.clientWidth, height: 200, tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      legend: { live: false }, cursor: { show: false }, series: [{}, ...series],
      axes: [{ ...axis, values: (_, ticks) => ticks.map((at) => new Date(at * 1e3).toISOString().slice(11, 16)) }, axis],
      scales: { y: { range: (_, least, most) => [0, Math.max(4, most * 1.1)] } },
    };
    element.replaceChildren();
    return new uPlot(options, JSON.parse(element.dataset.values), element);
  };
  for (const element of document.querySelectorAll(".chart")) {
    let plot = draw(element);
    new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 200 })).observe(element);
    new MutationObserver(() => plot.setData(JSON.parse(element.dataset.values))).observe(element, {
      attributes: true, attributeFilter: ["data-values"],
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot.destroy(); plot = draw(element); });
  }
});
