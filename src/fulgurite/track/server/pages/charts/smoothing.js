// Lines made smoother. Pure functions over arrays; what is no number (null, NaN) stays a gap and counts in nothing.

/** The kinds, by the name that stands in the address. */
export const KINDS = { ema: "exponential", mean: "running mean" };

/** `values` smoothed; `weight` from 0 (not at all) to below 1. */
export function smoothed(values, kind, weight) {
  if (!(weight > 0)) return values;
  return kind === "mean" ? runningMean(values, windowOf(weight)) : exponential(values, weight);
}

/** The exponential moving average without the bias of its beginning, as TensorBoard has it. */
export function exponential(values, weight) {
  let average = 0;
  let left = 1; // the share of the beginning, which is zero
  return values.map((value) => {
    if (!isNumber(value)) return value;
    average = average * weight + (1 - weight) * value;
    left *= weight;
    return average / (1 - left);
  });
}

/** The mean of the `width` (odd) values around each; of fewer at the ends. */
export function runningMean(values, width) {
  const reach = (width - 1) / 2;
  const sums = new Float64Array(values.length + 1);
  const counts = new Int32Array(values.length + 1);
  // From the first number on, so that far from zero no digits are lost.
  const base = values.find(isNumber) ?? 0;
  values.forEach((value, i) => {
    sums[i + 1] = sums[i] + (isNumber(value) ? value - base : 0);
    counts[i + 1] = counts[i] + (isNumber(value) ? 1 : 0);
  });
  return values.map((value, i) => {
    if (!isNumber(value)) return value;
    const [from, to] = [Math.max(i - reach, 0), Math.min(i + reach + 1, values.length)];
    return base + (sums[to] - sums[from]) / (counts[to] - counts[from]);
  });
}

/** How many values a running mean takes that is about as smooth as an exponential average of that weight. */
export function windowOf(weight) {
  return 2 * Math.round(weight / (1 - weight)) + 1;
}

function isNumber(value) {
  return value !== null && Number.isFinite(value);
}
