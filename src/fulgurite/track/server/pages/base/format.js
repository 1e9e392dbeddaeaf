// Numbers, times and values as people read them.

const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];

/** "5 min. ago" for seconds since 1970. */
export function ago(moment) {
  const passed = Date.now() / 1000 - moment;
  for (const [unit, seconds] of UNITS) if (passed >= seconds) return AGO.format(-Math.floor(passed / seconds), unit);
  return "just now";
}

export function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString("sv-SE");
}

/** "1h 5m" for a number of seconds. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "m"], [whole % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0s";
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => count + unit).join(" ");
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  for (; bytes >= 1000 && power < units.length - 1; power++) bytes /= 1000;
  return `${power ? bytes.toPrecision(3) : bytes} ${units[power]}`;
}

/** A number in few digits; whole ones in full. */
export function number(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const far = Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4;
  return far ? Number(value.toPrecision(4)).toExponential() : String(Number(value.toPrecision(5)));
}

/** Any value in one line. */
export function brief(value) {
  if (value === undefined || value === null) return "–";
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return value;
  if (value?._type) return value._type;
  return JSON.stringify(value);
}

/** The leaves of nested objects as [dotted name, value]. */
export function leaves(object, above = "") {
  return Object.entries(object).flatMap(([name, value]) => {
    const plain = value !== null && typeof value === "object" && !Array.isArray(value) && !("_type" in value);
    return plain && Object.keys(value).length ? leaves(value, `${above}${name}.`) : [[above + name, value]];
  });
}

/** How many there are, with the right word: "1 face", "1,200 faces". */
export function counted(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
