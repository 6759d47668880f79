/* The map of tomorrow: by band of hours and by type, with the likeliest places beside it. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const figure = byId("map");
  if (!figure) return;
  const [ground, tomorrow] = await Promise.all([CityPages.load("ground"), CityPages.load("tomorrow")]);
  const map = new CityMap(figure, ground), place = new Map(tomorrow.cells.map((number, at) => [number, at]));
  const bands = all("input[name=band]"), type = byId("type"), layers = all("input[name=streets]");
  const usual = tomorrow.streets_shown ? "1" : "0", items = all("#streets li");
  const valueOf = (inputs, other) => (inputs.find((input) => input.checked) || { value: other }).value;
  let view = null;

  for (const [inputs, value] of [[bands, CityPages.chosen().get("band")], [layers, CityPages.chosen().get("streets")]]) {
    inputs.filter((input) => input.value === value).forEach((input) => { input.checked = true; });
  }
  if (type) type.value = [...type.options].some((one) => one.value === CityPages.chosen().get("type")) ? CityPages.chosen().get("type") : "-1";

  function show() {
    const band = valueOf(bands, "0"), kind = type ? type.value : "-1", layer = valueOf(layers, usual);
    view = tomorrow.views[`${band}/${kind}`];
    map.setCells(tomorrow.cells, view.classes);
    map.setMarks(view.top);
    map.setStreets(layer === "1" ? tomorrow.streets : [], chooseStreet);
    byId("shown").textContent = view.words;
    all("ol[data-view]").forEach((list) => { list.hidden = list.dataset.view !== `${band}/${kind}`; });
    CityPages.choose({ band: band === "0" ? "" : band, type: kind === "-1" ? "" : kind, streets: layer === usual ? "" : layer });
  }

  function chooseStreet(chosen) {
    map.choose(null);
    items.forEach((item, at) => item.classList.toggle("chosen", at === chosen));
    map.say(tomorrow.streets[chosen].says);
  }

  map.describe = (number) => {
    const at = place.get(number);
    return [ground.places[number], tomorrow.phrases[view.says[at]], tomorrow.phrases[tomorrow.why[at]]];
  };
  map.onChoose = (number) => {
    items.forEach((item) => item.classList.remove("chosen"));
    all("li[data-cell]").forEach((item) => item.classList.toggle("chosen", Number(item.dataset.cell) === number));
  };
  all("li[data-cell] button").forEach((button) => {
    button.addEventListener("click", () => map.choose(Number(button.parentElement.dataset.cell)));
  });
  items.forEach((item, at) => item.firstElementChild.addEventListener("click", () => {
    layers[1].checked = true;
    show();
    chooseStreet(at);
  }));
  [...bands, ...layers, ...(type ? [type] : [])].forEach((input) => input.addEventListener("change", show));
  show();
  document.body.dataset.drawn = "yes";
});
