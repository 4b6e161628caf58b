// Which clips are shown: all of it stands in the page's address, so that a view is a link.

import { get } from "./api.js";
import { askName } from "./dialogs.js";
import { byId, el } from "./dom.js";

const NAMES = ["kind", "collection", "model", "order", "q"];
const KEPT = "asset-pipeline-views";
const SIZE = "asset-pipeline-size";
const TYPING_MS = 250;

function stored(name, fallback) {
  try { return JSON.parse(localStorage.getItem(name)) ?? fallback; } catch { return fallback; }
}

export class Filters extends EventTarget {
  #form = byId("filters");
  #typing = 0;

  constructor() {
    super();
    const { elements } = this.#form;
    this.fields = Object.fromEntries([...NAMES, "size", "view"].map((name) => [name, elements.namedItem(name)]));
    this.fields.size.value = stored(SIZE, "m");
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    for (const name of NAMES) {
      this.fields[name].addEventListener(name === "q" ? "input" : "change", () => {
        clearTimeout(this.#typing);
        this.#typing = setTimeout(() => this.set({ [name]: this.fields[name].value }), name === "q" ? TYPING_MS : 0);
      });
    }
    this.fields.size.addEventListener("change", () => {
      localStorage.setItem(SIZE, JSON.stringify(this.fields.size.value));
      this.dispatchEvent(new Event("size"));
    });
    for (const button of this.#form.querySelectorAll("[data-state]")) button.addEventListener("click", () => this.set({ state: button.dataset.state }));
    byId("clear").addEventListener("click", () => this.go(""));
    this.fields.view.addEventListener("change", () => this.#view(this.fields.view.value));
    addEventListener("popstate", () => { this.#read(); this.dispatchEvent(new Event("change")); });
    this.#read();
    this.#views();
  }

  get #params() { return new URLSearchParams(location.search); }
  get size() { return this.fields.size.value; }

  /** What stands in the address; a link to one prompt shows all of it, decided or not. */
  get state() {
    const params = this.#params;
    const given = params.get("state") || params.get("review_state");
    if (["undecided", "approved", "rejected", "all"].includes(given)) return given;
    return params.has("prompt_id") || params.has("clip") ? "all" : "undecided";
  }

  /** The view as the server is asked for it. */
  get query() {
    const params = this.#params;
    const query = new URLSearchParams();
    for (const name of [...NAMES, "prompt_id"]) if (params.get(name)) query.set(name, params.get(name).slice(0, 200));
    if (this.state !== "all") query.set("state", this.state);
    return query.toString();
  }

  /** Everything but the verdict: what the counts are about. */
  get scope() {
    const query = new URLSearchParams(this.query);
    query.delete("state");
    query.delete("order");
    return query.toString();
  }

  get clip() { return this.#params.get("clip"); }

  set(changes) {
    const params = this.#params;
    for (const [name, value] of Object.entries(changes)) {
      if (value) params.set(name, value);
      else params.delete(name);
    }
    params.delete("clip");
    this.go(params.toString());
  }

  go(query) {
    history.pushState(null, "", query ? `?${query}` : location.pathname);
    this.#read();
    this.dispatchEvent(new Event("change"));
  }

  /** Keep the clip in focus in the address, without a step in the history. */
  mark(id) {
    const params = this.#params;
    if (params.get("clip") === id) return;
    // A link to a clip shows the view that it is in, whatever its verdict is by then.
    if (!params.has("state")) params.set("state", this.state);
    params.set("clip", id);
    history.replaceState(null, "", `?${params}`);
  }

  #read() {
    const params = this.#params;
    for (const name of NAMES) {
      const field = this.fields[name];
      const value = params.get(name) || (name === "order" ? "newest" : "");
      if (field.localName === "select" && value && ![...field.options].some((option) => option.value === value)) field.append(el("option", { value }, value));
      if (field !== document.activeElement || name !== "q") field.value = value;
    }
    for (const button of this.#form.querySelectorAll("[data-state]")) button.setAttribute("aria-pressed", button.dataset.state === this.state);
    byId("clear").hidden = ![...NAMES, "prompt_id"].some((name) => params.get(name) && name !== "order");
    byId("clear").textContent = params.get("prompt_id") ? `Clear ${params.get("prompt_id")}` : "Clear";
  }

  async choices() {
    const found = await get("desk/choices");
    for (const name of ["collection", "model"]) {
      const field = this.fields[name];
      const first = field.options[0];
      field.replaceChildren(first, ...found[name].map((value) => el("option", { value }, value)));
    }
    this.#read();
  }

  #views() {
    const views = stored(KEPT, []);
    this.fields.view.replaceChildren(
      el("option", { value: "" }, "Views"),
      ...views.map((view, place) => el("option", { value: `go ${place}` }, view.name)),
      el("option", { value: "save" }, "Save this view …"),
      ...(views.length ? [el("option", { value: "forget" }, "Forget this view")] : []),
    );
  }

  async #view(choice) {
    this.fields.view.value = "";
    const views = stored(KEPT, []);
    const params = this.#params;
    params.delete("clip");
    const here = params.toString();
    if (choice.startsWith("go ")) { this.go(views[Number(choice.slice(3))].query); return; }
    if (choice === "save") {
      const name = await askName();
      if (name) localStorage.setItem(KEPT, JSON.stringify([...views.filter((view) => view.name !== name), { name, query: here }]));
    } else if (choice === "forget") localStorage.setItem(KEPT, JSON.stringify(views.filter((view) => view.query !== here)));
    this.#views();
  }
}
