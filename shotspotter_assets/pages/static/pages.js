/* Shared by all pages: data beside the page, the theme, the state in the address, and charts in the page's colours.
   Text is always set as text, never as HTML: names of streets, files and types are whatever users have. */
"use strict";

const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

const CityPages = (() => {
  const values = new Map(), themeListeners = [], charts = new Map();

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

  /* The choices of a link or a reader, in the part of the address behind #. */
  function chosen() { return new URLSearchParams(location.hash.slice(1)); }

  function choose(entries) {
    const params = chosen();
    for (const [name, value] of Object.entries(entries)) {
      if (value === "") params.delete(name); else params.set(name, value);
    }
    history.replaceState(null, "", params.size ? `#${params}` : location.pathname + location.search);
  }

  function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function setTheme(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    if (byId("theme")) byId("theme").textContent = isDark() ? "Light" : "Dark";
    themeListeners.forEach((listener) => listener());
  }

  /* Some browsers forbid storage on file: addresses. */
  function stored(theme) {
    try { return theme ? localStorage.setItem("theme", theme) : localStorage.getItem("theme"); } catch { return null; }
  }

  /* The age of a page is not known when the page is made. */
  function showAge(note) {
    const days = Math.floor((Date.now() - new Date(note.dataset.ends)) / 86400000);
    if (days < 0) return;
    note.querySelector("p").textContent = `${note.dataset.day} is over${days
      ? ` (for ${days.toLocaleString("en")} ${days === 1 ? "day" : "days"})` : ""}. There is no newer forecast here: `
      + "check that the daily runs go on, and reload this page.";
    note.hidden = false;
  }

  /* Draw a chart; `make` returns {data, layout} in the current colours. */
  function draw(id, make) {
    const text = colour("text"), line = colour("line"), surface = colour("surface"), { data, layout } = make();
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, fixedrange: true };
    charts.set(id, make);
    return Plotly.react(id, data, {
      paper_bgcolor: surface, plot_bgcolor: surface, font: { color: text, family: "system-ui, sans-serif", size: 13 },
      margin: { l: 50, r: 12, t: 10, b: 40 }, hovermode: "closest", bargap: .08,
      hoverlabel: { bgcolor: surface, bordercolor: line, font: { color: text } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, ...layout,
      xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, rangemode: "tozero", ...layout.yaxis },
    }, { displayModeBar: false, responsive: true });
  }

  setTheme(stored());
  themeListeners.push(() => charts.forEach((make, id) => draw(id, make)));
  document.addEventListener("DOMContentLoaded", () => {
    const button = byId("theme"), tab = document.querySelector("nav.tabs [aria-current]");
    button.addEventListener("click", () => { stored(isDark() ? "light" : "dark"); setTheme(isDark() ? "light" : "dark"); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
    button.hidden = false;
    setTheme();
    all("#age").forEach(showAge);
    // On a phone the tabs are wider than the screen.
    tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.clientWidth / 2 + tab.offsetWidth / 2;
    all("button[data-print]").forEach((one) => one.addEventListener("click", () => print()));
  });

  return {
    data: (name, value) => values.set(name, value), load, loadScript, element, colour, chosen, choose, draw,
    onTheme: (listener) => themeListeners.push(listener),
  };
})();
