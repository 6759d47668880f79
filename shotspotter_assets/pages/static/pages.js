/* Shared by all pages: data beside the page, and charts in the page's colours.
   Text is always set as text, never as HTML: names of streets, files and types are whatever users have. */
"use strict";

const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

const CityPages = (() => {
  const values = new Map(), PAPER_WIDTH = 660;  // of A4 within its margins, in pixels of CSS

  function loadScript(address) {
    return new Promise((resolve, reject) => {
      const script = element("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${address} is missing.`));
      document.head.append(script);
    });
  }

  /* Load the data in `<name>.js` beside the page. A page from the disk may load scripts, but may not fetch. */
  async function load(name) {
    if (!values.has(name)) await loadScript(`${encodeURIComponent(name)}.js`);
    return values.get(name);
  }

  /* Load the data of that name in another folder; each folder has its own. */
  async function loadFrom(folder, name) {
    await loadScript(`${folder}${encodeURIComponent(name)}.js`);
    return values.get(name);
  }

  /* The present state in words: only a sensor compares what is stored with the sources. */
  const present = (now) => `${now.as_of ? "Now" : "Stored so far"}: ${now.data}.`;

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  /* The current colour of a variable of the style sheet, as rgb(...). */
  function colour(name) {
    const probe = element("i");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  function draw(id, data, layout) {
    const text = colour("text"), line = colour("line"), surface = colour("surface");
    const axis = { gridcolor: line, zerolinecolor: line, automargin: true, fixedrange: true, rangemode: "tozero" };
    return Plotly.newPlot(id, data, {
      paper_bgcolor: surface, plot_bgcolor: surface, font: { color: text, family: "system-ui, sans-serif", size: 13 },
      margin: { l: 50, r: 12, t: 10, b: 40 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
    }, { displayModeBar: false, responsive: true });
  }

  /* Show the colours of a map with their chances in words. */
  function showLegend(legend) {
    byId("legend").replaceChildren(...legend.map(([kind, words]) => {
      const line = element("li", words);
      line.prepend(element("i", "", `class-${kind}`));
      return line;
    }));
  }

  /* The age of a page is not known when the page is made. */
  function showAge() {
    all(".age[data-ends]").forEach((note) => { note.hidden = Date.now() < new Date(note.dataset.ends); });
    all(".until[data-ends]").forEach((part) => { part.hidden = Date.now() >= new Date(part.dataset.ends); });
  }
  document.addEventListener("DOMContentLoaded", showAge);
  setInterval(showAge, 60000);

  /* Tables that are wider than the screen say so; those in folded parts once these are opened. */
  document.addEventListener("DOMContentLoaded", () => {
    const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => target.classList.toggle("wide", target.scrollWidth > target.clientWidth)));
    all(".scroll, .prose").forEach((table) => sizes.observe(table));
  });

  /* Paper cannot be unfolded, and maps and charts are not drawn again for its width. */
  const drawings = () => all(".canvas, .chart");
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((part) => { part.open = true; });
    drawings().map((drawing) => [drawing.style, drawing.offsetWidth, drawing.offsetHeight]).forEach(([style, width, height]) => {
      Object.assign(style, { width: `${width}px`, height: `${height}px`, zoom: Math.min(1, PAPER_WIDTH / width) });
    });
  });
  addEventListener("afterprint", () => {
    folded.forEach((part) => { part.open = false; });
    drawings().forEach(({ style }) => ["width", "height", "zoom"].forEach((name) => style.removeProperty(name)));
  });

  return { data: (name, value) => values.set(name, value), load, loadFrom, loadScript, present, element, colour, draw, showLegend };
})();
