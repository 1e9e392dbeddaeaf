// What stands in which line of the table: rows, and the heads of groups, which may be folded.

/**
 * The lines of a table with `matched` rows in `groups` of the server. `isClosed(key)` tells which groups are folded.
 * `line(i)` is `{place}` for a row or `{group}` for the head of one, `lineOf(place)` finds a row's line.
 */
export function layoutOf(matched, groups, isClosed) {
  if (!groups.length) return { count: matched, line: (i) => ({ place: i }), lineOf: (place) => place };
  const starts = [];
  let count = 0;
  for (const group of groups) {
    starts.push(count);
    count += 1 + (isClosed(keyOf(group)) ? 0 : group.count);
  }
  const find = (isBehind) => {
    let [low, high] = [0, groups.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (isBehind(middle)) high = middle - 1;
      else low = middle;
    }
    return low;
  };
  const line = (i) => {
    const at = find((middle) => starts[middle] > i);
    return i === starts[at] ? { group: groups[at] } : { place: groups[at].first + i - starts[at] - 1 };
  };
  const lineOf = (place) => {
    const at = find((middle) => groups[middle].first > place);
    return isClosed(keyOf(groups[at])) ? starts[at] : starts[at] + 1 + place - groups[at].first;
  };
  return { count, line, lineOf };
}

/** A group's key as a text that can stand in an address. */
export function keyOf(group) {
  return JSON.stringify(group.key);
}
