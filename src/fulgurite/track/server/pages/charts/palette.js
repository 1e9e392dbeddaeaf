// The colours of runs. A run has the same one everywhere and always: it follows from the run's id.

export const COLOURS = 10; // --run-0 to --run-9 in styles/charts.css
const DASHES = ["solid", "dash", "dot", "dashdot"];

/** The colour of the run with that id (or of anything numbered) as a CSS value. */
export function colourOf(id) {
  return `var(--run-${((id % COLOURS) + COLOURS) % COLOURS})`;
}

/** How the lines of things with these ids are dashed: those that come later with a colour that is taken. */
export function dashesOf(ids) {
  const taken = new Map();
  return ids.map((id) => {
    const colour = colourOf(id);
    const before = taken.get(colour) ?? 0;
    taken.set(colour, before + 1);
    return DASHES[before % DASHES.length];
  });
}
