/* The overview: the present state of each city, from the file beside its pages that the sensor renews. */
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  for (const card of all("[data-city]")) {
    const now = await CityPages.loadFrom(`../city=${encodeURIComponent(card.dataset.city)}/`, "waiting").catch(() => null);
    if (!now || !now.waits) continue;
    const note = card.querySelector(".present"), sentences = [...(now.made ? [now.made] : []), ...now.waits];
    note.replaceChildren(...sentences.map((sentence) => CityPages.element("p", sentence)));
    note.hidden = !sentences.length;
    const known = card.querySelector(".known");
    if (known) known.textContent = CityPages.present(now);
  }
});
