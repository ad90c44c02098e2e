// Tables: sorted by any column, searched where they are long, and those of plotted data filled when first opened.

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const sortKey = (row, column) => {
  const cell = row.cells[column];
  const value = Number((cell.dataset.value ?? "nan").replace("inf", "Infinity"));
  return Number.isNaN(value) ? cell.textContent : value;
};

const ascending = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b
    : typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
      : a.localeCompare(b, "en", { numeric: true });

const makeSortable = (table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const rows = [...body.rows].sort((a, b) => sign * ascending(sortKey(a, column), sortKey(b, column)));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...rows);
    });
  });
};

const makeSearchable = (table) => {
  if (table.tBodies[0].rows.length <= 12) return;
  const search = element("input", { type: "search", className: "filter", placeholder: "Show rows that contain …" });
  search.setAttribute("aria-label", `Filter the rows of: ${table.caption.textContent}`);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(words);
  });
  table.parentElement.before(search);
};

const dataCell = (value) => {
  if (typeof value === "string") return element("td", { textContent: value });
  const cell = element("td", { className: "number", textContent: value === null ? "–" : number(value) });
  cell.dataset.value = value === null ? "nan" : String(value).replace("Infinity", "inf");
  return cell;
};

const dataTable = (panel) => {
  const [columns, rows] = tabulated(panel);
  const head = columns.map((name) => element("th", { scope: "col", textContent: name }));
  const body = rows.map((row) => element("tr", {}, ...row.map(dataCell)));
  const table = element("table", {},
    element("caption", { textContent: panel.title }),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body));
  rows[0]?.forEach((value, i) => { if (typeof value !== "string") head[i].className = "number"; });
  const box = element("div", { className: "scroll", tabIndex: 0 }, table);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", panel.title);
  return box;
};

const fillWhenOpened = (details, panels) => {
  details.addEventListener("toggle", () => {
    for (const panel of panels) {
      const box = dataTable(panel);
      details.append(box);
      makeSortable(box.firstChild);
      makeSearchable(box.firstChild);
    }
  }, { once: true });
};
