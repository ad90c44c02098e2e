// The page's filter by layer, kept in the address after `layers=`, behind the place that a link goes to.

const chosenInAddress = () => {
  const found = location.hash.match(/[#&]layers=([^&]*)/);
  return new Set(found ? found[1].split(",").filter(Boolean).map(decodeURIComponent) : []);
};

const rememberInAddress = (chosen) => {
  const anchor = location.hash.slice(1).split("&").filter((part) => part && !part.startsWith("layers=")).join("&");
  const layers = chosen.length ? `layers=${chosen.map(encodeURIComponent).join(",")}` : "";
  const hash = [anchor, layers].filter(Boolean).join("&");
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
};

// `figures` are {section, panels: [{panel, holder, live}]}; panels without series (heat maps) are left alone.
const makeFilter = (figures) => {
  const counts = new Map();
  for (const figure of figures) {
    const keys = figure.panels.flatMap(({ panel }) => (panel.series ?? []).filter((s) => s.kind !== "theory").map((s) => s.key));
    for (const key of new Set(keys)) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const keys = [...counts.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (keys.length < 2) return;
  const chosen = new Set([...chosenInAddress()].filter((key) => counts.has(key)));
  const summary = element("summary");
  const boxes = keys.map((key) => {
    const box = element("input", { type: "checkbox", value: key });
    box.addEventListener("change", () => { if (box.checked) chosen.add(key); else chosen.delete(key); changed(); });
    return box;
  });
  const all = element("button", { type: "button", textContent: "Show all" });
  all.addEventListener("click", () => { chosen.clear(); changed(); });
  const search = element("input", { type: "search", className: "filter", placeholder: "Find a layer …" });
  search.setAttribute("aria-label", "Find a layer in this list");
  const labels = keys.map((key, i) => element("label", {}, boxes[i], ` ${key} `, element("small", { textContent: counts.get(key) })));
  search.addEventListener("input", () => {
    labels.forEach((label, i) => { label.hidden = !keys[i].toLowerCase().includes(search.value.toLowerCase()); });
  });
  const bar = element("details", { className: "layers" }, summary,
    element("div", { className: "choice" }, search, all, element("div", { className: "options" }, ...labels)));
  document.querySelector("main").before(bar);
  document.addEventListener("click", (event) => { if (!bar.contains(event.target)) bar.open = false; });
  bar.addEventListener("keydown", (event) => { if (event.key === "Escape") { bar.open = false; summary.focus(); } });

  function changed() {
    boxes.forEach((box, i) => { box.checked = chosen.has(keys[i]); });
    all.disabled = chosen.size === 0;
    const named = keys.filter((key) => chosen.has(key));
    summary.textContent = named.length ? `Layers: ${named.join(", ")}` : "Layers: all";
    for (const figure of figures) filterFigure(figure, chosen);
    rememberInAddress(named);
  }
  changed();
  addEventListener("hashchange", () => {
    if (/[#&]layers=/.test(location.hash)) {
      chosen.clear();
      for (const key of chosenInAddress()) if (counts.has(key)) chosen.add(key);
    }
    changed();
  });
};

const filterFigure = ({ section, panels }, chosen) => {
  let left = 0;
  for (const { panel, holder, live } of panels) {
    if (!panel.series) { left += 1; continue; }
    for (const series of panel.series) series.filtered = chosen.size > 0 && series.key !== null && !chosen.has(series.key);
    const shown = panel.series.filter((series) => series.kind !== "theory" && !series.filtered).length;
    left += shown;
    holder.classList.toggle("without", shown === 0);
    apply(panel, holder);
    live.plot?.redraw();
  }
  section.classList.toggle("without", left === 0);
};
