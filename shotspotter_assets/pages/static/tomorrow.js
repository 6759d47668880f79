/* The map of tomorrow: by band of hours and by type, with the likeliest places beside it. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const figure = document.getElementById("map");
  if (!figure) return;
  const [ground, tomorrow] = await Promise.all([CityPages.load("ground"), CityPages.load("tomorrow")]);
  const map = new CityMap(figure, ground);
  const bands = [...document.querySelectorAll("input[name=band]")], type = document.getElementById("type");
  const list = document.getElementById("places"), heading = document.getElementById("places-title");
  const shown = document.getElementById("shown");
  const layers = [...document.querySelectorAll("input[name=streets]")], usual = tomorrow.streets_shown ? "1" : "0";
  const streetList = document.getElementById("streets");

  const link = CityPages.chosen();
  const wantedBand = bands.find((input) => input.value === link.get("band"));
  if (wantedBand) wantedBand.checked = true;
  if (type && [...type.options].some((option) => option.value === link.get("type"))) type.value = link.get("type");

  const wantedLayer = layers.find((input) => input.value === link.get("streets"));
  if (wantedLayer) wantedLayer.checked = true;

  let probability = [], expected = [];
  const place = (number) => ground.places[number] || "";

  function compute() {
    const band = Number((bands.find((input) => input.checked) || { value: 0 }).value);
    const of = type ? Number(type.value) : -1;
    probability = tomorrow.probability[band];
    expected = tomorrow.expected[band];
    if (of >= 0) {
      // A type's alerts are so large a share of all: their chance follows from that of none.
      const mix = tomorrow.mix[of];
      probability = probability.map((p, at) => 1 - Math.pow(1 - p, mix[at]));
      expected = expected.map((number, at) => number * mix[at]);
    }
    return [band, of];
  }

  function why(at) { return tomorrow.phrases[tomorrow.why[at]]; }

  function show() {
    const [band, of] = compute();
    const order = probability.map((_, at) => at).sort((a, b) => probability[b] - probability[a]).slice(0, tomorrow.top);
    map.setCells(tomorrow.cells, probability.map((p) => CityPages.classOf(p, ground)));
    map.marks = order.map((at, rank) => {
      const [x, y] = map.centre(tomorrow.cells[at]);
      return { x, y, text: String(rank + 1) };
    });
    map.first = tomorrow.cells[order[0]];
    const total = expected.reduce((sum, number) => sum + number, 0);
    shown.textContent = `${tomorrow.bands[band]}${of >= 0 ? `, ${tomorrow.types[of]}` : ""}: `
      + `${CityPages.amount(total)} alerts expected in all of the area.`;
    heading.textContent = `The ${order.length} likeliest places`;
    list.replaceChildren(...order.map((at, rank) => {
      const item = document.createElement("li"), button = CityPages.element("button", undefined, "place");
      button.type = "button";
      const number = tomorrow.cells[at];
      item.dataset.cell = number;
      const low = CityPages.chance(tomorrow.low[at], ground), high = CityPages.chance(tomorrow.high[at], ground);
      const between = band === 0 && of < 0 && low !== high ? ` Chance between ${low} and ${high}.` : "";
      button.append(
        CityPages.element("span", rank + 1, "rank"), CityPages.element("span", place(number), "name"),
        CityPages.element("span", CityPages.chance(probability[at], ground), "chance"),
        CityPages.element("span", `${why(at)}.${between}`, "why"),
      );
      button.addEventListener("click", () => { map.choose(number); });
      item.append(button);
      return item;
    }));
    const layer = (layers.find((input) => input.checked) || { value: usual }).value;
    map.setStreets(layer === "1" ? tomorrow.streets : [], (street) => CityPages.classOf(street.probability, ground));
    CityPages.choose({ band: band || "", type: of >= 0 ? of : "", streets: layer === usual ? "" : layer });
    mark(map.chosen);
  }

  function mark(number) {
    for (const item of list.children) item.classList.toggle("chosen", Number(item.dataset.cell) === number);
  }

  map.describe = (number) => {
    const at = map.at.get(number);
    return [place(number), `${CityPages.chance(probability[at], ground)} of an alert`,
      `${CityPages.amount(expected[at])} alerts expected`, why(at)];
  };
  map.describeStreet = (at) => {
    const street = tomorrow.streets[at], low = CityPages.chance(street.low, ground), high = CityPages.chance(street.high, ground);
    return [`${at + 1}. ${street.name}`, `${CityPages.chance(street.probability, ground)} of an alert${low === high ? "" : ` (${low} to ${high})`}`,
      `${CityPages.amount(street.expected)} alerts expected`, street.why];
  };
  map.onChoose = mark;
  map.onChooseStreet = (chosen) => {
    [...streetList.children].forEach((item, at) => item.classList.toggle("chosen", at === chosen));
  };
  if (streetList) {
    [...streetList.children].forEach((item, at) => item.firstElementChild.addEventListener("click", () => {
      layers[1].checked = true;
      show();
      map.chooseStreet(at);
    }));
  }
  [...bands, ...layers].forEach((input) => input.addEventListener("change", show));
  if (type) type.addEventListener("change", show);
  show();
  document.body.dataset.drawn = "yes";
});
