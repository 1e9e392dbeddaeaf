// Lines of a patch by what they say.

/** "+", "-", "@" or nothing for a line of a patch. */
export function lineOf(line) {
  if (/^(\+\+\+|---|diff |index )/.test(line)) return "@";
  return "+-@".includes(line[0] ?? " ") ? (line[0] ?? "") : "";
}
