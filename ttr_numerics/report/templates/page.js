"use strict";
{
  const key = (row, place) => {
    const cell = row.cells[place];
    const value = Number((cell.dataset.value ?? "nan").replace("inf", "Infinity"));
    return Number.isNaN(value) ? cell.textContent : value;
  };
  const order = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
        : a.localeCompare(b, "en", { numeric: true });

  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        const rows = [...body.rows].sort((a, b) => sign * order(key(a, place), key(b, place)));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        body.append(...rows);
      });
    });
    if (body.rows.length <= 12) continue;
    const filter = document.createElement("input");
    Object.assign(filter, { type: "search", className: "filter", placeholder: "Show rows that contain …" });
    filter.setAttribute("aria-label", `Filter the rows of: ${table.caption.textContent}`);
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(words);
    });
    table.parentElement.before(filter);
  }

  for (const box of document.querySelectorAll(".command")) {
    if (!navigator.clipboard) break;
    const button = document.createElement("button");
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }
}
