// A heat map stays as drawn; pointer and arrow keys read its cells.

const readable = (panel, holder) => {
  const svg = holder.querySelector("svg");
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const [left, top, across, up] = panel.box;
  const reading = element("div", { className: "reading", hidden: true });
  const cell = element("div", { className: "cell", hidden: true });
  reading.setAttribute("role", "status");
  holder.append(cell, reading);
  holder.tabIndex = 0;
  holder.classList.add("heatmap");
  const columns = panel.across.length;
  const rows = panel.up.length;
  let current = null;

  const show = (i, j) => {
    current = [i, j];
    const value = (text) => element("b", { textContent: text });
    reading.replaceChildren(
      element("p", {}, `${panel.x}: `, value(place(panel.across[j]))),
      element("p", {}, `${panel.y}: `, value(place(panel.up[i]))),
      element("p", {}, `${panel.value}: `, value(number(panel.values[i][j]))));
    reading.hidden = cell.hidden = false;
    const x = (left + (j * across) / columns) / width;
    const y = (top + ((rows - 1 - i) * up) / rows) / height;
    Object.assign(cell.style, {
      left: `${x * 100}%`, top: `${y * 100}%`,
      width: `${(across / columns / width) * 100}%`, height: `${(up / rows / height) * 100}%`,
    });
    const box = svg.getBoundingClientRect();
    const at = [(x + across / columns / width / 2) * box.width, y * box.height];
    const from = Math.min(Math.max(at[0] - reading.offsetWidth / 2, 0), box.width - reading.offsetWidth);
    const above = at[1] - reading.offsetHeight - 6;
    reading.style.translate = `${from}px ${above > 0 ? above : at[1] + (up / rows / height) * box.height + 6}px`;
  };
  const hide = () => { reading.hidden = cell.hidden = true; current = null; };

  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect();
    const j = Math.floor((((event.clientX - box.left) / box.width) * width - left) / across * columns);
    const i = rows - 1 - Math.floor((((event.clientY - box.top) / box.height) * height - top) / up * rows);
    if (i >= 0 && j >= 0 && i < rows && j < columns) show(i, j); else hide();
  });
  holder.addEventListener("mouseleave", hide);
  holder.addEventListener("blur", hide);
  holder.addEventListener("keydown", (event) => {
    const turn = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!turn) return;
    const [i, j] = current ?? [rows - 1, -turn[1]];
    show(Math.min(Math.max(i + turn[0], 0), rows - 1), Math.min(Math.max(j + turn[1], 0), columns - 1));
    event.preventDefault();
  });
};
