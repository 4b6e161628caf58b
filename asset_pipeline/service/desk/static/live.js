// What happens meanwhile: verdicts of others, new clips, and how far runs are.

import { API } from "./api.js";

export class Live extends EventTarget {
  #stream = null;
  #lost = false;

  start() {
    this.stop();
    this.#stream = new EventSource(`${API}/desk/events`);
    for (const name of ["verdicts", "clips", "work"]) {
      this.#stream.addEventListener(name, (event) => this.dispatchEvent(new CustomEvent(name, { detail: JSON.parse(event.data) })));
    }
    this.#stream.addEventListener("error", () => { this.#lost = true; });
    this.#stream.addEventListener("open", () => {
      // What happened in between was told to nobody.
      if (this.#lost) this.dispatchEvent(new Event("again"));
      this.#lost = false;
    });
  }

  stop() { this.#stream?.close(); }
}
