// Ticks and their words, as the figures' files choose them, at any zoom.

const steps = (low, high, most) => {
  const raw = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((part) => part * unit).find((part) => part >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
};

const decades = (low, high, parts, every = 1) => {
  const found = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) {
    if (e % every === 0) for (const part of parts) found.push(Number((part * 10 ** e).toPrecision(6)));
  }
  return found.filter((value) => value >= low * 0.999999 && value <= high * 1.000001);
};

// The labelled places of an axis from `low` to `high`, `most` of them or few more.
const majors = (low, high, log, given, most) => {
  const chosen = given?.filter((value) => value >= low && value <= high);
  if (chosen?.length >= 2) return chosen;
  if (!log) return steps(low, high, most);
  const span = Math.log10(high / low);
  const found = decades(low, high, span < 2 ? [1, 2, 5] : [1], Math.max(1, Math.ceil(span / most)));
  return found.length >= 2 ? found : steps(low, high, most);
};

const minors = (low, high, log, given) => {
  if (!log || given || high / low > 1e7) return [];
  return decades(low, high, [2, 3, 4, 5, 6, 7, 8, 9]);
};

// Plain numbers where all are short, powers of ten elsewhere.
const words = (values, log, given) => {
  const sizes = values.map(Math.abs).filter((size) => size > 0);
  if (given && values.every((value) => given.includes(value))) return values.map(place);
  if (log && sizes.length && !(Math.min(...sizes) >= 1e-3 && Math.max(...sizes) < 2e4)
    && values.every((value) => Number(value.toPrecision(1)) === value)) return values.map(power);
  const largest = Math.max(0, ...sizes);
  if (largest >= 1e6 || (largest > 0 && largest < 1e-3)) return values.map(number);
  const exact = (digits) => values.every((value) => Math.abs(value - value.toFixed(digits)) <= 1e-9 * largest);
  const digits = [0, 1, 2, 3, 4, 5].find(exact) ?? 6;
  return values.map((value) => (log ? String(value) : value.toFixed(digits)).replace("-", "−"));
};
