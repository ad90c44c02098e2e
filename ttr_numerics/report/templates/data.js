// What a figure plots, read from the JSON beside it, and numbers as the page's tables write them.

const superscript = (text) => text.replace("+", "").replace(/[-0-9]/g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

const power = (value) => {
  const [digits, exponent] = value.toExponential(0).split("e");
  return `${digits === "1" ? "" : `${digits}×`}10${superscript(exponent)}`;
};

const number = (value) => {
  if (value === null || Number.isNaN(value)) return "NaN";
  if (typeof value !== "number") return String(value);
  const sign = value < 0 ? "−" : "";
  if (!Number.isFinite(value)) return `${sign}∞`;
  if (value === 0) return "0";
  const [digits, exponent] = Math.abs(value).toExponential(2).split("e");
  if (exponent < -3 || exponent >= 5) return `${sign}${digits}×10${superscript(exponent)}`;
  return sign + Number(`${digits}e${exponent}`).toFixed(Math.max(2 - exponent, 0));
};

// A place on an axis: an integer in full.
const place = (value) =>
  typeof value !== "number" || Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3) ? number(value)
    : String(Number.isInteger(value) ? value : Number(value.toPrecision(3))).replace("-", "−");

// The panels of a figure; a series that shares another's x is given it.
const readPanels = (figure) => {
  const { panels } = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  for (const panel of panels) {
    for (const series of panel.series ?? []) {
      if (Number.isInteger(series.x)) series.x = panel.series[series.x].x;
      series.shown = true;
    }
  }
  return panels;
};

// Column names and rows of everything that a panel draws.
const tabulated = (panel) => {
  if (panel.values) {
    const rows = panel.up.flatMap((y, i) => panel.across.map((x, j) => [x, y, panel.values[i][j]]));
    return [[panel.x, panel.y, panel.value], rows];
  }
  const ranged = panel.series.some((series) => series.low);
  const rows = panel.series.flatMap((series) =>
    series.x.map((x, i) => [
      series.label, x, series.y[i], ...(ranged ? [series.low?.[i] ?? null, series.high?.[i] ?? null] : []),
    ]));
  return [["series", panel.x, panel.y, ...(ranged ? ["low", "high"] : [])], rows];
};
