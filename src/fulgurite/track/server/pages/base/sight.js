// Tells which elements are in sight, so that nothing else is loaded or drawn.

/** Calls `changed(element, isInSight)` for elements that were given to `watch`, somewhat before they come into sight. */
export function sight(changed, margin = "300px") {
  const observer = new IntersectionObserver((entries) => entries.forEach((entry) => changed(entry.target, entry.isIntersecting)), { rootMargin: margin });
  return { watch: (element) => observer.observe(element), stop: () => observer.disconnect() };
}

/** Gathers what is asked for within a moment, and hands it to `work` as one list. */
export function gathered(work, milliseconds = 40) {
  let waiting = new Set();
  return (thing) => {
    if (waiting.size === 0) {
      setTimeout(() => {
        const all = [...waiting];
        waiting = new Set();
        work(all);
      }, milliseconds);
    }
    waiting.add(thing);
  };
}
