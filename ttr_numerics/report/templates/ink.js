// How series are drawn on a canvas: the pens, markers, bars and bands of the figures' files.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const polygon = (...corners) => (ink, x, y, r) => {
  corners.forEach(([u, v], i) => ink[i ? "lineTo" : "moveTo"](x + u * r, y + v * r));
  ink.closePath();
};

const third = 1 / 3;
const MARKERS = {
  o: (ink, x, y, r) => { ink.moveTo(x + r, y); ink.arc(x, y, r, 0, 2 * Math.PI); },
  s: polygon([-1, -1], [1, -1], [1, 1], [-1, 1]),
  "^": polygon([0, -1], [1, 1], [-1, 1]),
  v: polygon([0, 1], [1, -1], [-1, -1]),
  "<": polygon([-1, 0], [1, -1], [1, 1]),
  ">": polygon([1, 0], [-1, -1], [-1, 1]),
  D: polygon([0, -1.414], [1.414, 0], [0, 1.414], [-1.414, 0]),
  P: polygon([-third, 1], [third, 1], [third, third], [1, third], [1, -third], [third, -third], [third, -1],
    [-third, -1], [-third, -third], [-1, -third], [-1, third], [-third, third]),
  X: polygon([-0.5, 1], [0, 0.5], [0.5, 1], [1, 0.5], [0.5, 0], [1, -0.5], [0.5, -1], [0, -0.5], [-0.5, -1],
    [-1, -0.5], [-0.5, 0], [-1, 0.5]),
};

const FRONT = { cloud: 1, curve: 2, measured: 3, theory: 4 };

// The points that can be shown on these axes, an end of a bar that cannot moved to where the figure's file ends it.
const drawable = (panel, series) => {
  const farthest = 1e300;
  const fits = (value, log) => value !== null && Math.abs(value) <= farthest && (value >= 1 / farthest || !log);
  const end = (value, y) =>
    value === null || !(Math.abs(value) <= farthest) ? y : panel.yLog ? Math.max(value, panel.floor) : value;
  return series.x
    .map((x, i) => {
      const y = series.y[i];
      return { i, x, y, low: series.low ? end(series.low[i], y) : y, high: series.high ? end(series.high[i], y) : y };
    })
    .filter((point) => fits(point.x, panel.xLog) && fits(point.y, panel.yLog));
};

const trace = (ink, corners) => corners.forEach(([x, y], i) => ink[i ? "lineTo" : "moveTo"](x, y));

const stroke = (ink, width, draw, dash = []) => {
  ink.lineWidth = width;
  ink.setLineDash(dash);
  ink.beginPath();
  draw();
  ink.stroke();
};

// `at` takes a point to the canvas, `unit` is the canvas's length of one unit of the figures' files.
const drawSeries = (ink, series, points, at, unit) => {
  const middle = points.map((point) => at(point.x, point.y));
  const low = points.map((point) => at(point.x, point.low));
  const high = points.map((point) => at(point.x, point.high));
  ink.strokeStyle = ink.fillStyle = colour(series.ink);
  ink.lineJoin = "round";
  if (series.low && series.kind !== "measured") {
    ink.globalAlpha = 0.16;
    ink.beginPath();
    trace(ink, [...low, ...high.reverse()]);
    ink.fill();
    ink.globalAlpha = 1;
  }
  if (series.kind === "theory") {
    stroke(ink, 1.3 * unit, () => trace(ink, middle), series.dash.map((length) => length * 1.3 * unit));
  } else if (series.kind !== "cloud") {
    stroke(ink, (series.kind === "curve" ? 1.4 : 0.9) * unit, () => trace(ink, middle));
  }
  if (series.kind === "measured" || series.kind === "cloud") {
    const cloud = series.kind === "cloud";
    ink.beginPath();
    for (const [x, y] of middle) MARKERS[series.mark](ink, x, y, (cloud && points.length > 20 ? 1.3 : 2.1) * unit);
    ink.globalAlpha = cloud ? 0.6 : 1;
    ink.fill();
    ink.globalAlpha = 1;
    if (!cloud) stroke(ink, unit, () => { for (const [x, y] of middle) MARKERS[series.mark](ink, x, y, 2.1 * unit); });
  }
  if (series.low && series.kind === "measured") {
    const cap = 2.1 * unit;
    stroke(ink, 0.9 * unit, () => points.forEach((_, i) => {
      trace(ink, [low[i], high[i]]);
      for (const [x, y] of [low[i], high[i]]) trace(ink, [[x - cap, y], [x + cap, y]]);
    }));
  }
};
