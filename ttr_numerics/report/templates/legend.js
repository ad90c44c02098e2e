// The legend of a live panel: a button a series, which shows or hides it here.

const keyOf = (series) => {
  const ratio = Math.max(devicePixelRatio, 2);
  const key = element("canvas", { className: "key", width: 30 * ratio, height: 14 * ratio });
  const ink = key.getContext("2d");
  const unit = 1.6 * ratio;
  const middle = (7 * ratio);
  const line = series.kind === "cloud" ? [[15 * ratio, middle]] : [[2 * ratio, middle], [28 * ratio, middle]];
  const points = series.kind === "measured" ? [] : line;
  const flat = { ...series, low: null };
  drawSeries(ink, flat, points.map(([x, y]) => ({ x, y, low: y, high: y })), (x, y) => [x, y], unit);
  if (series.kind === "measured") {
    ink.beginPath();
    stroke(ink, 0.9 * unit, () => trace(ink, line));
    drawSeries(ink, flat, [{ x: 15 * ratio, y: middle, low: middle, high: middle }], (x, y) => [x, y], unit);
  }
  return key;
};

const legendOf = (panel, holder, redraw) => {
  const list = element("ul", { className: "legend" });
  const buttons = panel.series.map((series) => {
    const button = element("button", { type: "button" }, keyOf(series), series.label);
    button.addEventListener("click", () => {
      series.off = !series.off;
      apply(panel, holder);
      update();
      redraw();
    });
    list.append(element("li", {}, button));
    return button;
  });
  const update = () => buttons.forEach((button, i) => {
    button.setAttribute("aria-pressed", String(!panel.series[i].off));
    button.parentElement.hidden = panel.series[i].filtered === true;
  });
  update();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    buttons.forEach((button, i) => button.firstChild.replaceWith(keyOf(panel.series[i]))));
  return { list, update };
};

// What the filter and the legend leave shown, in the static drawing too.
const apply = (panel, holder) => {
  panel.series.forEach((series, i) => {
    series.shown = !series.off && !series.filtered;
    for (const part of holder.querySelectorAll(`svg [data-s="${i}"]`)) part.classList.toggle("off", !series.shown);
  });
};
