// What a view keeps in its address, so that it survives a reload and can be sent to somebody else.

/**
 * The state of a view. `defaults` says which parameters there are; a default that is a list, a number or a boolean makes
 * the parameter one. `place` names where the last state is kept, for who comes back without one in the address.
 */
export function addressState(defaults, place) {
  const key = `state ${place}`;
  if (!location.search && localStorage.getItem(key)) history.replaceState(null, "", localStorage.getItem(key) + location.hash);
  const listeners = new Set();
  let values = read(defaults);
  addEventListener("popstate", () => {
    values = read(defaults);
    listeners.forEach((listen) => listen(values));
  });
  return {
    get: (name) => values[name],
    all: () => ({ ...values }),
    /** Takes the changes into the address and tells who listens. */
    set(changes) {
      values = { ...values, ...changes };
      const search = write(values, defaults);
      history.replaceState(history.state, "", (search || location.pathname) + location.hash);
      try {
        localStorage.setItem(key, search);
      } catch {
        // It is full or forbidden: the address alone has to do.
      }
      listeners.forEach((listen) => listen(values, changes));
    },
    /** Calls `listen(values, changes)` after each change. */
    on: (listen) => void listeners.add(listen),
  };
}

function read(defaults) {
  const query = new URLSearchParams(location.search);
  const found = Object.entries(defaults).map(([name, value]) => [name, query.has(name) ? typed(query.getAll(name), value) : value]);
  return Object.fromEntries(found);
}

function typed(texts, example) {
  if (Array.isArray(example)) return texts.filter((text) => text !== "");
  if (typeof example === "boolean") return texts[0] === "1";
  if (typeof example === "number") return Number.isFinite(Number(texts[0])) ? Number(texts[0]) : example;
  return texts[0];
}

/** The query of the address: parameters of other views stay, those that are as by default are left out. */
function write(values, defaults) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    query.delete(name);
    if (JSON.stringify(value) === JSON.stringify(defaults[name])) continue;
    const texts = Array.isArray(value) ? (value.length ? value : [""]) : [typeof value === "boolean" ? Number(value) : value];
    for (const text of texts) query.append(name, text);
  }
  return query.size ? `?${query}` : "";
}
