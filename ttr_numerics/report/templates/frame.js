// The frame of a live panel: its axes, ticks and words, in the sizes and colours of the figures' files.

const FONT = getComputedStyle(document.documentElement).getPropertyValue("--sans");
const UNITS = 309.6; // width of a figure's file

const options = (panel, view, unit, size, draw) => {
  const font = (units, weight = "") => `${weight} ${Math.round(units * unit() * 10) / 10}px ${FONT}`;
  const axis = (name, log, given, side) => ({
    scale: name,
    side,
    stroke: () => colour("label"),
    font: font(8.5),
    label: panel[name],
    labelFont: font(9),
    labelSize: 15 * unit(),
    labelGap: 0,
    gap: 3.5 * unit(),
    size: (_, values) => (side === 2 ? 17 * unit() : 9 * unit() + widest(values ?? [], font(8.5))),
    grid: { stroke: () => colour("grid"), width: 0.6 * unit() },
    ticks: { stroke: () => colour("axis"), width: 0.7 * unit(), size: 3.5 * unit() },
    border: { show: true, stroke: () => colour("axis"), width: 0.7 * unit() },
    splits: (_, __, low, high) => majors(low, high, log, given, side === 2 ? 7 : 6),
    values: (_, values) => words(values, log, given),
    filter: (_, values) => values,
  });
  const scale = (name, log) => ({ time: false, distr: log ? 3 : 1, range: () => view[name] });
  return {
    ...size,
    padding: [4 * unit(), (plot) => Math.max(6 * unit(), 2 * unit() + beyond(panel, view, plot.width, font(8.5))), 0, 0],
    legend: { show: false },
    scales: { x: scale("x", panel.xLog), y: scale("y", panel.yLog) },
    series: [{}, { scale: "y", points: { show: false }, paths: () => null }],
    axes: [axis("x", panel.xLog, panel.ticks, 2), axis("y", panel.yLog, null, 3)],
    cursor: {
      x: false,
      y: false,
      points: { show: false },
      dataIdx: () => null,
      drag: { x: true, y: true, uni: 20, dist: 4, setScale: false },
      bind: { dblclick: () => null },
    },
    hooks: { draw: [draw] },
  };
};

const widest = (values, font) => {
  const ink = document.createElement("canvas").getContext("2d");
  ink.font = font;
  return Math.max(0, ...values.map((value) => ink.measureText(value).width));
};

// How far the words of the last place reach beyond the end of the axis across, which takes most of the width.
const beyond = (panel, view, width, font) => {
  const [low, high] = view.x;
  const values = majors(low, high, panel.xLog, panel.ticks, 6);
  const share = (value) => (panel.xLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
  const said = words(values, panel.xLog, panel.ticks);
  return Math.max(0, ...values.map((value, i) => widest([said[i]], font) / 2 - (1 - share(value)) * 0.8 * width));
};

const drawMinorTicks = (plot, panel, view, scale) => {
  const { ctx: ink, bbox } = plot;
  const bottom = bbox.top + bbox.height;
  ink.strokeStyle = colour("axis");
  stroke(ink, 0.6 * scale, () => {
    for (const value of minors(...view.x, panel.xLog, panel.ticks)) {
      const x = plot.valToPos(value, "x", true);
      trace(ink, [[x, bottom], [x, bottom + 1.5 * scale]]);
    }
    for (const value of minors(...view.y, panel.yLog)) {
      const y = plot.valToPos(value, "y", true);
      trace(ink, [[bbox.left, y], [bbox.left - 1.5 * scale, y]]);
    }
  });
};
