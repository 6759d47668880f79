/* All alerts: filters over typed arrays, a map of points or of counts by cell, maps by type, and charts over time. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const filters = byId("filters"), DAY = 86400000;
  if (!filters) return;
  const [ground, table] = await Promise.all([CityPages.load("ground"), CityPages.load("alerts")]);
  const column = (text) => new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const [x, y, cell, day, hour, type, begins] = ["x", "y", "cell", "day", "hour", "type", "begins"].map((name) => column(table[name]));
  const first = new Date(`${table.first}T00:00:00Z`), size = table.count, firstWeekday = (first.getUTCDay() + 6) % 7;
  const dayText = (number) => new Date(first.getTime() + number * DAY).toISOString().slice(0, 10);
  const dayNumber = (text) => Math.round((new Date(`${text}T00:00:00Z`) - first) / DAY), last = dayNumber(table.last);
  const map = new CityMap(byId("map"), ground), colours = table.types.map((_, at) => `type-${at % 8}`);
  const small = table.types.map((_, at) => new CityMap(byId(`type-map-${at}`), ground)), shown = new Uint32Array(size);
  const dots = new Dots(Array.from(x, (_, at) => map.at(x[at] / 65535 * ground.width, y[at] / 65535 * ground.height)), type, colours);
  const inputs = [...filters.querySelectorAll("input, select")], checks = (name) => inputs.filter((input) => input.id.startsWith(`${name}-`));
  let counts = [], byType = [], due = 0, drawCharts = () => {};

  function filter() {
    const started = performance.now(), from = dayNumber(byId("from").value || table.first), to = dayNumber(byId("to").value || table.last);
    const [types, weekdays] = ["type", "weekday"].map((name) => checks(name).map((input) => input.checked)), once = byId("once").checked;
    const [since, until] = table.has_hours ? [Number(byId("since").value), Number(byId("until").value)] : [0, 24];
    const hours = Array.from({ length: 24 }, (_, at) => (since < until ? at >= since && at < until : at >= since || at < until));
    const perDay = types.map(() => new Uint32Array(last + 1)), perHour = new Uint32Array(24), perWeekday = new Uint32Array(7);
    let total = 0;
    counts = new Uint32Array(table.cells.length);
    byType = types.map(() => new Uint32Array(table.cells.length));
    for (let at = 0; at < size; at += 1) {
      const weekday = (firstWeekday + day[at]) % 7;
      if (day[at] < from || day[at] > to || !types[type[at]] || !weekdays[weekday] || !hours[hour[at]] || (once && !begins[at])) continue;
      shown[total] = at;
      total += 1;
      counts[cell[at]] += 1;
      byType[type[at]][cell[at]] += 1;
      perDay[type[at]][day[at]] += 1;
      perHour[hour[at]] += 1;
      perWeekday[weekday] += 1;
    }
    drawMaps(total);
    // After the map: Plotly takes longer, and a slider that is moved asks for many.
    clearTimeout(due);
    drawCharts = () => charts(Math.max(from, 0), Math.min(to, last), perDay, perHour, perWeekday);
    due = setTimeout(() => { if (window.Plotly) drawCharts(); }, 100);
    const days = Math.max(Math.min(to, last) - Math.max(from, 0) + 1, 0);
    byId("told").textContent = `${total.toLocaleString("en")} of ${size.toLocaleString("en")} alerts${once ? ", as incidents" : ""}`
      + ` on ${days.toLocaleString("en")} days: ${days ? (total / days).toFixed(1) : 0} a day.`;
    const on = (flags) => (flags.every(Boolean) ? "" : flags.flatMap((flag, at) => (flag ? [at] : [])).join(",") || "none");
    CityPages.choose({
      from: from > 0 ? dayText(from) : "", to: to < last ? dayText(to) : "", types: on(types), weekdays: on(weekdays),
      hours: since === 0 && until === 24 ? "" : `${since}-${until}`, once: once ? "1" : "", points: byId("points").checked ? "1" : "",
    });
    document.body.dataset.filterMs = (performance.now() - started).toFixed(1);
  }

  /* Minimum counts of the classes 1, 2, ... of the legend; class 0 is none. */
  function classes(highest) {
    const nice = [1];
    for (let ten = 1; ten < highest; ten *= 10) nice.push(2 * ten, 5 * ten, 10 * ten);
    const [, ...least] = nice.filter((number) => number <= highest).slice(-7);
    return [1, ...least];
  }

  function drawMaps(total) {
    const least = classes(Math.max(...counts, 1)), points = byId("points").checked;
    const classed = (values) => Array.from(values, (value) => least.filter((number) => value >= number).length);
    map.setCells(table.cells, points ? table.cells.map(() => 0) : classed(counts));
    dots.show(shown, points ? total : 0);
    small.forEach((one, at) => one.setCells(table.cells, classed(byType[at])));
    byId("count-legend").replaceChildren(...[["none", 0], ...least.map((number, at) => [least[at + 1] === number + 1
      ? `${number}` : `${number.toLocaleString("en")} or more`, at + 1])].reverse().map(([words, number]) => {
      const item = document.createElement("li");
      item.append(CityPages.element("i", undefined, `class-${number}`), words);
      return item;
    }));
    byId("type-legend").hidden = !points;
  }

  /* Days where they are few, else weeks: more bars than pixels would be a blur. */
  function charts(from, to, perDay, perHour, perWeekday) {
    const step = to - from > 1200 ? 28 : to - from > 200 ? 7 : 1, starts = [], sums = table.types.map(() => []);
    for (let start = from; start <= to; start += step) {
      starts.push(dayText(start));
      perDay.forEach((counted, at) => sums[at].push(counted.subarray(start, Math.min(start + step, to + 1)).reduce((sum, more) => sum + more, 0)));
    }
    const title = (text) => ({ title: { text } });
    CityPages.draw("over-time", () => ({
      data: table.types.map((name, at) => ({
        type: "bar", name, x: starts, y: sums[at], marker: { color: CityPages.colour(colours[at]) }, xperiod: step * DAY, xperiodalignment: "start",
      })),
      layout: { barmode: "stack", dragmode: "select", selectdirection: "h", hovermode: "x unified", bargap: step === 1 ? .1 : 0,
        xaxis: { type: "date" }, yaxis: title(step === 1 ? "alerts a day" : `alerts in ${step} days`) },
    }));
    const bars = (names, values, axis) => () => ({
      data: [{ type: "bar", x: names, y: Array.from(values), marker: { color: CityPages.colour("happened") }, hovertemplate: "%{y} alerts<extra></extra>" }],
      layout: { xaxis: axis, yaxis: title("alerts") },
    });
    if (table.has_hours) CityPages.draw("by-hour", bars([...perHour.keys()], perHour, { ...title("hour of the day"), dtick: 3 }));
    CityPages.draw("by-weekday", bars(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], perWeekday, {}));
  }

  function restore() {
    const link = CityPages.chosen();
    for (const key of ["from", "to"]) if (link.get(key)) byId(key).value = link.get(key);
    for (const [key, name] of [["types", "type"], ["weekdays", "weekday"]]) {
      if (link.has(key)) checks(name).forEach((input, at) => { input.checked = link.get(key).split(",").includes(String(at)); });
    }
    if (link.get("hours") && table.has_hours) [byId("since").value, byId("until").value] = link.get("hours").split("-");
    byId("once").checked = link.get("once") === "1";
    byId(link.get("points") === "1" ? "points" : "cells").checked = true;
  }

  const place = new Map(table.cells.map((number, at) => [number, at]));
  [map, ...small].forEach((one, at) => {
    const values = () => (at ? byType[at - 1] : counts);
    one.describe = (number) => [ground.places[number] || "outside of the forecast area",
      `${values()[place.get(number)].toLocaleString("en")} ${at ? table.types[at - 1] : "alerts"}`];
    if (at) map.link(one);
  });
  dots.addTo(map.map);
  let frame = 0;
  inputs.forEach((input) => input.addEventListener("input", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(filter); }));
  filters.addEventListener("reset", () => setTimeout(filter));
  restore();
  filter();
  document.body.dataset.drawn = "yes";
  await CityPages.loadScript(document.body.dataset.plotly);
  drawCharts();
  byId("over-time").on("plotly_selected", (selection) => {
    if (!selection || !selection.range) return;
    [byId("from").value, byId("to").value] = selection.range.x.map((text) => String(text).slice(0, 10));
    filter();
  });
  document.body.dataset.charts = "yes";
});
