/* Past days: the forecast beside what happened, by slider, calendar, date or link. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const slider = byId("slider"), date = byId("date");
  if (!slider) return;
  const ground = await CityPages.load("ground"), cells = all("#calendar rect"), days = cells.map((cell) => cell.dataset.day);
  const forecast = new CityMap(byId("forecast"), ground), happened = new CityMap(byId("happened"), ground);
  let shown = -1;

  async function show(number) {
    shown = Math.min(Math.max(number, 0), days.length - 1);
    const name = days[shown], day = await CityPages.load(`day-${name}`);
    if (days[shown] !== name) return;   // the slider has moved on meanwhile
    slider.value = shown;
    slider.setAttribute("aria-valuetext", day.title);
    date.value = name;
    for (const id of ["title", "sentence", "notes"]) byId(id).textContent = day[id];
    byId("before").disabled = shown === 0;
    byId("after").disabled = shown === days.length - 1;
    cells.forEach((cell, at) => cell.classList.toggle("on", at === shown));
    CityPages.choose({ day: name });
    const place = new Map(day.cells.map((number, at) => [number, at]));
    forecast.describe = (number) => [ground.places[number], day.words[day.says[place.get(number)]]];
    happened.describe = (number) => [ground.places[number], ...(day.came[number] || ["no alert"])];
    forecast.setCells(day.cells, day.classes);
    happened.setCells(day.cells, day.cells.map(() => 0));
    forecast.setFrames(day.flagged);
    happened.setFrames(day.flagged);
    happened.setRings(day.alerts);
    document.body.dataset.drawn = name;
  }

  forecast.link(happened);
  forecast.onChoose = (number) => happened.choose(number, false);
  happened.onChoose = (number) => forecast.choose(number, false);
  slider.addEventListener("input", () => show(Number(slider.value)));
  byId("before").addEventListener("click", () => show(shown - 1));
  byId("after").addEventListener("click", () => show(shown + 1));
  date.addEventListener("change", () => show(days.findLastIndex((day) => day <= date.value)));
  cells.forEach((cell, at) => cell.addEventListener("click", () => show(at)));
  const linked = () => { const at = days.indexOf(CityPages.chosen().get("day")); return at < 0 ? days.length - 1 : at; };
  addEventListener("hashchange", () => { if (linked() !== shown) show(linked()); });
  show(linked());
});
