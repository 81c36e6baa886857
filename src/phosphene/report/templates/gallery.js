"use strict";
(() => {
  const find = id => document.getElementById(id);
  const search = find("search"), sort = find("sort"), order = find("order"), kind = find("kind"), jump = find("jump");
  const chapters = [...document.querySelectorAll(".chapter-part")], flat = find("sorted");
  const cards = [...document.querySelectorAll(".wall-cards > li")].map((item, place) => ({
    item, place, home: item.parentElement, text: `${item.dataset.name} ${item.dataset.family}`.toLowerCase(),
  }));
  const falls = {agreement: false, fidelity: false, name: false, family: false, area: false, difference: true};
  let reversed = false;
  document.body.classList.remove("no-script");

  const value = (card, key) => key === "name" ? card.item.dataset.name.toLowerCase() : Number(card.item.dataset[key] ?? 2);
  const compare = key => (a, b) => {
    const [x, y] = [value(a, key), value(b, key)];
    return ((x > y) - (x < y)) * (falls[key] === reversed ? 1 : -1) || a.place - b.place;
  };

  function arrange() {
    const key = sort.value, grouped = key === "family";
    const ordered = grouped ? (reversed ? [...cards].reverse() : cards) : [...cards].sort(compare(key));
    const grown = new Map();
    for (const card of ordered) {
      const target = grouped ? card.home : flat;
      if (!grown.has(target)) grown.set(target, document.createDocumentFragment());
      grown.get(target).append(card.item);
    }
    for (const [target, fragment] of grown) target.append(fragment);
    if (grouped) find("chapters").append(...(reversed ? [...chapters].reverse() : chapters));
    find("chapters").hidden = !grouped;
    flat.hidden = grouped;
    order.textContent = falls[key] !== reversed ? "↑" : "↓";
  }

  function narrow() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const {item, text} of cards) {
      const fits = words.every(word => text.includes(word)) && (!kind.value || item.dataset.kind.includes(kind.value));
      if (item.hidden === fits) item.hidden = !fits;
      shown += fits;
    }
    for (const chapter of chapters) chapter.hidden = sort.value === "family" && !chapter.querySelector("li:not([hidden])");
    find("empty").hidden = shown > 0;
    find("count").textContent = shown === cards.length ? `${shown} classes` : `${shown} of ${cards.length} classes`;
  }

  function remember() {
    const state = new URLSearchParams();
    for (const [name, text] of [["q", search.value], ["sort", sort.value], ["kind", kind.value], ["up", reversed ? "1" : ""]])
      if (text && text !== "family") state.set(name, text);
    history.replaceState(null, "", state.size ? `#?${state}` : location.pathname);
  }

  function recall() {
    if (location.hash === "#search") search.focus();
    if (!location.hash.startsWith("#?")) return;
    const state = new URLSearchParams(location.hash.slice(2));
    search.value = state.get("q") ?? "";
    sort.value = state.get("sort") ?? "family";
    kind.value = state.get("kind") ?? "";
    reversed = state.has("up");
  }

  function update() { arrange(); narrow(); remember(); }

  function move(key) {
    const tiles = [...document.querySelectorAll("li:not([hidden]) > .tile")].filter(tile => tile.offsetParent);
    const here = tiles.indexOf(document.activeElement);
    if (here < 0) return tiles[0];
    if (key === "ArrowLeft" || key === "ArrowRight") return tiles[here + (key === "ArrowRight" ? 1 : -1)];
    const box = tiles[here].getBoundingClientRect(), down = key === "ArrowDown" ? 1 : -1;
    let best = null, row = null;
    for (let place = here + down; tiles[place]; place += down) {
      const other = tiles[place].getBoundingClientRect();
      if (Math.abs(other.top - box.top) < 4) continue;
      row ??= other.top;
      if (Math.abs(other.top - row) > 4) break;
      const distance = Math.abs(other.left - box.left);
      if (!best || distance < best.distance) best = {tile: tiles[place], distance};
    }
    return best?.tile;
  }

  addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const typing = event.target.closest("input, select");
    if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); search.select(); return; }
    if (event.key === "Escape" && event.target === search) { search.value = ""; update(); search.blur(); return; }
    const leaves = event.target === search && event.key === "ArrowDown";
    if (!event.key.startsWith("Arrow") || (typing && !leaves)) return;
    const tile = move(event.key);
    if (tile) { event.preventDefault(); tile.focus(); tile.parentElement.scrollIntoView({block: "nearest"}); }
  });
  search.addEventListener("input", () => { narrow(); remember(); });
  kind.addEventListener("change", update);
  sort.addEventListener("change", () => { reversed = false; update(); });
  order.addEventListener("click", () => { reversed = !reversed; update(); });
  jump?.addEventListener("change", () => {
    if (!jump.value) return;
    sort.value = "family"; search.value = ""; kind.value = ""; reversed = false; update();
    find(jump.value).scrollIntoView(); jump.value = "";
  });
  recall();
  if (location.hash.startsWith("#?")) { arrange(); narrow(); }
})();
