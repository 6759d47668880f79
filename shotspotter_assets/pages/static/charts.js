/* Charts by Plotly in the colours of the page. */
"use strict";

const Charts = (() => {
  const drawn = new Map();

  function layout(more) {
    const text = CityPages.colour("text"), line = CityPages.colour("line"), surface = CityPages.colour("surface");
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, fixedrange: true };
    return {
      paper_bgcolor: surface, plot_bgcolor: surface, font: { color: text, family: "system-ui, sans-serif", size: 13 },
      margin: { l: 50, r: 12, t: 10, b: 40 }, hovermode: "x unified", bargap: .08,
      hoverlabel: { bgcolor: surface, bordercolor: line, font: { color: text } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      ...more,
      xaxis: { ...axis, ...(more.xaxis || {}) }, yaxis: { ...axis, rangemode: "tozero", ...(more.yaxis || {}) },
    };
  }

  /* `make` gives {data, layout} in the colours of the moment. */
  function draw(id, make) {
    const first = !drawn.has(id);
    drawn.set(id, make);
    const { data, layout: more } = make();
    return (first ? Plotly.newPlot : Plotly.react)(id, data, layout(more),
      { displaylogo: false, displayModeBar: false, responsive: true });
  }

  CityPages.onTheme(() => drawn.forEach((make, id) => draw(id, make)));
  return { draw };
})();
