// Asks for a key where one is demanded.

import { post } from "../base/api.js";
import { fill, h } from "../base/dom.js";

export function showLogin(place) {
  const key = h("input", { type: "password", name: "key", required: true, autocomplete: "current-password", id: "key" });
  const fault = h("p.fault", { role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post("/login", { key: key.value });
      location.reload();
    } catch (error) {
      fill(fault, error.message);
    }
  };
  fill(
    place,
    h("form.card.login", { submit },
      h("h1", {}, "Log in"),
      h("label", { for: "key" }, "Your key of this server"),
      key,
      h("button", {}, "Log in"),
      fault,
      h("p.quiet", {}, "Who runs the server makes one with ", h("code", {}, "fulgurite ui keys add NAME"), "."),
    ),
  );
  key.focus();
}
