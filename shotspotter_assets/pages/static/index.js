/* The first page: the shift that is on or next, with its places, and the map of it by type, with units or likeliest places. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const periods = all(".period"), links = all("nav.shifts a"), DAY = 86400000;
  if (!periods.length) return;
  const instant = (period, name) => Date.parse(period.dataset[name]);

  function labelDay() {
    const { day, zone } = byId("when").dataset, local = (moment) => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(moment);
    const name = { 0: "today", 1: "tomorrow" }[(Date.parse(day) - Date.parse(local(Date.now()))) / DAY];
    byId("when").textContent = name ? ` (${name})` : "";
  }

  /* The shift that is on or next; of days that are over, the one at this time of the day. */
  function current() {
    const now = Date.now(), shifts = periods.filter((period) => period.dataset.kind !== "day").sort((one, other) => instant(one, "starts") - instant(other, "starts"));
    const isOn = (period) => (((now - instant(period, "starts")) % DAY) + DAY) % DAY < instant(period, "ends") - instant(period, "starts");
    return shifts.find((period) => now < instant(period, "ends")) || shifts.reverse().find(isOn) || periods[periods.length - 1];
  }

  const chosen = () => periods.find((period) => `#${period.id}` === location.hash) || current();
  function choose() {
    const period = chosen();
    periods.forEach((one) => { one.hidden = one !== period; });
    links.forEach((link, at) => periods[at] === period ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    return periods.indexOf(period);
  }

  /* A night that began on the day before is of interest while it lasts. */
  function hideEnded() {
    periods.forEach((period, at) => {
      if (period.dataset.kind !== "before" || Date.now() < instant(period, "ends")) return;
      links[at].hidden = true;
      period.classList.add("screen");
    });
  }
  hideEnded();
  labelDay();
  choose();
  const [ground, forecast] = await Promise.all([CityPages.load("ground"), CityPages.load("forecast")]);
  const { event } = document.body.dataset;
  const map = new CityMap(byId("map"), ground), indexOfCell = new Map(forecast.cells.map((number, at) => [number, at]));
  const type = byId("type"), streets = byId("streets");

  let shownAt;

  function show() {
    const at = shownAt = choose(), view = forecast.views[`${at}/${type ? type.value : -1}`], name = links[at].textContent, hasUnits = forecast.has_units[at];
    map.describe = (number) => [`${view.chances[indexOfCell.get(number)]} of an ${event}`, forecast.why[indexOfCell.get(number)]];
    map.setCells(forecast.cells, view.classes);
    map.setMarks(forecast.marks[at], hasUnits ? forecast.reach : 0);
    if (streets) streets.parentElement.hidden = !forecast.streets.some((street) => street.chances[at]);
    map.setStreets(!streets || !streets.checked ? [] : forecast.streets.filter((street) => street.chances[at]).map((street) =>
      ({ geometry: street.geometry, class: street.chances[at][0], lines: [street.name, `${street.chances[at][1]} of an ${event}`, street.why] })));
    byId("shown").textContent = `${name}: ${view.total} ${event}s are expected. Numbers: ${hasUnits ? "places of units; circles: their reach" : "the likeliest places"}.`;
    byId("legend").replaceChildren(...view.legend.map(([kind, words]) => {
      const line = CityPages.element("li", words);
      line.prepend(CityPages.element("i", "", `class-${kind}`));
      return line;
    }));
  }

  [type, streets].filter(Boolean).forEach((input) => input.addEventListener("change", show));
  addEventListener("hashchange", show);
  show();
  /* A page may stay open for days. */
  setInterval(() => {
    hideEnded();
    labelDay();
    if (periods.indexOf(chosen()) !== shownAt) show();
  }, 60000);
  document.body.dataset.drawn = "yes";
});
