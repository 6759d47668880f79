/* The last hours: the map of the latest nowcast by its length. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const span = byId("span");
  if (!span) return;
  const [ground, hours] = await Promise.all([CityPages.load("ground"), CityPages.load("hours")]);
  const map = new CityMap(byId("map"), ground), indexOfCell = new Map(hours.cells.map((number, at) => [number, at]));

  function show() {
    const view = hours.views[span.value];
    map.describe = (number) => [`${view.chances[indexOfCell.get(number)]} of a new incident`];
    map.setCells(hours.cells, view.classes);
    CityPages.showLegend(view.legend);
    byId("shown").textContent = `Expected in all cells: ${view.total}. Circles: cells in which incidents began in the hour before.`;
  }

  map.setRings(hours.begun.map((at) => ({ at, what: "An incident began in this cell" })));
  span.addEventListener("change", show);
  show();
  document.body.dataset.drawn = "yes";
});
