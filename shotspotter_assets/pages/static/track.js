/* The charts of the track record. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  if (!byId("hits")) return;
  const [track] = await Promise.all([CityPages.load("track"), CityPages.loadScript(document.body.dataset.plotly)]);
  const { colour, draw } = CityPages, { event } = document.body.dataset, { mean_forecast: x, observed_frequency: y, low, high } = track.reliability, title = (text) => ({ title: { text } });
  const most = Math.max(...x, ...high) * 1.05, dashed = { color: colour("muted"), dash: "dash" };
  draw("reliability", [
    { type: "scatter", mode: "lines", name: "as forecast", x: [0, most], y: [0, most], line: dashed, hoverinfo: "skip" },
    { type: "scatter", mode: "markers", name: "observed", x, y, marker: { color: colour("happened"), size: 9 },
      error_y: { type: "data", symmetric: false, color: colour("happened"), array: y.map((one, at) => high[at] - one), arrayminus: y.map((one, at) => one - low[at]) } },
  ], { xaxis: title("forecast, %"), yaxis: title("observed, %") });
  draw("hits", track.hits.map((curve, at) => ({ ...curve, type: "scatter", mode: "lines+markers", line: [{ color: colour("happened") }, dashed, { ...dashed, dash: "dot" }][at] })),
    { xaxis: { ...title("share of the area, %"), range: [0, 50] }, yaxis: title(`share of cells with an ${event}, %`) });
  document.body.dataset.charts = "yes";
});
