// Asking the service, as whoever is logged in.

const API = "/api/v1";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || "The service does not answer.");
    this.status = status;
    this.code = body.code || "unreachable";
    this.errors = body.errors || [];
    this.body = body;
  }

  /** All that is wrong, a line each. */
  get lines() {
    return [this.message, ...this.errors.map((each) => `${each.pointer.replace(/^\//, "")}: ${each.detail} ${each.hint}`.trim())];
  }
}

export const session = { actor: "", scopes: [], token: null, needsLogin: false };
export const may = (scope) => session.scopes.includes(scope) || session.scopes.includes("admin");

let whenLoggedOut = () => {};
export function onLoggedOut(act) { whenLoggedOut = act; }

async function send(method, path, body, headers = {}, signal = undefined) {
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (session.token && method !== "GET") headers["X-CSRF-Token"] = session.token;
  let answer;
  try {
    answer = await fetch(path.startsWith("/") ? path : `${API}/${path}`, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", signal,
    });
  } catch {
    if (signal?.aborted) throw new Problem(0, { detail: "It is not wanted any more.", code: "aborted" });
    throw new Problem(0, { detail: "The service can't be reached.", code: "unreachable" });
  }
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => ({ detail: answer.statusText }));
  if (answer.status === 401) whenLoggedOut();
  throw new Problem(answer.status, found);
}

export async function get(path, { signal } = {}) {
  return (await send("GET", path, undefined, {}, signal)).json();
}

/** Change something. A key of one's own makes asking again after a lost answer harmless. */
export async function post(path, body = {}, { key = null } = {}) {
  const answer = await send("POST", path, body, key ? { "Idempotency-Key": key } : {});
  return answer.status === 204 ? null : answer.json();
}

export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export async function who() {
  const found = await get("session");
  Object.assign(session, { actor: found.actor, scopes: found.scopes, token: found.csrf_token, needsLogin: found.login_required });
}

export async function logIn(key) {
  await post("session", { key });
  await who();
}

export async function logOut() {
  await send("DELETE", "session");
  Object.assign(session, { actor: "", scopes: [], token: null });
}

export { API };
