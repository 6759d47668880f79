/* Past days: the forecast beside the alerts of the day. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const choice = byId("day");
  if (!choice) return;
  const { event } = document.body.dataset, ground = await CityPages.load("ground"), days = [...choice.options].map((option) => option.value);
  const forecast = new CityMap(byId("forecast"), ground), happened = new CityMap(byId("happened"), ground);

  async function show(name) {
    choice.value = name;
    const day = await CityPages.load(`day-${name}`), indexOfCell = new Map(day.cells.map((number, at) => [number, at]));
    if (choice.value !== name) return;   // another day was chosen meanwhile
    for (const id of ["title", "sentence", "notes"]) byId(id).textContent = day[id];
    byId("before").disabled = name === days[0];
    byId("after").disabled = name === days[days.length - 1];
    history.replaceState(null, "", `#day=${name}`);
    forecast.describe = (number) => [`${day.chances[indexOfCell.get(number)]} of an ${event} was forecast`];
    happened.describe = (number) => [`${day.counts[indexOfCell.get(number)]} ${event}s`];
    forecast.setCells(day.cells, day.classes);
    happened.setCells(day.cells, day.cells.map(() => 0));
    for (const map of [forecast, happened]) map.setFrames(day.flagged);
    happened.setRings(day.events.map(({ at, lines }) => ({ at, what: lines.filter(Boolean).join(", ") })));
    document.querySelector("tbody").replaceChildren(...day.events.map(({ cell, lines, unit }) => {
      const row = CityPages.element("tr");
      row.append(...[...lines, ground.places[cell] || "", ...unit].map((text) => CityPages.element("td", text)));
      return row;
    }));
    document.body.dataset.drawn = name;
  }

  forecast.link(happened);
  choice.addEventListener("change", () => show(choice.value));
  for (const [id, step] of [["before", -1], ["after", 1]]) byId(id).addEventListener("click", () => show(days[days.indexOf(choice.value) + step]));
  const linked = () => { const day = location.hash.slice(5); return days.includes(day) ? day : days[days.length - 1]; };
  addEventListener("hashchange", () => show(linked()));
  show(linked());
});
