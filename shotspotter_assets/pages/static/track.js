/* The charts of the track record. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  if (!document.getElementById("months")) return;
  const [track] = await Promise.all([CityPages.load("track"), CityPages.loadScript(document.body.dataset.plotly)]);
  const percent = (share) => 100 * share;
  const months = track.months.filter((month) => month.skill);
  Charts.draw("months", () => ({
    data: [{
      type: "scatter", mode: "lines+markers", name: "what was served", x: months.map((month) => month.name),
      y: months.map((month) => month.skill.factor), line: { color: CityPages.colour("happened") }, marker: { size: 9 },
      error_y: { type: "data", symmetric: false, array: months.map((month) => (month.skill.high ?? month.skill.factor) - month.skill.factor),
        arrayminus: months.map((month) => month.skill.factor - (month.skill.low ?? month.skill.factor)), color: CityPages.colour("happened") },
      hovertemplate: "%{y:.2f} times<extra></extra>",
    }],
    layout: { hovermode: "closest", xaxis: { type: "category" }, yaxis: { title: { text: "times as probable" }, rangemode: "normal" },
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: CityPages.colour("muted"), dash: "dash" } }] },
  }));
  const most = Math.max(...track.reliability.x, ...track.reliability_high) * 105;
  Charts.draw("reliability", () => ({
    data: [
      { type: "scatter", mode: "lines", name: "as forecast", x: [0, most], y: [0, most], line: { color: CityPages.colour("muted"), dash: "dash" }, hoverinfo: "skip" },
      { type: "scatter", mode: "markers", name: "what happened", x: track.reliability.x.map(percent), y: track.reliability.y.map(percent),
        marker: { color: CityPages.colour("happened"), size: 9 },
        error_y: { type: "data", symmetric: false, color: CityPages.colour("happened"),
          array: track.reliability.y.map((y, at) => percent(track.reliability_high[at] - y)),
          arrayminus: track.reliability.y.map((y, at) => percent(y - track.reliability_low[at])) },
        hovertemplate: "forecast %{x:.1f}%, happened %{y:.1f}%<extra></extra>" },
    ],
    layout: { hovermode: "closest", xaxis: { title: { text: "forecast, %" }, rangemode: "tozero" }, yaxis: { title: { text: "happened, %" } } },
  }));
  const colours = ["happened", "second", "muted"], dashes = ["solid", "dash", "dot"];
  Charts.draw("hits", () => ({
    data: track.hits.map((curve, at) => ({
      type: "scatter", mode: "lines+markers", name: curve.name, x: curve.x, y: curve.y,
      line: { color: CityPages.colour(colours[at]), dash: dashes[at] }, marker: { symbol: ["circle", "square", "diamond"][at], size: 8 },
      hovertemplate: "%{y:.0f}%",
    })),
    layout: { xaxis: { title: { text: "share of the area, %" }, range: [0, 50] }, yaxis: { title: { text: "share of cells with an alert, %" } } },
  }));
  document.body.dataset.charts = "yes";
});
