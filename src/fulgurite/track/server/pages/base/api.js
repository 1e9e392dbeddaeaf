// Talks to the JSON API. An answer that is an error is thrown with its own words.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The JSON at an address below /api. `parameters` may hold lists; null ones are left out. */
export async function get(path, parameters = {}) {
  return read(await fetch(address(path, parameters), { headers: { Accept: "application/json" } }));
}

export async function post(path, body) {
  return send("POST", path, body);
}

/** Sends JSON by another method, such as PATCH. */
export async function send(method, path, body) {
  return read(await fetch("/api" + path, { method, body: JSON.stringify(body) }));
}

/** The address of a path below /api with its parameters. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) if (each !== null && each !== undefined) query.append(name, each);
  }
  return "/api" + path + (query.size ? "?" + query : "");
}

/** The path of a project, or of one of its runs. */
export function pathOf(entity, project, run = null) {
  const path = `/projects/${encodeURIComponent(entity)}/${encodeURIComponent(project)}`;
  return run === null ? path : `${path}/runs/${encodeURIComponent(run)}`;
}

/** The page of a project, or of one of its runs. */
export function pageOf(entity, project, run = null) {
  const path = `/${encodeURIComponent(entity)}/${encodeURIComponent(project)}`;
  return run === null ? path : `${path}/runs/${encodeURIComponent(run)}`;
}

async function read(response) {
  const answer = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  if (!response.ok) throw new Refused(response.status, answer.error);
  return answer;
}
