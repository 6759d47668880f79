/* The map of the cells that sensors hear. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const figure = document.getElementById("coverage");
  if (!figure) return;
  const ground = await CityPages.load("ground"), map = new CityMap(figure, ground);
  const numbers = Object.keys(ground.places).map(Number);
  map.setCells(numbers, numbers.map(() => 2));
  map.describe = (number) => [ground.places[number]];
  document.body.dataset.drawn = "yes";
});
