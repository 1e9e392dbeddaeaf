// Asks again and again while somebody looks, and says so when the server is away.

import { fill, h } from "./dom.js";

const LONGEST = 30;

/** Runs `work` now and every `seconds` while the page is in sight. Its first failure is thrown, later ones are told. */
export async function every(seconds, work) {
  await work();
  let wait = seconds;
  const again = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", again, { once: true });
    try {
      await work();
      wait = seconds;
      tell(null);
    } catch (error) {
      if (error.status === 401) return location.reload();
      wait = Math.min(wait * 2, LONGEST);
      tell(error.status ? error.message : "The server does not answer. Is it still running?");
    }
    setTimeout(again, wait * 1000);
  };
  setTimeout(again, wait * 1000);
}

function tell(message) {
  const place = document.getElementById("news") ?? h("div", { id: "news", role: "status" });
  if (!place.isConnected) document.body.append(place);
  place.hidden = message === null;
  fill(place, message ?? "");
}
