// The clips of a view: all of them in short, and in full where somebody looks.

import { get, post } from "./api.js";

const DETAILS_AT_ONCE = 200;

/** A clip: id, ratio of width to height (null: a sound), seconds, state, number of its verdict. */
function clipOf([id, ratio, seconds, state, review]) {
  return { id, ratio: ratio ?? null, seconds, state: state || "undecided", review, detail: null, waits: 0, shown: false, gone: false };
}

export class Clips extends EventTarget {
  list = [];
  counts = { undecided: 0, approved: 0, rejected: 0 };
  complete = false;
  #places = new Map();
  #known = new Map();
  #loading = null;
  #wanted = new Map();
  #asking = false;

  /** Load a view anew; what was decided here and is not sent yet stays decided. */
  async load(query) {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    this.complete = false;
    try {
      const first = await get(`desk/index?${query}`, { signal: loading.signal });
      if (loading.signal.aborted) return false;
      this.#begin();
      this.counts = first.counts;
      this.dispatchEvent(new Event("counts"));
      this.#add(first.clips);
      if (first.more) {
        const all = await get(`desk/index?${query}&whole=true`, { signal: loading.signal });
        if (loading.signal.aborted) return false;
        this.#add(all.clips);
      }
    } catch (problem) {
      if (loading.signal.aborted) return false;
      throw problem;
    }
    this.complete = true;
    this.dispatchEvent(new Event("complete"));
    return true;
  }

  #begin() {
    this.list = [];
    this.#places = new Map();
    const kept = [...this.#known.values()].filter((clip) => clip.waits);
    this.#known = new Map(kept.map((clip) => [clip.id, clip]));
  }

  #add(rows) {
    for (const row of rows) {
      if (this.#places.has(row[0])) continue; // one landed meanwhile, and moved the others
      const clip = this.#known.get(row[0]) || clipOf(row);
      this.#known.set(clip.id, clip);
      this.#places.set(clip.id, this.list.length);
      this.list.push(clip);
    }
    this.dispatchEvent(new Event("added"));
  }

  get length() { return this.list.length; }
  at(index) { return this.list[index]; }
  indexOf(id) { return this.#places.get(id) ?? -1; }
  get(id) { return this.#known.get(id); }

  /** A clip that is on no list, such as an earlier take; the one on the list if it is there. */
  adopt(detail) {
    let clip = this.#known.get(detail.id);
    if (!clip) {
      const ratio = detail.kind === "image" ? (detail.width || 1) / (detail.height || 1) : null;
      clip = clipOf([detail.id, ratio, detail.duration_seconds, detail.review_state, detail.review_id || 0]);
      this.#known.set(clip.id, clip);
    }
    if (!clip.waits) { clip.state = detail.review_state || "undecided"; clip.review = detail.review_id || 0; }
    clip.detail = detail;
    return clip;
  }

  /** Put a new take where the old one stood; false if that is not on the list. */
  replace(oldId, row) {
    const place = this.indexOf(oldId);
    if (place < 0) return null;
    const clip = clipOf(row);
    this.list[place].gone = true;
    this.#places.delete(oldId);
    this.#places.set(clip.id, place);
    this.#known.set(clip.id, clip);
    this.list[place] = clip;
    if (clip.state === "undecided") this.counts.undecided += 1;
    this.dispatchEvent(new Event("changed"));
    return clip;
  }

  setState(clip, state) {
    if (clip.state === state) return;
    if (!clip.gone) { this.counts[clip.state] -= 1; this.counts[state] += 1; }
    clip.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: clip }));
  }

  /** Resolve when all of these clips are known in full. Those that are gone stay without. */
  async details(clips) {
    const missing = clips.filter((clip) => !clip.detail);
    const asked = missing.map((clip) => {
      let waiting = this.#wanted.get(clip.id);
      if (!waiting) {
        waiting = Promise.withResolvers ? Promise.withResolvers() : deferred();
        waiting.promise.catch(() => {});
        this.#wanted.set(clip.id, waiting);
      }
      return waiting.promise;
    });
    if (missing.length && !this.#asking) this.#ask();
    await Promise.all(asked);
  }

  async #ask() {
    this.#asking = true;
    await Promise.resolve(); // whatever is wanted in this moment is asked for together
    while (this.#wanted.size) {
      const batch = [...this.#wanted].slice(0, DETAILS_AT_ONCE);
      for (const [id] of batch) this.#wanted.delete(id);
      try {
        const found = await post("desk/details", { ids: batch.map(([id]) => id) });
        for (const detail of found.items) {
          const clip = this.#known.get(detail.id);
          if (clip) clip.detail = detail;
        }
        for (const [, waiting] of batch) waiting.resolve();
        this.dispatchEvent(new Event("details"));
      } catch (problem) {
        for (const [, waiting] of batch) waiting.reject(problem);
      }
    }
    this.#asking = false;
  }
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
