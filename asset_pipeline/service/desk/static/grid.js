// The grid: only what is on the screen is in the page. Focus and selection are by clip, so they
// stay where they are whatever comes, goes or is decided around them.

import { API } from "./api.js";
import { clock, el, painted } from "./dom.js";
import { Layout, TallScroll } from "./layout.js";
import { drawWave, wave } from "./sound.js";

const GAP = 6;
const OVERSCAN = 0.6; // of a screen, above and below
const MOST_TILES = 130; // of eight nodes at the most
const ROWS = { s: 120, m: 190, l: 300 };
const MARKS = { approved: "✓", rejected: "✕", undecided: "" };
const QUIET_MS = 120; // the sharp pictures come when scrolling rests

/** A verdict counts only for a clip that has had the focus for so long, and was painted with it. */
export const SETTLE_MS = 80;

export class Grid extends EventTarget {
  index = -1;
  selected = new Set();
  size = "m";
  #anchor = -1;
  #focusId = null;
  #tiles = new Map();
  #layout = null;
  #drawing = 0;
  #quiet = 0;
  #focusedAt = 0;
  #painted = false;

  constructor(scroller, page, clips) {
    super();
    this.page = page;
    this.clips = clips;
    this.scroll = new TallScroll(scroller, page, () => this.draw());
    this.scroller = scroller;
    clips.addEventListener("added", () => this.relayout());
    clips.addEventListener("changed", () => { this.relayout(); this.#followFocus(); });
    clips.addEventListener("state", ({ detail: clip }) => this.refresh(clip));
    clips.addEventListener("details", () => { for (const tile of this.#tiles.values()) this.#label(tile); });
    new ResizeObserver(() => this.relayout()).observe(scroller);
    page.addEventListener("pointerdown", (event) => this.#pressed(event));
    page.addEventListener("dblclick", (event) => { if (this.#under(event)) this.dispatchEvent(new Event("open")); });
  }

  /** The clip in focus. */
  get clip() { return this.index >= 0 ? this.clips.at(this.index) : null; }

  /** What a key acts on: the selection, or else the clip in focus. */
  get targets() {
    if (this.selected.size) return [...this.selected].map((id) => this.clips.get(id)).filter((clip) => clip && !clip.gone);
    return this.clip ? [this.clip] : [];
  }

  /** Whether the clip in focus has been seen: it is painted, its picture too, and not just now. */
  get seen() {
    const clip = this.clip;
    return Boolean(clip && clip.shown && this.#painted && performance.now() - this.#focusedAt >= SETTLE_MS);
  }

  reset() {
    this.index = -1;
    this.#focusId = null;
    this.#anchor = -1;
    this.selected.clear();
    for (const tile of this.#tiles.values()) tile.node.remove();
    this.#tiles.clear();
    this.scroll.to(0);
  }

  relayout() {
    const width = this.scroller.clientWidth - 2 * GAP;
    if (width <= 0) return;
    const before = this.#layout;
    const keep = before && this.index >= 0 && before.width !== width ? this.index : -1;
    const row = Math.min(ROWS[this.size], width / 1.6);
    this.#layout = new Layout(this.clips.list, width, row, GAP);
    this.scroll.resize(this.#layout.height + 2 * GAP);
    if (keep >= 0) this.#show(keep);
    this.draw();
  }

  setSize(size) {
    this.size = size;
    this.relayout();
    if (this.index >= 0) this.#show(this.index);
  }

  /** The list changed its clips at their places: the focus is on the clip at its place. */
  #followFocus() {
    if (this.index >= 0) this.#setFocus(this.index, false);
  }

  draw() {
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => { this.#drawing = 0; this.#drawNow(); });
  }

  #drawNow() {
    const layout = this.#layout;
    if (!layout) return;
    const view = this.scroll.view;
    const top = this.scroll.top;
    const first = layout.tops.length ? layout.rowAt(Math.max(0, top - view * OVERSCAN)) : 0;
    const shift = this.scroll.shift + GAP;
    const wanted = new Map();
    for (let row = first; row < layout.tops.length && layout.tops[row] < top + view * (1 + OVERSCAN); row += 1) {
      if (wanted.size > MOST_TILES && layout.tops[row] > top + view) break;
      for (const box of layout.boxes(row)) wanted.set(this.clips.at(box.index).id, box);
    }
    for (const [id, tile] of this.#tiles) {
      if (!wanted.has(id)) { tile.node.remove(); tile.clip.shown = false; this.#tiles.delete(id); }
    }
    const unknown = [];
    for (const [id, box] of wanted) {
      const tile = this.#tiles.get(id) || this.#make(this.clips.at(box.index));
      this.#place(tile, box, shift);
      if (!tile.clip.detail) unknown.push(tile.clip);
    }
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#rest(unknown), QUIET_MS);
    if (unknown.length) this.#ask(unknown);
  }

  #ask(clips) {
    this.clips.details(clips).catch(() => {}); // asked for again when it is drawn again
  }

  #make(clip) {
    const sound = clip.ratio === null;
    const node = el("div", { role: "option", id: `clip-${clip.id}`, className: sound ? "tile audio" : "tile", "aria-busy": "true" });
    const shown = () => { clip.shown = true; node.removeAttribute("aria-busy"); };
    const mark = el("span", { className: "mark", "aria-hidden": "true" });
    const label = el("span", { className: "label" });
    const tile = { clip, node, mark, label, box: null, picture: null, canvas: null, sharp: false };
    if (sound) {
      tile.canvas = el("canvas", { "aria-hidden": "true" });
      node.append(tile.canvas, el("span", { className: "time", "aria-hidden": "true" }, clock(clip.seconds)));
      wave(clip).then(() => { shown(); this.#drawWave(tile); }, () => { shown(); node.classList.add("broken"); });
    } else {
      tile.picture = el("img", { alt: "", decoding: "async", draggable: false });
      tile.picture.addEventListener("load", shown, { once: true });
      tile.picture.addEventListener("error", () => { shown(); node.classList.add("broken"); tile.picture.remove(); }, { once: true });
      tile.picture.src = `${API}/desk/clips/${clip.id}/picture`;
      node.append(tile.picture);
    }
    node.append(label, mark);
    this.#tiles.set(clip.id, tile);
    this.page.append(node);
    this.#label(tile);
    return tile;
  }

  #place(tile, box, shift) {
    const { style } = tile.node;
    style.transform = `translate(${box.left + GAP}px, ${box.top + shift}px)`;
    if (!tile.box || tile.box.width !== box.width || tile.box.height !== box.height) {
      style.width = `${box.width}px`;
      style.height = `${box.height}px`;
      tile.sharp = false;
      if (tile.canvas) requestAnimationFrame(() => this.#drawWave(tile));
    }
    tile.box = box;
    tile.node.setAttribute("aria-setsize", this.clips.complete ? this.clips.length : -1);
    tile.node.setAttribute("aria-posinset", box.index + 1);
    this.#mark(tile);
  }

  #mark(tile) {
    const { clip, node } = tile;
    const chosen = this.selected.has(clip.id);
    node.dataset.state = clip.state;
    if (clip.waits) node.dataset.waits = "";
    else delete node.dataset.waits;
    if (tile.mark.textContent !== MARKS[clip.state]) tile.mark.textContent = MARKS[clip.state];
    node.classList.toggle("focus", clip.id === this.#focusId);
    node.classList.toggle("selected", chosen);
    node.setAttribute("aria-selected", chosen || (!this.selected.size && clip.id === this.#focusId));
  }

  #label(tile) {
    const { clip, node, label } = tile;
    const detail = clip.detail;
    const what = clip.ratio === null ? "Sound" : "Picture";
    const text = detail ? detail.prompt_text : "";
    const name = detail ? `${detail.prompt_id} #${detail.variant}` : "";
    if (label.textContent !== name) label.textContent = name;
    node.setAttribute("aria-label", `${what} ${name}, ${clip.state}. ${text}`.trim());
  }

  #drawWave(tile) {
    if (tile.canvas.isConnected) drawWave(tile.canvas, tile.clip);
  }

  /** When scrolling rests: pictures as sharp as the screen shows them. */
  #rest() {
    const scale = window.devicePixelRatio || 1;
    for (const tile of this.#tiles.values()) {
      if (!tile.picture || tile.sharp || !tile.box || !tile.clip.shown) continue;
      const pixels = Math.max(tile.box.width, tile.box.height) * scale;
      tile.sharp = true;
      if (pixels <= 320) continue;
      const better = new Image();
      better.src = `${API}/desk/clips/${tile.clip.id}/picture?side=${pixels <= 640 ? 640 : 1280}`;
      better.decode().then(() => { if (tile.picture.isConnected) tile.picture.src = better.src; }, () => {});
    }
    if ([...this.#tiles.values()].some((tile) => tile.picture && !tile.sharp)) {
      this.#quiet = setTimeout(() => this.#rest(), QUIET_MS);
    }
  }

  refresh(clip) {
    const tile = this.#tiles.get(clip.id);
    if (!tile) return;
    this.#mark(tile);
    this.#label(tile);
  }

  /** Draw a sound's waveform again: it plays. */
  rewave(clip) {
    const tile = this.#tiles.get(clip.id);
    if (tile?.canvas) this.#drawWave(tile);
  }

  #show(index) {
    const layout = this.#layout;
    if (!layout || index < 0 || index >= this.clips.length) return;
    const row = layout.rowOf(index);
    const top = layout.tops[row];
    const bottom = top + layout.heights[row] + 2 * GAP;
    if (top < this.scroll.top) this.scroll.to(top);
    else if (bottom > this.scroll.top + this.scroll.view) this.scroll.to(bottom - this.scroll.view);
    this.draw();
  }

  focus(index, { show = true } = {}) {
    if (!this.clips.length) return;
    this.#setFocus(Math.max(0, Math.min(index, this.clips.length - 1)), show);
  }

  #setFocus(index, show) {
    const old = this.#focusId;
    this.index = index;
    this.#focusId = this.clips.at(index)?.id ?? null;
    if (old !== this.#focusId) {
      this.#painted = false;
      this.#focusedAt = performance.now();
      const id = this.#focusId;
      painted(() => { if (this.#focusId === id) this.#painted = true; });
    }
    if (show) this.#show(index);
    for (const id of [old, this.#focusId]) {
      const tile = id && this.#tiles.get(id);
      if (tile) this.#mark(tile);
    }
    this.page.setAttribute("aria-activedescendant", `clip-${this.#focusId}`);
    this.dispatchEvent(new Event("focus"));
  }

  /** Move by keys; with `extend` the selection grows from where it began. */
  move(to, { extend = false } = {}) {
    if (!this.clips.length) return;
    if (extend && this.#anchor < 0) this.#anchor = Math.max(0, this.index);
    if (!extend) this.#anchor = -1;
    this.focus(to);
    if (extend) this.#select(this.#anchor, this.index);
  }

  step(by, options) { this.move(this.index < 0 ? 0 : this.index + by, options); }

  stepRow(by, options) {
    const layout = this.#layout;
    if (!layout || this.index < 0) { this.step(1, options); return; }
    const row = layout.rowOf(this.index);
    const box = layout.boxes(row).find((each) => each.index === this.index);
    const to = Math.max(0, Math.min(row + by, layout.tops.length - 1));
    if (to !== row) this.move(layout.nearest(to, box.left + box.width / 2), options);
  }

  stepPage(by, options) {
    const rows = Math.max(1, Math.floor(this.scroll.view / (this.#layout?.heights[0] || 200)));
    this.stepRow(by * rows, options);
  }

  /** Go on to the next clip that is not decided; stay if none follows. */
  advance() {
    for (let index = this.index + 1; index < this.clips.length; index += 1) {
      if (this.clips.at(index).state === "undecided") { this.focus(index); return true; }
    }
    return false;
  }

  #select(from, to) {
    this.selected.clear();
    for (let index = Math.min(from, to); index <= Math.max(from, to); index += 1) this.selected.add(this.clips.at(index).id);
    this.#selectionChanged();
  }

  toggle() {
    const clip = this.clip;
    if (!clip) return;
    if (!this.selected.delete(clip.id)) this.selected.add(clip.id);
    this.#selectionChanged();
  }

  selectAll() {
    this.selected = new Set(this.clips.list.map((clip) => clip.id));
    this.#selectionChanged();
  }

  clearSelection() {
    this.#anchor = -1;
    if (!this.selected.size) return false;
    this.selected.clear();
    this.#selectionChanged();
    return true;
  }

  #selectionChanged() {
    for (const tile of this.#tiles.values()) this.#mark(tile);
    this.dispatchEvent(new Event("selection"));
  }

  #under(event) {
    const node = event.target.closest(".tile");
    return node ? this.clips.indexOf(node.id.slice("clip-".length)) : -1;
  }

  #pressed(event) {
    const index = this.#under(event);
    if (index < 0 || event.button !== 0) return;
    const again = index === this.index;
    if (event.shiftKey) { event.preventDefault(); this.move(index, { extend: true }); this.page.focus({ preventScroll: true }); return; }
    this.#anchor = -1;
    this.focus(index, { show: false });
    if (event.ctrlKey || event.metaKey) this.toggle();
    else if (event.target.localName === "canvas") {
      const box = event.target.getBoundingClientRect();
      this.dispatchEvent(new CustomEvent("play", { detail: (event.clientX - box.left) / box.width }));
    } else if (again && event.pointerType === "touch") this.dispatchEvent(new Event("open"));
    this.page.focus({ preventScroll: true });
  }
}
