/* The map of tomorrow: by shift and by type, with the likeliest places or the units of the shift. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  if (!byId("map")) return;
  const [ground, tomorrow] = await Promise.all([CityPages.load("ground"), CityPages.load("tomorrow")]);
  const map = new CityMap(byId("map"), ground), place = new Map(tomorrow.cells.map((number, at) => [number, at]));
  const period = byId("period"), type = byId("type"), streets = byId("streets");
  const likeliest = tomorrow.top.map((number, at) => ({ at: L.latLngBounds(map.bounds(number)).getCenter(), rank: at + 1, what: ground.places[number] }));

  function show() {
    const view = tomorrow.views[`${period.value}/${type ? type.value : -1}`], name = period.selectedOptions[0].text;
    map.describe = (number) => [`${view.chances[place.get(number)]} of an alert`, tomorrow.why[place.get(number)]];
    map.setCells(tomorrow.cells, view.classes);
    map.setMarks(period.value === "0" ? likeliest : tomorrow.units[name] || []);
    map.setStreets(streets && streets.checked ? tomorrow.streets : []);
    byId("shown").textContent = `${name}: ${view.words} Numbers on the map: ${period.value === "0" ? "ranks of the likeliest places" : "units by rank"}.`;
  }

  [period, type, streets].filter(Boolean).forEach((input) => input.addEventListener("change", show));
  show();
  document.body.dataset.drawn = "yes";
});
