/* All alerts: filters over typed arrays, a map of points or of counts by cell, maps by type, and charts over time. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const figure = document.getElementById("map");
  if (!figure) return;
  const [ground, table] = await Promise.all([CityPages.load("ground"), CityPages.load("alerts")]);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const wide = (text) => new Uint16Array(bytes(text).buffer);
  const size = table.count, day = wide(table.day), hour = bytes(table.hour), type = bytes(table.type), begins = bytes(table.begins);
  const eastern = wide(table.x), northern = wide(table.y);
  const x = new Float32Array(size), y = new Float32Array(size), cell = new Uint32Array(size);
  const first = new Date(`${table.first}T00:00:00Z`), days = Math.round((new Date(`${table.last}T00:00:00Z`) - first) / 86400000) + 1;
  const firstWeekday = (first.getUTCDay() + 6) % 7;
  for (let at = 0; at < size; at += 1) {
    x[at] = eastern[at] / 65535 * ground.width;
    y[at] = northern[at] / 65535 * ground.height;
    const row = Math.min(Math.floor(northern[at] / 65535 * ground.rows), ground.rows - 1);
    cell[at] = row * ground.columns + Math.min(Math.floor(eastern[at] / 65535 * ground.columns), ground.columns - 1);
  }
  const numbers = [...new Set(cell)].sort((a, b) => a - b), place = new Int32Array(ground.rows * ground.columns).fill(-1);
  numbers.forEach((number, at) => { place[number] = at; });

  const map = new CityMap(figure, ground), colours = table.types.map((_, at) => `type-${at % 8}`);
  const small = table.types.map((_, at) => new CityMap(document.getElementById(`type-map-${at}`), ground));
  small.forEach((one) => map.link(one));
  const byId = (id) => document.getElementById(id);
  const inputs = [...document.querySelectorAll("#filters input, #filters select")];
  const shown = new Uint32Array(size);
  let counts = [], byType = [], total = 0, later = 0, drawCharts = () => {};

  const dayText = (number) => new Date(first.getTime() + number * 86400000).toISOString().slice(0, 10);
  const dayNumber = (text) => Math.round((new Date(`${text}T00:00:00Z`) - first) / 86400000);

  function wanted() {
    const from = byId("from").value || table.first, to = byId("to").value || table.last;
    return {
      from: Math.max(dayNumber(from), 0), to: Math.min(dayNumber(to), days - 1),
      types: table.types.map((_, at) => byId(`type-${at}`).checked),
      weekdays: [0, 1, 2, 3, 4, 5, 6].map((at) => byId(`weekday-${at}`).checked),
      since: table.has_hours ? Number(byId("since").value) : 0, until: table.has_hours ? Number(byId("until").value) : 24,
      once: byId("once").checked, points: byId("points").checked,
    };
  }

  const hourWanted = (filter, at) => (filter.since < filter.until ? at >= filter.since && at < filter.until
    : at >= filter.since || at < filter.until);

  function filter() {
    const started = performance.now(), of = wanted();
    const hours = Array.from({ length: 24 }, (_, at) => hourWanted(of, at));
    counts = new Float64Array(numbers.length);
    byType = table.types.map(() => new Float64Array(numbers.length));
    const perDay = table.types.map(() => new Uint32Array(days)), perHour = new Uint32Array(24), perWeekday = new Uint32Array(7);
    total = 0;
    for (let at = 0; at < size; at += 1) {
      const weekday = (firstWeekday + day[at]) % 7;
      if (day[at] < of.from || day[at] > of.to || !of.types[type[at]] || !of.weekdays[weekday] || !hours[hour[at]]
        || (of.once && !begins[at])) continue;
      shown[total] = at;
      total += 1;
      counts[place[cell[at]]] += 1;
      byType[type[at]][place[cell[at]]] += 1;
      perDay[type[at]][day[at]] += 1;
      perHour[hour[at]] += 1;
      perWeekday[weekday] += 1;
    }
    draw(of);
    // After the map: Plotly takes longer, and a slider that is moved asks for many.
    clearTimeout(later);
    drawCharts = () => charts(of, perDay, perHour, perWeekday);
    later = setTimeout(drawCharts, 100);
    tell(of);
    document.body.dataset.filterMs = (performance.now() - started).toFixed(1);
  }

  /* Least counts of the classes 1, 2, ... of the legend; class 0 is none. */
  function classes(highest) {
    const nice = [1];
    for (let ten = 1; ten < highest; ten *= 10) nice.push(2 * ten, 5 * ten, 10 * ten);
    const least = [...new Set(nice)].filter((number) => number <= Math.max(highest, 1));
    return least.slice(Math.max(least.length - 7, 0)).map((number, at) => (at === 0 ? 1 : number));
  }

  function classed(values, least) {
    return Array.from(values, (value) => least.filter((number) => value >= number).length);
  }

  function draw(of) {
    const least = classes(counts.reduce((most, count) => Math.max(most, count), 0));
    map.setCells(numbers, of.points ? numbers.map(() => 0) : classed(counts, least));
    map.points = of.points
      ? { x, y, group: type, shown, count: total, radius: size > 20000 ? 2 : 3, colours, ring: false } : null;
    small.forEach((one, at) => one.setCells(numbers, classed(byType[at], least)));
    const legend = byId("count-legend");
    legend.replaceChildren(...[["none", 0], ...least.map((number, at) => [at + 1 < least.length && least[at + 1] === number + 1
      ? `${number}` : `${number.toLocaleString("en")} or more`, at + 1])].reverse().map(([words, number]) => {
      const item = document.createElement("li");
      item.append(CityPages.element("i", undefined, `class-${number}`), words);
      return item;
    }));
    byId("type-legend").hidden = !of.points;
    map.draw();
  }

  function tell(of) {
    const span = Math.max(of.to - of.from + 1, 0), kind = of.once ? "incidents" : "alerts";
    byId("told").textContent = `${total.toLocaleString("en")} of ${size.toLocaleString("en")} ${kind === "alerts" ? "alerts" : "alerts, as incidents"}`
      + ` on ${span.toLocaleString("en")} days: ${span ? (total / span).toFixed(1) : 0} a day.`;
    CityPages.choose({
      from: of.from > 0 ? dayText(of.from) : "", to: of.to < days - 1 ? dayText(of.to) : "",
      types: of.types.every(Boolean) ? "" : of.types.flatMap((on, at) => (on ? [at] : [])).join(",") || "none",
      weekdays: of.weekdays.every(Boolean) ? "" : of.weekdays.flatMap((on, at) => (on ? [at] : [])).join(",") || "none",
      hours: of.since === 0 && of.until === 24 ? "" : `${of.since}-${of.until}`,
      once: of.once ? "1" : "", points: of.points ? "1" : "",
    });
  }

  /* Days where they are few, else weeks: more bars than pixels would be a blur. */
  function charts(of, perDay, perHour, perWeekday) {
    if (!window.Plotly) return;
    const span = of.to - of.from + 1, step = span > 1200 ? 28 : span > 200 ? 7 : 1;
    const starts = [], sums = table.types.map(() => []);
    for (let start = of.from; start <= of.to; start += step) {
      starts.push(dayText(start));
      table.types.forEach((_, at) => {
        let sum = 0;
        for (let each = start; each < Math.min(start + step, of.to + 1); each += 1) sum += perDay[at][each];
        sums[at].push(sum);
      });
    }
    Charts.draw("over-time", () => ({
      data: table.types.map((name, at) => ({
        type: "bar", name, x: starts, y: sums[at], marker: { color: CityPages.colour(colours[at]) },
        xperiod: step * 86400000, xperiodalignment: "start",
      })),
      layout: { barmode: "stack", dragmode: "select", selectdirection: "h", bargap: step === 1 ? .1 : 0,
        xaxis: { type: "date" }, yaxis: { title: { text: step === 1 ? "alerts a day" : step === 7 ? "alerts in 7 days" : "alerts in 28 days" } } },
    }));
    if (table.has_hours) {
      Charts.draw("by-hour", () => ({
        data: [{ type: "bar", x: Array.from(perHour, (_, at) => at), y: Array.from(perHour), marker: { color: CityPages.colour("happened") },
          hovertemplate: "%{y} alerts<extra></extra>" }],
        layout: { xaxis: { title: { text: "hour of the day" }, dtick: 3 }, yaxis: { title: { text: "alerts" } } },
      }));
    }
    Charts.draw("by-weekday", () => ({
      data: [{ type: "bar", x: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], y: Array.from(perWeekday),
        marker: { color: CityPages.colour("happened") }, hovertemplate: "%{y} alerts<extra></extra>" }],
      layout: { yaxis: { title: { text: "alerts" } } },
    }));
  }

  function restore() {
    const link = CityPages.chosen();
    if (link.get("from")) byId("from").value = link.get("from");
    if (link.get("to")) byId("to").value = link.get("to");
    for (const [key, name] of [["types", "type"], ["weekdays", "weekday"]]) {
      if (!link.has(key)) continue;
      const on = new Set(link.get(key).split(","));
      inputs.filter((input) => input.id.startsWith(`${name}-`)).forEach((input) => { input.checked = on.has(input.id.split("-")[1]); });
    }
    if (link.get("hours") && table.has_hours) [byId("since").value, byId("until").value] = link.get("hours").split("-");
    byId("once").checked = link.get("once") === "1";
    byId(link.get("points") === "1" ? "points" : "cells").checked = true;
  }

  const name = (number) => ground.places[number] || "outside of what is forecast";
  map.describe = (number) => [name(number), `${counts[place[number]].toLocaleString("en")} alerts`];
  small.forEach((one, at) => {
    one.describe = (number) => [name(number), `${byType[at][place[number]].toLocaleString("en")}: ${table.types[at]}`];
  });
  let due = 0;
  const soon = () => { cancelAnimationFrame(due); due = requestAnimationFrame(filter); };
  inputs.forEach((input) => input.addEventListener("input", soon));
  byId("all").addEventListener("click", () => {
    byId("from").value = table.first;
    byId("to").value = table.last;
    inputs.filter((input) => input.type === "checkbox").forEach((input) => { input.checked = input.id !== "once"; });
    if (table.has_hours) { byId("since").value = 0; byId("until").value = 24; }
    filter();
  });
  restore();
  filter();
  document.body.dataset.drawn = "yes";
  await CityPages.loadScript(document.body.dataset.plotly);
  drawCharts();
  document.getElementById("over-time").on("plotly_selected", (selection) => {
    if (!selection || !selection.range) return;
    [byId("from").value, byId("to").value] = selection.range.x.map((text) => String(text).slice(0, 10));
    filter();
  });
  document.body.dataset.charts = "yes";
});
