/* The map of a city by Leaflet: cells as SVG that the style sheet colours, over a base map and under streets, districts,
   marks and names. The arrow keys go from cell to cell; +, - and 0 zoom. */
"use strict";

class CityMap {
  static linking = false;

  constructor(figure, ground) {
    const [left, bottom, right, top] = ground.extent, box = figure.querySelector(".canvas");
    this.figure = figure;
    this.ground = ground;
    this.cells = new Map();        // rectangle by number of the cell
    this.chosen = null;            // number of a cell
    this.describe = () => [];
    this.onChoose = () => {};
    this.says = figure.querySelector(".says");
    this.extent = L.latLngBounds(this.at(left, bottom), this.at(right, top));
    box.style.aspectRatio = Math.min(Math.max((right - left) / (top - bottom), .8), 1.6);
    this.map = L.map(box, {
      attributionControl: false, keyboard: false, scrollWheelZoom: false, zoomAnimation: false, fadeAnimation: false,
      markerZoomAnimation: false, inertia: false, zoomSnap: .1, maxZoom: 18, maxBounds: this.extent.pad(.05), maxBoundsViscosity: 1,
    });
    figure.map = this;
    ["cells", "ground", "streets", "frames"].forEach((name, at) => { this.map.createPane(name).style.zIndex = 350 + 20 * at; });
    this._fit();
    this.map.on("resize", () => { if (this.map.getZoom() === this.map.getMinZoom()) this._fit(); });
    L.control.scale({ imperial: false }).addTo(this.map);
    if (ground.tiles) {
      figure.classList.add("has-tiles");
      L.tileLayer(ground.tiles, { maxZoom: 18, bounds: this.extent.pad(.5) }).addTo(this.map);
      figure.append(CityPages.element("small", ground.attribution, "attribution"));
    }
    this._drawGround();
    for (const name of ["cellLayer", "frames", "chosenFrame", "points", "marks", "streets", "names"]) {
      this[name] = L.featureGroup().addTo(this.map);
    }
    this.cellLayer.bindTooltip((cell) => this._tip(this.describe(cell.number)), { sticky: true });
    this.cellLayer.on("click", (event) => this.choose(event.layer.number));
    this.map.on("moveend", () => this._drawNames());
    this._drawNames();
    this._listen(box);
  }

  /* Latitude and longitude of a point in metres. */
  at(x, y) {
    const { box: [south, west, north, east], width, height } = this.ground;
    return [south + y / height * (north - south), west + x / width * (east - west)];
  }

  lines(lines) {
    return lines.map((line) => Array.from({ length: line.length / 2 }, (_, at) => this.at(line[2 * at], line[2 * at + 1])));
  }

  bounds(number) {
    const { rows, columns, width, height } = this.ground, row = Math.floor(number / columns), column = number % columns;
    return [this.at(column * width / columns, row * height / rows), this.at((column + 1) * width / columns, (row + 1) * height / rows)];
  }

  /* Colour cells by classes of the legend. */
  setCells(numbers, classes) {
    if (numbers.length !== this.cells.size || numbers.some((number) => !this.cells.has(number))) {
      this.cellLayer.clearLayers();
      this.cells = new Map(numbers.map((number) => {
        const cell = L.rectangle(this.bounds(number), { pane: "cells", stroke: false });
        cell.number = number;
        return [number, cell.addTo(this.cellLayer)];
      }));
    }
    numbers.forEach((number, at) => {
      this.cells.get(number).getElement().setAttribute("class", `leaflet-interactive cell class-${classes[at]}`);
    });
    this.choose(this.chosen, false);
  }

  /* Frame cells. */
  setFrames(numbers) {
    this.frames.clearLayers();
    numbers.forEach((number) => this._frame(number, "frame").addTo(this.frames));
  }

  /* Number cells by their rank. */
  setMarks(numbers) {
    this.marks.clearLayers();
    [...numbers.entries()].reverse().forEach(([at, number]) => {
      const icon = L.divIcon({ className: "rank-mark", html: String(at + 1), iconSize: [20, 20] });
      L.marker(L.latLngBounds(this.bounds(number)).getCenter(), { icon, interactive: false, keyboard: false }).addTo(this.marks);
    });
    this.first = numbers[0];
  }

  setRings(points) {
    this.points.clearLayers();
    for (const { x, y, what } of points) {
      L.circleMarker(this.at(x, y), { radius: 5, className: "ring", fillOpacity: 0 })
        .bindTooltip(this._tip([what])).addTo(this.points);
    }
  }

  /* Draw streets, the first on top, each with a class of the legend and lines of text. */
  setStreets(streets, onChoose) {
    this.streets.clearLayers();
    [...streets.entries()].reverse().forEach(([at, street]) => {
      const lines = this.lines(street.lines), group = L.featureGroup().addTo(this.streets);
      for (const name of ["street-edge", `street class-${street.class}`]) {
        L.polyline(lines, { pane: "streets", className: name, smoothFactor: 0 }).addTo(group);
      }
      group.bindTooltip(this._tip(street.says), { sticky: true }).on("click", (event) => { L.DomEvent.stop(event); onChoose(at); });
    });
  }

  choose(number, tell = true) {
    this.chosen = number;
    this.chosenFrame.clearLayers();
    if (number !== null) {
      this._frame(number, "chosen-frame").addTo(this.chosenFrame);
      if (!this.map.getBounds().contains(this.bounds(number))) this.map.panInsideBounds(L.latLngBounds(this.bounds(number)).pad(1), { animate: false });
    }
    this.say(number === null ? [] : this.describe(number));
    if (tell) this.onChoose(number);
  }

  say(lines) { this.says.textContent = lines.filter(Boolean).join(" \u00b7 "); }

  /* Show the same part of the city on another map. */
  link(other) {
    for (const [from, to] of [[this.map, other.map], [other.map, this.map]]) {
      from.on("move", () => {
        if (CityMap.linking) return;
        CityMap.linking = true;
        to.setView(from.getCenter(), from.getZoom() - from.getMinZoom() + to.getMinZoom(), { animate: false });
        CityMap.linking = false;
      });
    }
  }

  _fit() {
    this.map.setMinZoom(0).fitBounds(this.extent, { animate: false, padding: [4, 4] });
    this.map.setMinZoom(this.map.getZoom());
  }

  _frame(number, className) {
    return L.rectangle(this.bounds(number), { pane: "frames", className, fill: false, interactive: false });
  }

  _tip(lines) {
    const tip = CityPages.element("div");
    tip.append(...lines.filter(Boolean).map((line, at) => CityPages.element(at ? "div" : "b", line)));
    return tip;
  }

  _drawGround() {
    for (const [className, areas] of [["parks", this.ground.parks], ["streets", this.ground.streets], ["districts", this.ground.districts]]) {
      const lines = this.lines(areas.flatMap((area) => area.lines));
      if (lines.length) L.polyline(lines, { pane: "ground", className, interactive: false }).addTo(this.map);
    }
  }

  /* Names of districts, and nearby those of parks and streets, as far as there is room. */
  _drawNames() {
    const near = this.map.getZoom() >= this.map.getMinZoom() + 2, size = this.map.getSize(), taken = [];
    this.names.clearLayers();
    for (const area of near ? [...this.ground.districts, ...this.ground.parks, ...this.ground.streets] : this.ground.districts) {
      const where = this.at(...area.label), { x, y } = this.map.latLngToContainerPoint(where), half = 4 * area.name.length + 4;
      if (x < half || y < 10 || x + half > size.x || y + 10 > size.y) continue;
      if (taken.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 20)) continue;
      taken.push({ x, y, half });
      const icon = L.divIcon({ className: "name", html: CityPages.element("span", area.name), iconSize: [2 * half, 20] });
      L.marker(where, { icon, interactive: false, keyboard: false, zIndexOffset: -1000 }).addTo(this.names);
    }
  }

  _listen(box) {
    const { map } = this, { rows, columns } = this.ground;
    // A finger moves the page until the map is zoomed, and the wheel zooms only a map that was clicked.
    const drag = () => map.dragging[map.getZoom() > map.getMinZoom() ? "enable" : "disable"]();
    map.on("zoomend", drag);
    drag();
    box.addEventListener("focus", () => map.scrollWheelZoom.enable());
    box.addEventListener("blur", () => map.scrollWheelZoom.disable());
    const steps = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    box.addEventListener("keydown", (event) => {
      if (event.key in steps && this.cells.size) {
        event.preventDefault();
        if (this.chosen === null) { this.choose(this.first ?? this.cells.keys().next().value); return; }
        const [up, right] = steps[event.key];
        let row = Math.floor(this.chosen / columns) + up, column = this.chosen % columns + right;
        // Over gaps in the coverage to the next covered cell.
        for (; row >= 0 && row < rows && column >= 0 && column < columns; row += up, column += right) {
          if (this.cells.has(row * columns + column)) { this.choose(row * columns + column); return; }
        }
      } else if ("+=".includes(event.key)) map.zoomIn();
      else if (event.key === "-") map.zoomOut();
      else if (event.key === "0") this._fit();
      else if (event.key === "Escape") this.choose(null);
    });
  }
}

/* Up to a hundred thousand points, set as pixels of a picture, which takes milliseconds. */
const Dots = L.Layer.extend({
  initialize(points, groups, colours) {
    const pixels = points.map((point) => L.CRS.EPSG3857.latLngToPoint(L.latLng(point), 0));
    Object.assign(this, { x: pixels.map(({ x }) => x), y: pixels.map(({ y }) => y), groups, colours, shown: [], count: 0 });
  },
  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "", map.getPane("frames"));
    map.on("moveend resize", this.draw, this);
    CityPages.onTheme(() => this.draw());
  },
  show(shown, count) {
    Object.assign(this, { shown, count });
    this.draw();
  },
  draw() {
    const map = this._map, { x: width, y: height } = map.getSize(), scale = 2 ** map.getZoom(), origin = map.getPixelBounds().min;
    const picture = new ImageData(width, height), pixels = new Uint32Array(picture.data.buffer);
    const paints = this.colours.map((name) => {
      const [red, green, blue] = CityPages.colour(name).match(/\d+/g).map(Number);
      return 0xff000000 | blue << 16 | green << 8 | red;
    });
    const side = Math.round((this.count > 20000 ? 2 : 3) + map.getZoom() - map.getMinZoom());
    for (let at = 0; at < this.count; at += 1) {
      const point = this.shown[at], paint = paints[this.groups[point]];
      const left = Math.round(this.x[point] * scale - origin.x - side / 2), top = Math.round(this.y[point] * scale - origin.y - side / 2);
      if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
      for (let row = top; row < top + side; row += 1) pixels.fill(paint, row * width + left, row * width + left + side);
    }
    Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d").putImageData(picture, 0, 0);
    L.DomUtil.setPosition(this.canvas, map.containerPointToLayerPoint([0, 0]));
  },
});

document.addEventListener("DOMContentLoaded", async () => {
  const figure = byId("coverage");
  if (!figure) return;
  const ground = await CityPages.load("ground"), map = new CityMap(figure, ground), numbers = Object.keys(ground.places).map(Number);
  map.describe = (number) => [ground.places[number]];
  map.setCells(numbers, numbers.map(() => 2));
  document.body.dataset.drawn = "yes";
});
