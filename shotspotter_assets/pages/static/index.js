/* The first page: the shift that is on or next, with its places, and the map of it by type, with units or likeliest places. */
"use strict";

const MAX_AGE = 3600000;

document.addEventListener("DOMContentLoaded", async () => {
  /* Written by the sensor, so that what has landed since the page was made is named. */
  CityPages.load("waiting").catch(() => null).then((now) => {
    if (!now || !now.waits) return;
    const { known, issued, version, replayed, zone } = byId("waiting").dataset;
    const isOld = now.version && version && now.version !== version;
    const sentences = [...(isOld ? ["A newer forecast has been made. Reload the page."] : now.made && now.waits.length ? [now.made] : []), ...(replayed ? [] : now.waits.map((sentence) => `Not in this forecast yet: ${sentence}`))];
    if (byId("compared") && !replayed && !now.as_of) byId("compared").textContent = "No sensor compares this page with the sources: files that have landed since are not named here.";
    if (byId("compared") && !replayed && now.as_of && Date.now() - Date.parse(now.as_of) > MAX_AGE) {
      const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "long", timeStyle: "short" }).format(Date.parse(now.as_of));
      byId("compared").textContent = `Last compared with the sources: ${time}. Files that came later are not named here.`;
    }
    byId("waiting").replaceChildren(...sentences.map((sentence) => CityPages.element("p", sentence)));
    byId("waiting").hidden = !sentences.length;
    if (replayed || !byId("known")) return;
    /* On a phone, a note would push the places off the screen. */
    if (now.made && !now.waits.length) byId("known").textContent = now.made;
    else if (now.data !== known) byId("known").textContent = `${issued} ${CityPages.present(now)}`;
  });
  const periods = all(".period"), links = all("nav.shifts a"), DAY = 86400000;
  if (!periods.length) return;
  const instant = (period, name) => Date.parse(period.dataset[name]);

  /* The day of a period: that of the clock while it is under way, else that of its start. */
  function labelDay(period) {
    const { zone } = byId("when").dataset, now = Date.now();
    const moment = now >= instant(period, "starts") && now < instant(period, "ends") ? now : instant(period, "starts");
    const local = (time) => Date.parse(new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(time));
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "long", day: "numeric", month: "long", year: "numeric" });
    const { weekday, day, month, year } = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, value]));
    byId("day").textContent = `${weekday}, ${day} ${month} ${year}`;
    const name = { 0: "today", 1: "tomorrow" }[(local(moment) - local(now)) / DAY];
    byId("when").textContent = name ? ` (${name})` : "";
  }

  /* The shift that is on or next, of a city without shifts the day; of days that are over, the one at this time of the day. */
  function current() {
    const now = Date.now(), shifts = periods.filter((period) => period.dataset.kind === "shift");
    const parts = (shifts.length ? shifts : [...periods]).sort((one, other) => instant(one, "starts") - instant(other, "starts"));
    const isOn = (period) => (((now - instant(period, "starts")) % DAY) + DAY) % DAY < instant(period, "ends") - instant(period, "starts");
    return parts.find((period) => now < instant(period, "ends")) || parts.reverse().find(isOn) || periods[periods.length - 1];
  }

  const chosen = () => periods.find((period) => `#${period.id}` === location.hash) || current();
  function choose() {
    const period = chosen();
    periods.forEach((one) => { one.hidden = one !== period; });
    links.forEach((link, at) => periods[at] === period ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    labelDay(period);
    return periods.indexOf(period);
  }

  /* Parts of the day before are of interest until they end. */
  function hideEnded() {
    periods.forEach((period, at) => {
      if (!period.classList.contains("before") || Date.now() < instant(period, "ends")) return;
      links[at].hidden = true;
      period.classList.add("screen");
    });
  }
  hideEnded();
  choose();
  const [ground, forecasts] = await Promise.all([CityPages.load("ground"), CityPages.load("forecast")]);
  const { event } = document.body.dataset;
  const map = new CityMap(byId("map"), ground);
  const type = byId("type"), streets = byId("streets");

  let shownAt;

  function show() {
    shownAt = choose();
    const { of, at } = periods[shownAt].dataset, forecast = forecasts[of], view = forecast.views[`${at}/${type ? type.value : -1}`] || forecast.views[`${at}/-1`];
    const name = links[shownAt].textContent, hasUnits = forecast.has_units[at], indexOfCell = new Map(forecast.cells.map((number, index) => [number, index]));
    map.describe = (number) => [`${view.chances[indexOfCell.get(number)]} of an ${event}`, forecast.why[indexOfCell.get(number)]];
    map.setCells(forecast.cells, view.classes);
    map.setMarks(forecast.marks[at], hasUnits ? forecast.reach : 0);
    if (streets) streets.parentElement.hidden = !forecast.streets.some((street) => street.chances[at]);
    map.setStreets(!streets || !streets.checked ? [] : forecast.streets.filter((street) => street.chances[at]).map((street) =>
      ({ geometry: street.geometry, class: street.chances[at][0], lines: [street.name, `${street.chances[at][1]} of an ${event}`, street.why] })));
    byId("shown").textContent = `${name}: ${view.total} ${event}s are expected. Numbers: ${hasUnits ? byId("shown").dataset.units : "the likeliest places"}.`;
    CityPages.showLegend(view.legend);
  }

  [type, streets].filter(Boolean).forEach((input) => input.addEventListener("change", show));
  addEventListener("hashchange", show);
  show();
  /* A page may stay open for days. */
  setInterval(() => {
    hideEnded();
    labelDay(chosen());
    if (periods.indexOf(chosen()) !== shownAt) show();
  }, 60000);
  document.body.dataset.drawn = "yes";
});
