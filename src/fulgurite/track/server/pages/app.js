// Shows what the address says.

import { get, pageOf, post } from "./base/api.js";
import { fill, h } from "./base/dom.js";

const PLAIN = ["table", "deleted", "artifacts", "alerts"]; // views of a project that draw no charts
const THEMES = ["auto", "light", "dark"];
const view = document.getElementById("view");

async function show() {
  const [entity, project, kind, ...rest] = location.pathname.split("/").slice(1).filter(Boolean).map(decodeURIComponent);
  const run = kind === "runs" && rest.length ? rest[0] : null;
  document.title = [run, project, "Fulgurite"].filter(Boolean).join(" · ");
  showTop(entity, project, run, null);
  try {
    const [session] = await Promise.all([get("/session"), ahead(project, kind, run)]);
    showTop(entity, project, run, session);
    const where = { entity, project, kind, rest, session, mayWrite: session.role !== "reader" };
    if (project === undefined) (await import("./views/projects.js")).showProjects(view, where);
    else if (run !== null) await (await import("./views/run.js")).showRun(view, entity, project, run, where);
    else await (await import("./views/project.js")).showProject(view, where);
  } catch (error) {
    if (error.status === 401) (await import("./views/login.js")).showLogin(view);
    else showFault(error);
  }
}

/** Fetches what the page will need while the server says who looks; where there are charts, Plotly takes longest. */
function ahead(project, kind, run) {
  if (project === undefined) return import("./views/projects.js");
  if (!PLAIN.includes(kind)) import("./charts/plotly.js").then(({ loadPlotly }) => loadPlotly()).catch(() => {}); // who draws will say it
  return run === null ? import("./views/project.js") : import("./views/run.js");
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
  const title = `Theme: ${now}. Change to ${next}.`;
  return h("button.plain", { click, title, "aria-label": title }, { auto: "◐", light: "☀", dark: "☾" }[now]);
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
