// The page's filter by layer, or by line where no line says its layer; kept in the address after `layers=` or `lines=`.

const chosenInAddress = (kind) => {
  const found = location.hash.match(new RegExp(`[#&]${kind}=([^&]*)`));
  return found ? new Set(found[1].split(",").filter(Boolean).map(decodeURIComponent)) : null;
};

const rememberInAddress = (kind, chosen) => {
  const anchor = location.hash.slice(1).split("&").filter((part) => part && !part.startsWith(`${kind}=`)).join("&");
  const named = chosen.length ? `${kind}=${chosen.map(encodeURIComponent).join(",")}` : "";
  const hash = [anchor, named].filter(Boolean).join("&");
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
};

const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;

// What can be chosen, by name: the figures and studies that have it, and what its lines are called there.
const choicesOf = (figures) => {
  const found = new Map();
  for (const { section, panels } of figures) {
    for (const { key, label, kind } of panels.flatMap(({ panel }) => panel.series ?? [])) {
      if (key === null || kind === "theory") continue;
      if (!found.has(key)) found.set(key, { name: key, figures: new Set(), studies: new Set(), called: new Set([key]) });
      const choice = found.get(key);
      choice.figures.add(section);
      choice.studies.add(section.parentElement.id);
      choice.called.add(label);
    }
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
};

// A predicted line goes with the line it is of; a line of no layer with none: it is never hidden.
const setKeys = (figures) => {
  const series = figures.flatMap(({ panels }) => panels.flatMap(({ panel }) => panel.series ?? []));
  const layered = series.some((one) => one.layer);
  for (const one of series) one.key = (layered ? one.layer : one.kind === "theory" ? one.of : one.label) ?? null;
  return layered ? "layers" : "lines";
};

// One box a choice, those of several studies before the others.
const groupsOf = (choices, chosen, changed) => {
  const option = (choice) => {
    const box = element("input", { type: "checkbox", value: choice.name });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(choice.name); else chosen.delete(choice.name);
      changed();
    });
    const { studies, figures } = choice;
    const where = studies.size > 1 ? plural(studies.size, "study", "studies") : plural(figures.size, "figure", "figures");
    return Object.assign(choice, { box, label: element("label", {}, box, ` ${choice.name} `, element("small", { textContent: where })) });
  };
  const many = choices.filter(({ studies }) => studies.size > 1);
  const parts = many.length ? [["In several studies", many], ["In one study", choices.filter((one) => !many.includes(one))]] : [["", choices]];
  return parts.filter(([, those]) => those.length).map(([title, those]) => {
    const legend = title ? [element("legend", { textContent: title })] : [];
    return element("fieldset", {}, ...legend, element("div", { className: "options" }, ...those.map((one) => option(one).label)));
  });
};

// `figures` are {section, panels: [{panel, holder, live}]}; panels without lines (heat maps) are left alone.
const makeFilter = (figures) => {
  const kind = setKeys(figures);
  const [title, one] = kind === "layers" ? ["Layers", "layer"] : ["Lines", "line"];
  const choices = choicesOf(figures);
  if (choices.length < 2) return;
  const known = (names) => [...names ?? []].filter((name) => choices.some((choice) => choice.name === name));
  const chosen = new Set(known(chosenInAddress(kind)));
  const summary = element("summary");
  const groups = groupsOf(choices, chosen, () => changed());
  const all = element("button", { type: "button", textContent: "Show all" });
  all.addEventListener("click", () => { chosen.clear(); changed(); });
  const search = element("input", { type: "search", className: "filter", placeholder: `Find a ${one} …` });
  search.setAttribute("aria-label", `Find a ${one} in this list`);
  const none = element("p", { className: "note", textContent: `No ${one} of this page is called so.`, hidden: true });
  none.setAttribute("role", "status");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase();
    for (const { label, called } of choices) label.hidden = ![...called].some((name) => name.toLowerCase().includes(words));
    for (const group of groups) group.hidden = !group.querySelector("label:not([hidden])");
    none.hidden = groups.some((group) => !group.hidden);
  });
  const bar = element("details", { className: "layers" }, summary,
    element("div", { className: "choice" }, element("div", { className: "find" }, search, all), none, ...groups));
  document.querySelector("main").before(bar);
  document.addEventListener("click", (event) => { if (!bar.contains(event.target)) bar.open = false; });
  bar.addEventListener("keydown", (event) => { if (event.key === "Escape") { bar.open = false; summary.focus(); } });

  function changed() {
    for (const { box, name } of choices) box.checked = chosen.has(name);
    all.disabled = chosen.size === 0;
    const named = choices.map(({ name }) => name).filter((name) => chosen.has(name));
    const having = new Set(choices.filter(({ name }) => chosen.has(name)).flatMap((choice) => [...choice.figures]));
    const shown = named.length ? `${named.join(", ")} (in ${having.size} of ${plural(figures.length, "figure", "figures")})` : "all";
    summary.textContent = `${title} shown: ${shown}`;
    for (const figure of figures) filterFigure(figure, chosen);
    rememberInAddress(kind, named);
  }
  changed();
  addEventListener("hashchange", () => {
    const wanted = chosenInAddress(kind);
    if (wanted) { chosen.clear(); for (const name of known(wanted)) chosen.add(name); }
    changed();
  });
};

// A panel none of whose layers is chosen is left out, and the figure says so; a panel of no layers stays.
const filterFigure = ({ section, panels }, chosen) => {
  let gone = 0;
  for (const { panel, holder, live } of panels) {
    if (!panel.series) continue;
    for (const series of panel.series) series.filtered = chosen.size > 0 && series.key !== null && !chosen.has(series.key);
    const own = panel.series.filter((series) => series.kind !== "theory" && series.key !== null);
    const without = own.length > 0 && own.every((series) => series.filtered);
    gone += without ? 1 : 0;
    holder.classList.toggle("without", without);
    apply(panel, holder);
    live.plot?.redraw();
  }
  section.classList.toggle("without", gone === panels.length);
  const said = section.querySelector(".left-out");
  said.hidden = gone === 0;
  said.textContent = gone === panels.length ? "Nothing of what is chosen above is in this figure."
    : `Nothing of what is chosen above is in ${gone} of the ${panels.length} panels, left out here.`;
};
