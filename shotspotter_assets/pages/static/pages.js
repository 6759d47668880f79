/* What all pages share: loading of data beside the page, chances in words, the theme, and the map of a city.
   All text goes in as text, never as HTML: names of streets, files and types are whatever users have. */
"use strict";

const CityPages = (() => {
  const values = new Map(), waiting = new Map();

  /* Called by data files. A page from the disk may not fetch, but it may load scripts. */
  function data(name, value) {
    values.set(name, value);
    (waiting.get(name) || []).forEach((resolve) => resolve(value));
    waiting.delete(name);
  }

  /* A promise of the data in `<name>.js` beside the page. */
  function load(name, folder = "") {
    if (values.has(name)) return Promise.resolve(values.get(name));
    return new Promise((resolve, reject) => {
      const first = !waiting.has(name);
      waiting.set(name, [...(waiting.get(name) || []), resolve]);
      if (!first) return;
      const script = document.createElement("script");
      script.src = folder + encodeURIComponent(name) + ".js";
      script.onerror = () => { waiting.delete(name); reject(new Error(`${name}.js is missing beside this page.`)); };
      document.head.append(script);
    });
  }

  function loadScript(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${address} is missing.`));
      document.head.append(script);
    });
  }

  /* A probability in words, as `chances.py` has it. */
  function chance(probability, ground) {
    if (probability > ground.min_in_ten) return `${Math.min(Math.round(probability * 10), 9)} in 10`;
    const last = ground.one_in[ground.one_in.length - 1];
    if (probability < 1 / (last * 1.25)) return `less than 1 in ${last.toLocaleString("en")}`;
    let best = ground.one_in[0], least = Infinity;
    for (const number of ground.one_in) {
      const away = Math.max(number * probability, 1 / (number * probability));
      if (away < least) { least = away; best = number; }
    }
    return `1 in ${best.toLocaleString("en")}`;
  }

  function classOf(probability, ground) {
    let at = 0;
    while (at + 1 < ground.classes.length && probability >= ground.classes[at + 1][0]) at += 1;
    return at;
  }

  function amount(number) {
    if (number >= 10) return number.toFixed(0);
    return number >= 1 ? number.toFixed(1) : number >= 0.095 ? number.toFixed(1) : number.toFixed(2);
  }

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  /* What a link or a reader has chosen, in the part of the address behind #. */
  function chosen() {
    return new URLSearchParams(location.hash.slice(1));
  }

  function choose(entries) {
    const params = chosen();
    for (const [name, value] of Object.entries(entries)) {
      if (value === "" || value === null || value === undefined) params.delete(name); else params.set(name, value);
    }
    const text = params.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  const themeListeners = [];
  function onTheme(listener) { themeListeners.push(listener); }
  function tellTheme() { themeListeners.forEach((listener) => listener()); }

  function remember(name, value) { try { localStorage.setItem(name, value); } catch { /* some browsers forbid it on file: */ } }
  function remembered(name) { try { return localStorage.getItem(name); } catch { return null; } }

  function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function setUpTheme() {
    const button = document.getElementById("theme");
    if (!button) return;
    const show = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = isDark() ? "light" : "dark";
      remember("theme", document.documentElement.dataset.theme);
      show();
      tellTheme();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { show(); tellTheme(); });
    button.hidden = false;
    show();
  }

  /* What a page says about days gone by cannot be known when it is made. */
  function tellAge() {
    const note = document.getElementById("age");
    if (!note) return;
    const end = new Date(note.dataset.ends);
    const days = Math.floor((Date.now() - end.getTime()) / 86400000);
    if (!(Date.now() > end.getTime())) return;
    note.querySelector("p").textContent = `${note.dataset.day} is over${days >= 1
      ? ` (for ${days.toLocaleString("en")} ${days === 1 ? "day" : "days"})` : ""}. There is no newer forecast here: `
      + "look whether the daily runs go on, and reload this page.";
    note.hidden = false;
  }

  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  document.addEventListener("DOMContentLoaded", () => { 
    setUpTheme();
    tellAge();
    // On a phone the tabs are wider than the screen.
    const tab = document.querySelector("nav.tabs [aria-current]");
    if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.clientWidth / 2 + tab.offsetWidth / 2;
    document.querySelectorAll("button[data-print]").forEach((button) => button.addEventListener("click", () => print()));
  });

  return { data, load, loadScript, chance, classOf, amount, element, colour, chosen, choose, onTheme, isDark };
})();

/* The map of a city on a canvas: cells, streets, districts, points and numbered marks; zoomed by buttons, double click and
   keys, moved by dragging. The arrow keys go from cell to cell. */
class CityMap {
  constructor(figure, ground) {
    this.figure = figure;
    this.ground = ground;
    this.canvas = figure.querySelector("canvas");
    this.canvas.map = this;
    this.cells = null;      // {numbers, classes}
    this.outlined = [];     // numbers of cells with a frame
    this.points = null;     // {x, y, group, shown: indices, count, radius, colours}
    this.marks = [];        // {x, y, text}
    this.streets = [];      // {lines, path, class}
    this.chosen = null;
    this.chosenStreet = null;
    this.describe = () => [];
    this.describeStreet = () => [];
    this.onChoose = () => {};
    this.onChooseStreet = () => {};
    this.others = [this];
    this.view = { zoom: 1, x: ground.width / 2, y: ground.height / 2 };
    this.tip = CityPages.element("div", undefined, "tip");
    this.tip.hidden = true;
    figure.append(this.tip);
    this.says = figure.querySelector(".says");
    this._cellPaths();
    this._addButtons();
    this._listen();
    new ResizeObserver(() => this._resize()).observe(this.canvas);
    CityPages.onTheme(() => this.draw());
    this._loadTiles();
    this._resize();
  }

  /* The base map, where the city's file names one: a tile that does not come leaves its place blank. */
  _loadTiles() {
    this.tiles = [];
    for (const tile of this.ground.tiles) {
      const picture = new Image();
      picture.addEventListener("load", () => { this.tiles.push({ ...tile, picture }); this._draw(); });
      picture.src = tile.address;
    }
    if (this.ground.tiles.length) this.figure.append(CityPages.element("small", this.ground.attribution, "attribution"));
  }

  /* Its lines and names are blended with the colours of the cells, so that both can be read. */
  _drawTiles(context) {
    if (!this.tiles.length) return;
    const dark = CityPages.isDark(), { width, height } = this.ground;
    const [left, top] = this._toPixels(0, height), [right, bottom] = this._toPixels(width, 0);
    context.save();
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = CityPages.colour("map");
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.globalCompositeOperation = dark ? "screen" : "multiply";
    context.globalAlpha = .7;
    context.filter = dark ? "grayscale(1) invert(1)" : "grayscale(1)";
    for (const tile of this.tiles) {
      const [x, y] = this._toPixels(tile.west, tile.north).map(Math.round);
      const [far, low] = this._toPixels(tile.east, tile.south).map(Math.round);
      context.drawImage(tile.picture, x, y, far - x, low - y);
    }
    context.restore();
  }

  /* The same part of the city on another map. */
  link(other) {
    const all = [...new Set([...this.others, ...other.others])];
    all.forEach((map) => { map.others = all; map.view = this.view; });
  }

  setCells(numbers, classes) { this.cells = { numbers, classes }; this.at = new Map(numbers.map((number, at) => [number, at])); this.draw(); }

  /* Streets over the cells, the first of them on top; their class is its place in the legend. */
  setStreets(streets, classOf) {
    this.streets = streets.map((street) => ({ lines: street.lines, path: this._path(street.lines), class: classOf(street) }));
    if (!this.streets.length && this.chosenStreet !== null) this.chooseStreet(null);
    this.draw();
  }

  chooseStreet(at) {
    this.chosenStreet = at;
    if (at !== null && this.chosen !== null) this.choose(null);
    if (this.says) this.says.textContent = at === null ? "" : this.describeStreet(at).join(" \u00b7 ");
    if (at !== null && this.view.zoom > 1) this._show(...this.streets[at].lines[0]);
    this.onChooseStreet(at);
    this.draw();
  }

  /* The street within so many pixels of a point of the canvas, or null. */
  streetAt(px, py) {
    const [x, y] = this._toMetres(px, py);
    let best = null, least = 7 * this.ratio / this.scale;
    this.streets.forEach((street, at) => {
      for (const line of street.lines) {
        for (let from = 0; from + 3 < line.length; from += 2) {
          const dx = line[from + 2] - line[from], dy = line[from + 3] - line[from + 1];
          const along = Math.min(Math.max(((x - line[from]) * dx + (y - line[from + 1]) * dy) / (dx * dx + dy * dy || 1), 0), 1);
          const away = Math.hypot(line[from] + along * dx - x, line[from + 1] + along * dy - y);
          if (away < least) { least = away; best = at; }
        }
      }
    });
    return best;
  }

  centre(number) {
    const { rows, columns, width, height } = this.ground;
    const row = Math.floor(number / columns), column = number % columns;
    return [(column + .5) * width / columns, (row + .5) * height / rows];
  }

  choose(number, tell = true) {
    this.chosen = number;
    if (number !== null && this.chosenStreet !== null) this.chooseStreet(null);
    if (this.says) this.says.textContent = number === null ? "" : this.describe(number).join(" \u00b7 ");
    if (number !== null && this.view.zoom > 1) this._show(...this.centre(number));
    if (tell) this.onChoose(number);
    this.draw();
  }

  draw() {
    this.others.forEach((map) => {
      if (map.due) return;
      map.due = true;
      requestAnimationFrame(() => { map.due = false; map._draw(); });
    });
  }

  _path(lines) {
    const made = new Path2D(), height = this.ground.height;
    for (const line of lines) {
      made.moveTo(line[0], height - line[1]);
      for (let at = 2; at < line.length; at += 2) made.lineTo(line[at], height - line[at + 1]);
    }
    return made;
  }

  _cellPaths() {
    this.streetPath = this._path(this.ground.streets.flatMap((street) => street.lines));
    this.parkPath = this._path(this.ground.parks.flatMap((park) => park.lines));
    this.districtPath = this._path(this.ground.districts.flatMap((district) => district.lines));
  }

  _resize() {
    const ratio = window.devicePixelRatio || 1, width = this.canvas.clientWidth || 300;
    const aspect = Math.min(Math.max(this.ground.height / this.ground.width, .6), 1.25);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(width * aspect * ratio);
    this.ratio = ratio;
    this._draw();
  }

  get scale() {
    return Math.min(this.canvas.width / this.ground.width, this.canvas.height / this.ground.height) * .98 * this.view.zoom;
  }

  _toPixels(x, y) {
    const scale = this.scale;
    return [(x - this.view.x) * scale + this.canvas.width / 2, (this.view.y - y) * scale + this.canvas.height / 2];
  }

  _toMetres(px, py) {
    const scale = this.scale;
    return [(px - this.canvas.width / 2) / scale + this.view.x, this.view.y - (py - this.canvas.height / 2) / scale];
  }

  numberAt(px, py) {
    const { rows, columns, width, height } = this.ground, [x, y] = this._toMetres(px, py);
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const number = Math.floor(y / height * rows) * columns + Math.floor(x / width * columns);
    return this.at && this.at.has(number) ? number : null;
  }

  _draw() {
    const canvas = this.canvas, context = canvas.getContext("2d"), ratio = this.ratio, scale = this.scale;
    const { rows, columns, width, height } = this.ground;
    // A finger moves the map once it is zoomed, and the page before.
    canvas.style.touchAction = this.view.zoom > 1 ? "none" : "";
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const edge = (column, row) => this._toPixels(column * width / columns, row * height / rows).map(Math.round);
    const box = (number) => {
      const row = Math.floor(number / columns), column = number % columns;
      const [left, bottom] = edge(column, row), [right, top] = edge(column + 1, row + 1);
      return [left, top, right - left, bottom - top];
    };
    if (this.cells) {
      const colours = this.ground.classes.map((_, at) => CityPages.colour(`class-${at}`));
      this.cells.numbers.forEach((number, at) => {
        context.fillStyle = colours[this.cells.classes[at]];
        context.fillRect(...box(number));
      });
    }
    this._drawTiles(context);
    const [left, top] = this._toPixels(0, height);
    context.setTransform(scale, 0, 0, scale, left, top);
    context.lineJoin = "round";
    context.strokeStyle = CityPages.colour("park");
    context.lineWidth = 1.6 * ratio / scale;
    context.stroke(this.parkPath);
    context.strokeStyle = CityPages.colour("street");
    context.lineWidth = (this.view.zoom > 2 ? 1.6 : .8) * ratio / scale;
    context.stroke(this.streetPath);
    context.strokeStyle = CityPages.colour("district");
    context.lineWidth = 1.4 * ratio / scale;
    context.stroke(this.districtPath);
    this._drawStreets(context, ratio / scale);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.points) this._drawPoints(context, ratio);
    context.strokeStyle = CityPages.colour("text");
    context.lineWidth = 2 * ratio;
    this.outlined.forEach((number) => context.strokeRect(...box(number)));
    if (this.chosen !== null) {
      context.strokeStyle = CityPages.colour("accent");
      context.lineWidth = 4 * ratio;
      context.strokeRect(...box(this.chosen));
    }
    this._drawNames(context, ratio);
    this._drawMarks(context, ratio);
    this._drawScale(context, ratio);
  }

  /* In their own class's colour, with an edge by which they stand out from cells of any. */
  _drawStreets(context, pixel) {
    const stroke = (path, name, width) => {
      context.strokeStyle = CityPages.colour(name);
      context.lineWidth = width * pixel;
      context.stroke(path);
    };
    context.lineCap = "round";
    const inner = 2.5 + Math.log2(this.view.zoom);
    for (const [at, street] of [...this.streets.entries()].reverse()) {
      stroke(street.path, at === this.chosenStreet ? "accent" : "text", inner + (at === this.chosenStreet ? 6 : 2.5));
      stroke(street.path, `class-${street.class}`, inner);
    }
    context.lineCap = "butt";
  }

  /* Rings are few. Dots may be a hundred thousand: they are set as pixels of a picture, which takes milliseconds. */
  _drawPoints(context, ratio) {
    const { x, y, group, shown, count, radius, colours, ring } = this.points, scale = this.scale;
    const dx = this.canvas.width / 2 - this.view.x * scale, dy = this.canvas.height / 2 + this.view.y * scale;
    if (ring) {
      context.strokeStyle = CityPages.colour(colours[0]);
      context.lineWidth = 2.5 * ratio;
      for (let at = 0; at < count; at += 1) {
        context.beginPath();
        context.arc(x[at] * scale + dx, dy - y[at] * scale, radius * ratio, 0, 2 * Math.PI);
        context.stroke();
      }
      return;
    }
    const { width, height } = this.canvas, picture = new ImageData(width, height), pixels = new Uint32Array(picture.data.buffer);
    const paints = colours.map((name) => {
      const hex = CityPages.colour(name);
      return 0xff000000 | parseInt(hex.slice(5, 7), 16) << 16 | parseInt(hex.slice(3, 5), 16) << 8 | parseInt(hex.slice(1, 3), 16);
    });
    const side = Math.round((radius + Math.log2(this.view.zoom)) * ratio);
    for (let at = 0; at < count; at += 1) {
      const point = shown[at], left = Math.round(x[point] * scale + dx - side / 2), top = Math.round(dy - y[point] * scale - side / 2);
      if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
      const paint = paints[group[point]];
      for (let row = top; row < top + side; row += 1) pixels.fill(paint, row * width + left, row * width + left + side);
    }
    this.layer = this.layer || document.createElement("canvas");
    this.layer.width = width;
    this.layer.height = height;
    this.layer.getContext("2d").putImageData(picture, 0, 0);
    context.drawImage(this.layer, 0, 0);
  }

  _text(context, ratio, text, x, y) {
    context.lineWidth = 3 * ratio;
    context.strokeStyle = CityPages.colour("surface");
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  _drawNames(context, ratio) {
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const taken = [];
    const free = (x, y, text) => {
      const half = context.measureText(text).width / 2 + 4 * ratio, tall = 9 * ratio;
      if (x - half < 0 || y < tall || x + half > this.canvas.width || y + tall > this.canvas.height) return false;
      if (taken.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 2 * tall)) return false;
      taken.push({ x, y, half });
      return true;
    };
    context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    context.fillStyle = CityPages.colour("text");
    for (const district of this.ground.districts) {
      const [x, y] = this._toPixels(...district.label);
      if (free(x, y, district.name)) this._text(context, ratio, district.name, x, y);
    }
    if (this.view.zoom < 4) return;
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.fillStyle = CityPages.colour("park");
    for (const park of this.ground.parks) {
      const [x, y] = this._toPixels(...park.label);
      if (free(x, y, park.name)) this._text(context, ratio, park.name, x, y);
    }
    context.fillStyle = CityPages.colour("muted");
    for (const street of this.ground.streets) {
      for (const line of street.lines) {
        const at = 2 * Math.floor(line.length / 4), [x, y] = this._toPixels(line[at], line[at + 1]);
        if (x > 0 && y > 0 && x < this.canvas.width && y < this.canvas.height && free(x, y, street.name)) {
          this._text(context, ratio, street.name, x, y);
          break;
        }
      }
    }
  }

  _drawMarks(context, ratio) {
    context.font = `700 ${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const mark of [...this.marks].reverse()) {
      const [x, y] = this._toPixels(mark.x, mark.y);
      context.beginPath();
      context.arc(x, y, 9 * ratio, 0, 2 * Math.PI);
      context.fillStyle = CityPages.colour("text");
      context.fill();
      context.lineWidth = 1.5 * ratio;
      context.strokeStyle = CityPages.colour("surface");
      context.stroke();
      context.fillStyle = CityPages.colour("surface");
      context.fillText(mark.text, x, y + .5 * ratio);
    }
  }

  _drawScale(context, ratio) {
    const metres = [100, 200, 500, 1000, 2000, 5000, 10000].find((length) => length * this.scale > 50 * ratio) || 20000;
    const x = 10 * ratio, y = this.canvas.height - 12 * ratio;
    context.strokeStyle = context.fillStyle = CityPages.colour("text");
    context.lineWidth = 2 * ratio;
    context.strokeRect(x, y, metres * this.scale, 0);
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    this._text(context, ratio, metres < 1000 ? `${metres} m` : `${metres / 1000} km`, x, y - 3 * ratio);
  }

  _show(x, y) {
    const { width, height } = this.ground, half = .5 / this.view.zoom;
    this.view.x = Math.min(Math.max(x, width * half), width * (1 - half));
    this.view.y = Math.min(Math.max(y, height * half), height * (1 - half));
  }

  zoomBy(factor, px = this.canvas.width / 2, py = this.canvas.height / 2) {
    const [x, y] = this._toMetres(px, py);
    this.view.zoom = Math.min(Math.max(this.view.zoom * factor, 1), 32);
    const [nx, ny] = this._toMetres(px, py);
    this._show(this.view.x + x - nx, this.view.y + y - ny);
    this.draw();
  }

  _addButtons() {
    const zoom = CityPages.element("div", undefined, "zoom");
    for (const [sign, label, act] of [
      ["+", "Zoom in", () => this._zoomAtChosen(2)],
      ["\u2212", "Zoom out", () => this._zoomAtChosen(.5)],
      ["\u2922", "Whole city", () => this.reset()],
    ]) {
      const button = CityPages.element("button", sign);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.title = label;
      button.addEventListener("click", act);
      zoom.append(button);
    }
    this.figure.append(zoom);
  }

  _zoomAtChosen(factor) {
    if (this.chosen !== null) this._show(...this.centre(this.chosen));
    if (this.chosenStreet !== null) this._show(...this.streets[this.chosenStreet].lines[0]);
    this.zoomBy(factor);
  }

  reset() {
    Object.assign(this.view, { zoom: 1, x: this.ground.width / 2, y: this.ground.height / 2 });
    this.draw();
  }

  _listen() {
    const canvas = this.canvas;
    let held = null;
    const at = (event) => {
      const area = canvas.getBoundingClientRect();
      return [(event.clientX - area.left) * canvas.width / area.width, (event.clientY - area.top) * canvas.height / area.height];
    };
    canvas.addEventListener("pointerdown", (event) => { held = { at: at(event), moved: false }; });
    canvas.addEventListener("pointermove", (event) => {
      const [px, py] = at(event);
      if (held && (event.buttons & 1) && this.view.zoom > 1) {
        if (Math.hypot(px - held.at[0], py - held.at[1]) > 4 * this.ratio) {
          held.moved = true;
          canvas.setPointerCapture(event.pointerId);
        }
        if (held.moved) {
          this._show(this.view.x - (px - held.at[0]) / this.scale, this.view.y + (py - held.at[1]) / this.scale);
          held.at = [px, py];
          this.draw();
        }
      }
      if (event.pointerType === "mouse") this._tip(px, py);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.moved) {
        const street = this.streetAt(...at(event));
        if (street !== null || this.chosenStreet !== null) this.chooseStreet(street);
        if (street === null) this.choose(this.numberAt(...at(event)));
      }
      held = null;
    });
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("dblclick", (event) => this.zoomBy(2, ...at(event)));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.3 : 1 / 1.3, ...at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const { rows, columns } = this.ground;
      const steps = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key in steps && this.at && this.at.size) {
        event.preventDefault();
        if (this.chosen === null) { this.choose(this.first ?? this.cells.numbers[0]); return; }
        const [dr, dc] = steps[event.key];
        let row = Math.floor(this.chosen / columns) + dr, column = this.chosen % columns + dc;
        // Over gaps in the coverage to the next covered cell.
        while (row >= 0 && row < rows && column >= 0 && column < columns) {
          if (this.at.has(row * columns + column)) { this.choose(row * columns + column); return; }
          row += dr; column += dc;
        }
      } else if (event.key === "+" || event.key === "=") this._zoomAtChosen(2);
      else if (event.key === "-") this._zoomAtChosen(.5);
      else if (event.key === "0") this.reset();
      else if (event.key === "Escape") { this.choose(null); if (this.chosenStreet !== null) this.chooseStreet(null); }
    });
  }

  _tip(px, py) {
    const street = this.streetAt(px, py), number = this.numberAt(px, py);
    const lines = street !== null ? this.describeStreet(street) : number === null ? [] : this.describe(number);
    this.tip.hidden = !lines.length;
    if (!lines.length) return;
    this.tip.replaceChildren(...lines.map((line, at) => CityPages.element(at ? "div" : "b", line)));
    const x = px / this.ratio, y = py / this.ratio, width = this.canvas.clientWidth;
    this.tip.style.left = `${Math.min(x + 14, Math.max(width - 220, 0))}px`;
    this.tip.style.top = `${y + 16}px`;
  }
}
