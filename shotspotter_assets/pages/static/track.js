/* The charts of the track record. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  if (!byId("months")) return;
  const [track] = await Promise.all([CityPages.load("track"), CityPages.loadScript(document.body.dataset.plotly)]);
  const { colour, draw } = CityPages, title = (text) => ({ title: { text } });
  const dashed = { color: "muted", dash: "dash" }, lined = (line) => ({ ...line, color: colour(line.color) });
  const whiskers = (curve) => ({ type: "data", symmetric: false, color: colour("happened"),
    array: curve.y.map((y, at) => curve.high[at] - y), arrayminus: curve.y.map((y, at) => y - curve.low[at]) });
  draw("months", () => ({
    data: [{ type: "scatter", mode: "lines+markers", x: track.months.x, y: track.months.y, line: { color: colour("happened") },
      marker: { size: 9 }, error_y: whiskers(track.months), hovertemplate: "%{y:.2f} times<extra></extra>" }],
    layout: { xaxis: { type: "category" }, yaxis: { ...title("times as probable"), rangemode: "normal" },
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: lined(dashed) }] },
  }));
  const most = Math.max(...track.reliability.x, ...track.reliability.high) * 1.05;
  draw("reliability", () => ({
    data: [
      { type: "scatter", mode: "lines", name: "as forecast", x: [0, most], y: [0, most], line: lined(dashed), hoverinfo: "skip" },
      { type: "scatter", mode: "markers", name: "what happened", x: track.reliability.x, y: track.reliability.y, error_y: whiskers(track.reliability),
        marker: { color: colour("happened"), size: 9 }, hovertemplate: "forecast %{x:.1f}%, happened %{y:.1f}%<extra></extra>" },
    ],
    layout: { xaxis: { ...title("forecast, %"), rangemode: "tozero" }, yaxis: title("happened, %") },
  }));
  const styles = [["happened", "solid", "circle"], ["second", "dash", "square"], ["muted", "dot", "diamond"]];
  draw("hits", () => ({
    data: track.hits.map((curve, at) => ({ type: "scatter", mode: "lines+markers", name: curve.name, x: curve.x, y: curve.y,
      line: { color: colour(styles[at][0]), dash: styles[at][1] }, marker: { symbol: styles[at][2], size: 8 }, hovertemplate: "%{y:.0f}%" })),
    layout: { hovermode: "x unified", xaxis: { ...title("share of the area, %"), range: [0, 50] }, yaxis: title("share of cells with an alert, %") },
  }));
  document.body.dataset.charts = "yes";
});
