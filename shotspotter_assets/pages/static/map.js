/* The map of a city by Leaflet: cells as SVG that the style sheet colours, over a base map and under streets, districts and marks. */
"use strict";

class CityMap {
  constructor(figure, ground) {
    this.ground = ground;
    this.describe = () => [];
    const [south, west, north, east] = ground.box, numbers = Object.keys(ground.places).map(Number);
    this.extent = numbers.length ? L.latLngBounds(numbers.flatMap((number) => this.bounds(number))) : L.latLngBounds([south, west], [north, east]);
    const { lat } = this.extent.getCenter(), [[bottom, left], [top, right]] = [this.extent.getSouthWest(), this.extent.getNorthEast()].map((corner) => [corner.lat, corner.lng]);
    figure.style.setProperty("--aspect", (right - left) * Math.cos(lat * Math.PI / 180) / (top - bottom));
    this.map = L.map(figure.querySelector(".canvas"), { attributionControl: false, zoomControl: false, scrollWheelZoom: false, zoomSnap: .1, maxZoom: 18 });
    figure.map = this;
    this.map.fitBounds(this.extent);
    this.map.setMaxBounds(this.extent.pad(.5));
    L.control.scale({ imperial: false, maxWidth: 180 }).addTo(this.map);
    L.control.zoom({ position: "bottomright" }).addTo(this.map);
    if (ground.tiles) {
      figure.classList.add("has-tiles");
      L.tileLayer(ground.tiles, { maxZoom: 18, bounds: this.extent.pad(.5) }).addTo(this.map);
      figure.append(CityPages.element("small", ground.attribution, "attribution"));
    }
    ["cells", "ground", "frames", "names"].forEach((name, at) => { this.map.createPane(name).style.zIndex = 350 + 10 * at; });
    for (const [name, shapes] of Object.entries(ground.layers)) {
      L.geoJSON(shapes, { pane: "ground", interactive: false, style: { className: name, fill: false },
        onEachFeature: (feature, layer) => {
          if (name === "districts") layer.bindTooltip(this.text([feature.properties.name]), { pane: "names", permanent: true, direction: "center", className: "name" });
        } }).addTo(this.map);
    }
    for (const name of ["cellLayer", "frames", "marks", "lines"]) this[name] = L.featureGroup().addTo(this.map);
    this.cellLayer.bindTooltip((cell) => this.text([ground.places[cell.number], ...this.describe(cell.number)]), { sticky: true });
    // The wheel zooms only a map that was clicked.
    this.map.on("focus", () => this.map.scrollWheelZoom.enable()).on("blur", () => this.map.scrollWheelZoom.disable());
  }

  bounds(number) {
    const { rows, columns, box: [south, west, north, east] } = this.ground, row = Math.floor(number / columns), column = number % columns;
    const at = (y, x) => [south + y / rows * (north - south), west + x / columns * (east - west)];
    return [at(row, column), at(row + 1, column + 1)];
  }

  text(lines) {
    const box = CityPages.element("div");
    box.append(...lines.filter(Boolean).map((line, at) => CityPages.element(at ? "div" : "b", line)));
    return box;
  }

  /* Colour cells by classes of the legend. */
  setCells(numbers, classes) {
    this.cellLayer.clearLayers();
    numbers.forEach((number, at) => {
      const cell = L.rectangle(this.bounds(number), { pane: "cells", stroke: false, className: `cell class-${classes[at]}` });
      cell.number = number;
      cell.addTo(this.cellLayer);
    });
  }

  /* Frame cells. */
  setFrames(numbers) {
    this.frames.clearLayers();
    numbers.forEach((number) => L.rectangle(this.bounds(number), { pane: "frames", className: "frame", fill: false, interactive: false }).addTo(this.frames));
  }

  /* Mark points, the first on top, with their rank, and draw circles of `reach` metres around them. */
  setMarks(points, reach) {
    this.marks.clearLayers();
    if (reach) points.forEach(({ at }) => L.circle(at, { radius: reach, className: "reach", fill: false, interactive: false }).addTo(this.marks));
    [...points].reverse().forEach(({ at, rank, place }) => {
      const icon = L.divIcon({ className: "rank-mark", html: String(rank), iconSize: [20, 20] });
      L.marker(at, { icon, keyboard: false }).bindTooltip(this.text([place])).addTo(this.marks);
    });
  }

  setRings(points) {
    this.marks.clearLayers();
    points.forEach(({ at, what }) => L.circleMarker(at, { radius: 5, className: "ring", fillOpacity: 0 }).bindTooltip(this.text([what])).addTo(this.marks));
  }

  /* Draw ranked streets, the first on top, in the colours of the legend. */
  setStreets(streets) {
    this.lines.clearLayers();
    [...streets].reverse().forEach(({ geometry, class: kind, lines }) => {
      for (const className of ["street-edge", `street class-${kind}`]) {
        L.geoJSON(geometry, { style: { className } }).bindTooltip(this.text(lines), { sticky: true }).addTo(this.lines);
      }
    });
  }

  /* Show the same part of the city on another map. */
  link(other) {
    let isFollowing = false;
    for (const [from, to] of [[this.map, other.map], [other.map, this.map]]) {
      from.on("moveend", () => {
        if (isFollowing) return;
        isFollowing = true;
        to.setView(from.getCenter(), from.getZoom(), { animate: false });
        isFollowing = false;
      });
    }
  }
}
