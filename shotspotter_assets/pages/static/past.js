/* Past days: the forecast beside what happened, by slider, calendar, date or link. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const figure = document.getElementById("forecast");
  if (!figure) return;
  const [ground, past] = await Promise.all([CityPages.load("ground"), CityPages.load("past")]);
  const forecast = new CityMap(figure, ground), happened = new CityMap(document.getElementById("happened"), ground);
  forecast.link(happened);
  const slider = document.getElementById("slider"), date = document.getElementById("date");
  const calendar = document.getElementById("calendar"), days = past.days;
  const at = new Map(days.map((day, number) => [day.day, number]));
  const long = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const named = (day) => long.format(new Date(`${day}T00:00:00Z`));
  const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  let shown = -1, detail = null;

  function words(day) {
    const came = `${plural(day.alerts, "alert")} came; about ${CityPages.amount(day.expected)} were expected (${Math.round(day.low)} to ${Math.round(day.high)}). `;
    if (!day.alerts) return `${came}There was nothing to catch.`;
    const mean = day.caught_by_mean === null ? "" : `; a map of the long-run mean caught ${day.caught_by_mean}`;
    return `${came}The map caught ${day.caught} of ${day.alerts} with ${past.flagged_percent}% of the area${mean}.`;
  }

  function notes(day) {
    return [
      `Forecast by ${day.served.replaceAll("_", " ")}`, day.lead > 1 ? `looking ${day.lead} days ahead` : "",
      day.replayed ? "made after the day, from what was known before it" : "", day.is_firework_day ? "a day of fireworks" : "",
    ].filter(Boolean).join("; ") + ".";
  }

  async function show(number) {
    number = Math.min(Math.max(number, 0), days.length - 1);
    shown = number;
    const day = days[number];
    slider.value = number;
    slider.setAttribute("aria-valuetext", named(day.day));
    date.value = day.day;
    document.getElementById("day").textContent = named(day.day);
    document.getElementById("sentence").textContent = words(day);
    document.getElementById("notes").textContent = notes(day);
    document.getElementById("before").disabled = number === 0;
    document.getElementById("after").disabled = number === days.length - 1;
    for (const cell of calendar.querySelectorAll("rect.on")) cell.classList.remove("on");
    const cell = calendar.querySelector(`[data-at="${number}"]`);
    if (cell) cell.classList.add("on");
    CityPages.choose({ day: day.day });
    const loaded = await CityPages.load(`day-${day.day}`);
    if (shown !== number) return;   // the slider has moved on meanwhile
    detail = loaded;
    const chance = loaded.chance.map((step) => step / past.per_unit);
    forecast.setCells(loaded.cells, chance.map((p) => CityPages.classOf(p, ground)));
    happened.setCells(loaded.cells, loaded.cells.map(() => 0));
    forecast.outlined = happened.outlined = loaded.flagged;
    happened.points = {
      x: loaded.x, y: loaded.y, count: loaded.x.length, radius: 5, colours: ["happened"], group: null, shown: null, ring: true,
    };
    const inside = new Map();
    loaded.x.forEach((x, alert) => {
      const number = cellOf(x, loaded.y[alert]);
      inside.set(number, [...(inside.get(number) || []), loaded.what[alert]]);
    });
    forecast.describe = (number) => [
      ground.places[number] || "", `${CityPages.chance(chance[forecast.at.get(number)], ground)} of an alert was forecast`,
    ];
    happened.describe = (number) => [ground.places[number] || "", ...(inside.get(number) || ["no alert"])];
    if (forecast.chosen !== null) forecast.choose(forecast.chosen);
    forecast.draw();
    document.body.dataset.drawn = day.day;
  }

  function cellOf(x, y) {
    const row = Math.min(Math.floor(y / ground.height * ground.rows), ground.rows - 1);
    const column = Math.min(Math.floor(x / ground.width * ground.columns), ground.columns - 1);
    return row * ground.columns + column;
  }

  /* A row for each weekday, a column for each week. */
  function drawCalendar() {
    const first = new Date(`${days[0].day}T00:00:00Z`), size = 16, left = 34, top = 18;
    const weekday = (when) => (when.getUTCDay() + 6) % 7;
    const start = first.getTime() - weekday(first) * 86400000;
    const svg = (tag, attributes, text) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      if (text !== undefined) made.textContent = text;
      return made;
    };
    let month = -1, labelled = -3, last = 0;
    days.forEach((day, number) => {
      const when = new Date(`${day.day}T00:00:00Z`), week = Math.floor((when.getTime() - start) / 604800000);
      last = week;
      const better = day.caught_by_mean === null || !day.alerts ? "none"
        : day.caught > day.caught_by_mean ? "more" : day.caught < day.caught_by_mean ? "fewer" : "same";
      const cell = svg("rect", { x: left + week * size, y: top + weekday(when) * size, width: size - 2, height: size - 2, rx: 2,
        class: better, "data-at": number });
      cell.append(svg("title", {}, `${named(day.day)}: ${words(day)}`));
      calendar.append(cell);
      if (when.getUTCMonth() !== month) {
        month = when.getUTCMonth();
        if (week - labelled > 2) {
          labelled = week;
          calendar.append(svg("text", { x: left + week * size, y: 12 },
            when.toLocaleString("en", { month: "short", timeZone: "UTC" }) + (month === 0 || number === 0 ? ` ${when.getUTCFullYear()}` : "")));
        }
      }
    });
    ["Mon", "", "Wed", "", "Fri", "", "Sun"].forEach((name, row) => {
      calendar.append(svg("text", { x: 0, y: top + row * size + 12 }, name));
    });
    const width = left + (last + 1) * size + 40;
    calendar.setAttribute("width", width);
    calendar.setAttribute("height", top + 7 * size);
    calendar.setAttribute("viewBox", `0 0 ${width} ${top + 7 * size}`);
    calendar.addEventListener("click", (event) => {
      if (event.target.dataset.at !== undefined) show(Number(event.target.dataset.at));
    });
  }

  forecast.onChoose = (number) => happened.choose(number, false);
  happened.onChoose = (number) => forecast.choose(number, false);
  drawCalendar();
  slider.max = days.length - 1;
  slider.addEventListener("input", () => show(Number(slider.value)));
  document.getElementById("before").addEventListener("click", () => show(shown - 1));
  document.getElementById("after").addEventListener("click", () => show(shown + 1));
  date.addEventListener("change", () => {
    const wanted = at.get(date.value) ?? days.findLastIndex((day) => day.day <= date.value);
    show(wanted < 0 ? 0 : wanted);
  });
  const linked = () => at.get(CityPages.chosen().get("day")) ?? days.length - 1;
  addEventListener("hashchange", () => { if (linked() !== shown) show(linked()); });
  show(linked());
});
