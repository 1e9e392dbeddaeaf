// Shows what the address says.

import { get, pageOf, post } from "./api.js";
import { fill, h } from "./dom.js";
import { showLogin } from "./login.js";
import { showProjects } from "./projects.js";
import { showRun } from "./run.js";
import { showRuns } from "./runs.js";

const THEMES = ["auto", "light", "dark"];
const view = document.getElementById("view");

async function show() {
  const [entity, project, kind, name] = location.pathname.split("/").slice(1).filter(Boolean).map(decodeURIComponent);
  const isRun = kind === "runs" && name !== undefined;
  document.title = [isRun ? name : null, project, "Fulgurite"].filter(Boolean).join(" · ");
  showTop(entity, project, isRun ? name : null, null);
  try {
    const session = await get("/session");
    showTop(entity, project, isRun ? name : null, session);
    if (project === undefined) await showProjects(view);
    else if (isRun) await showRun(view, entity, project, name);
    else await showRuns(view, entity, project, kind);
  } catch (error) {
    if (error.status === 401) showLogin(view);
    else showFault(error);
  }
}

function showTop(entity, project, run, session) {
  const crumbs = [h("a.brand", { href: "/" }, h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }), "Fulgurite")];
  if (project !== undefined) crumbs.push(h("a", { href: pageOf(entity, project) }, entity === "local" ? project : `${entity}/${project}`));
  if (run !== null) crumbs.push(h("span", { id: "here" }, run));
  const user = session?.keys ? h("button.plain", { click: logOut, title: `${session.name}, ${session.role}` }, "Log out") : null;
  fill(document.getElementById("top"), h("nav", { "aria-label": "Where you are" }, crumbs), user, themeButton());
}

function themeButton() {
  const now = localStorage.getItem("theme") ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  const click = () => {
    localStorage.setItem("theme", next);
    location.reload();
  };
  return h("button.plain", { click, title: `Theme: ${now}. Change to ${next}.` }, { auto: "◐", light: "☀", dark: "☾" }[now]);
}

async function logOut() {
  await post("/logout", {});
  location.reload();
}

function showFault(error) {
  const title = error.status === 404 ? "Not found" : "This went wrong";
  fill(view, h("section.empty", {}, h("h1", {}, title), h("p", {}, error.message), h("a", { href: "/" }, "All projects")));
}

show();
