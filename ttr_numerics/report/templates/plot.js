// A live panel on a uPlot canvas over the static drawing: reading of points, zoom, and series that come and go.

const livePlot = (panel, holder) => {
  const home = { x: panel.xEnds, y: panel.yEnds };
  const view = { ...home };
  const points = panel.series.map((series) => drawable(panel, series));
  const front = panel.series.map((_, i) => i).sort((a, b) => FRONT[panel.series[a].kind] - FRONT[panel.series[b].kind]);
  const stage = element("div", { className: "stage" });
  const reading = element("div", { className: "reading", hidden: true });
  const spot = element("div", { className: "spot", hidden: true });
  const live = element("div", { className: "live", tabIndex: 0 },
    element("p", { className: "panel-title", textContent: panel.title }), stage);
  live.setAttribute("role", "application");
  live.setAttribute("aria-roledescription", "plot");
  live.setAttribute("aria-label", `${holder.querySelector("svg").getAttribute("aria-label")} `
    + "Arrow keys step through the points, plus and minus zoom, 0 shows all.");
  reading.setAttribute("role", "status");
  holder.append(live);
  const unit = () => stage.clientWidth / UNITS;
  const size = () => ({ width: stage.clientWidth, height: Math.round(Math.max((panel.box[3] + 40) * unit(), 200)) });
  const plot = new uPlot(options(panel, view, unit, size(), (canvas) => drawAll(canvas)), [home.x, home.y], stage);
  const at = (canvas) => (x, y) => [canvas.valToPos(x, "x", true), canvas.valToPos(y, "y", true)];

  function drawAll(canvas) {
    const { ctx: ink, bbox } = canvas;
    ink.save();
    ink.beginPath();
    ink.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ink.clip();
    const scale = unit() * uPlot.pxRatio;
    for (const i of front) {
      if (panel.series[i].shown) drawSeries(ink, panel.series[i], points[i], at(canvas), scale);
    }
    ink.restore();
    drawMinorTicks(canvas, panel, view, scale);
    live.dataset.x = view.x.join(" ");
    live.dataset.y = view.y.join(" ");
  }

  const zoom = (x, y) => {
    Object.assign(view, { x, y });
    hide();
    plot.setScale("x", { min: x[0], max: x[1] });
    live.classList.toggle("zoomed", x !== home.x || y !== home.y);
  };
  const reset = () => zoom(home.x, home.y);

  const visible = () => front.filter((i) => panel.series[i].shown).flatMap((i) =>
    points[i].map((point) => ({ series: panel.series[i], point, at: [plot.valToPos(point.x, "x"), plot.valToPos(point.y, "y")] })));
  const inside = ({ at: [x, y] }) => x >= -1 && y >= -1 && x <= plot.over.clientWidth + 1 && y <= plot.over.clientHeight + 1;

  let current = null;
  const show = (found) => {
    current = found;
    const { series, point } = found;
    reading.replaceChildren(...sentence(panel, series, point));
    reading.hidden = spot.hidden = false;
    const [x, y] = found.at;
    spot.style.translate = `${x}px ${y}px`;
    spot.style.borderColor = colour(series.ink);
    const left = Math.min(Math.max(x - reading.offsetWidth / 2, -plot.over.offsetLeft), plot.over.clientWidth - reading.offsetWidth);
    const above = y - reading.offsetHeight - 12;
    reading.style.translate = `${left}px ${above > -24 ? above : y + 12}px`;
  };
  const hide = () => { reading.hidden = spot.hidden = true; current = null; };

  plot.over.append(spot, reading);
  plot.over.addEventListener("mousemove", (event) => {
    if (event.buttons) return hide();
    const here = plot.over.getBoundingClientRect();
    const far = ({ series, at: [x, y] }) =>  // what was measured comes before what was predicted
      Math.hypot(x - (event.clientX - here.left), y - (event.clientY - here.top)) + (series.kind === "theory" ? 12 : 0);
    const nearest = visible().filter(inside).reduce((best, one) => (best && far(best) <= far(one) ? best : one), null);
    if (nearest && far(nearest) < 40) show(nearest); else hide();
  });
  plot.over.addEventListener("mouseleave", hide);
  plot.over.addEventListener("dblclick", reset);
  plot.hooks.setSelect = [() => {
    const { left, top, width, height } = plot.select;
    if (width < 4 && height < 4) return;
    const wide = width < plot.over.clientWidth - 1;
    const tall = height < plot.over.clientHeight - 1;
    zoom(wide ? [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")] : view.x,
      tall ? [plot.posToVal(top + height, "y"), plot.posToVal(top, "y")] : view.y);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }];

  live.addEventListener("keydown", (event) => {
    const found = visible().filter(inside);
    const here = current && found.findIndex((one) => one.series === current.series && one.point === current.point);
    const moved = step(found, here, event.key);
    if (moved) show(moved);
    else if (event.key === "0" || event.key === "Escape") reset();
    else if (event.key === "+" || event.key === "-") {
      const [x, y] = current ? current.at : [plot.over.clientWidth / 2, plot.over.clientHeight / 2];
      const factor = event.key === "+" ? 0.5 : 2;
      const ends = (middle, length) => [middle + (0 - middle) * factor, middle + (length - middle) * factor];
      zoom(ends(x, plot.over.clientWidth).map((pos) => plot.posToVal(pos, "x")),
        ends(y, plot.over.clientHeight).reverse().map((pos) => plot.posToVal(pos, "y")));
    } else return;
    event.preventDefault();
  });
  live.addEventListener("blur", hide);

  new ResizeObserver(() => { if (stage.clientWidth && stage.clientWidth !== plot.width) plot.setSize(size()); }).observe(stage);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
  const redraw = () => { hide(); plot.redraw(); };
  const legend = panel.series.length > 1 ? legendOf(panel, holder, redraw) : null;
  if (legend) live.append(legend.list);
  return { redraw: () => { redraw(); legend?.update(); } };
};

// Left and right along a series, up and down to the nearest point of another.
const step = (found, here, key) => {
  const turn = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[key];
  if (!turn || !found.length) return null;
  if (here === null || here < 0) return found[0];
  const { series, point, at } = found[here];
  if (key === "ArrowRight" || key === "ArrowLeft") {
    const own = found.filter((one) => one.series === series);
    return own[Math.min(Math.max(own.findIndex((one) => one.point === point) + turn, 0), own.length - 1)];
  }
  const others = [...new Set(found.map((one) => one.series))];
  const next = others[(others.indexOf(series) + turn + others.length) % others.length];
  const far = (one) => Math.abs(one.at[0] - at[0]);
  return found.filter((one) => one.series === next).reduce((best, one) => (far(one) < far(best) ? one : best));
};

const sentence = (panel, series, { i, x }) => {
  const value = (number_) => element("b", { textContent: number_ });
  const parts = [
    element("p", { className: "of", textContent: series.label }),
    element("p", {}, `${panel.x}: `, value(place(x))),
    element("p", {}, `${panel.y}: `, value(number(series.y[i]))),
  ];
  if (series.low) parts.push(element("p", {}, "interval: ", value(`${number(series.low[i])} to ${number(series.high[i])}`)));
  return parts;
};
