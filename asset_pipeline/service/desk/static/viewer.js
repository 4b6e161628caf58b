// One clip as large as the screen, or all variants and takes of a prompt side by side.

import { API, get } from "./api.js";
import { byId, clock, el, painted } from "./dom.js";
import { actionButtons } from "./panel.js";
import { drawWave, player, wave } from "./sound.js";

const STATES = { undecided: "", approved: "✓ approved", rejected: "✕ rejected" };

export class Viewer {
  mode = null; // "one" or "compare"
  #full = false;
  #items = [];
  #at = 0;
  #earlier = true;
  #prompt = "";

  constructor(clips, grid, commands) {
    Object.assign(this, { clips, grid, commands, node: byId("viewer") });
    this.node.tabIndex = -1;
    this.node.addEventListener("close", () => { this.mode = null; this.node.replaceChildren(); grid.page.focus({ preventScroll: true }); });
    this.node.addEventListener("cancel", (event) => { event.preventDefault(); this.close(); });
    player.addEventListener("change", () => this.#waves());
    grid.addEventListener("focus", () => { if (this.mode === "one") this.#one(); });
    clips.addEventListener("state", () => { if (this.mode) this.#states(); });
    addEventListener("resize", () => this.#waves());
    this.#swipes();
  }

  /** The clip that keys act on while this is open. */
  get clip() { return this.mode === "compare" ? this.#items[this.#at] ?? null : this.grid.clip; }
  get seen() { return this.clip ? this.clip.large === true : false; }

  close() { if (this.node.open) this.node.close(); }

  open() {
    if (!this.grid.clip) return;
    this.mode = "one";
    this.#full = false;
    this.#one();
    this.#show();
    this.#waves();
  }

  /** On top, with the keys in it and on none of its buttons. */
  #show() {
    if (!this.node.open) this.node.showModal();
    this.node.focus();
  }

  zoom() {
    if (this.mode !== "one") return;
    this.#full = !this.#full;
    this.#stage.classList.toggle("full", this.#full);
  }

  async compare() {
    const clip = this.clip || this.grid.clip;
    if (!clip) return;
    await this.clips.details([clip]);
    const { kind, prompt_id: id } = clip.detail;
    const found = await get(`desk/prompts/${kind}/${encodeURIComponent(id)}`);
    this.#items = found.clips.map((detail) => this.clips.adopt(detail));
    this.#prompt = found.text || clip.detail.prompt_text;
    this.#at = Math.max(0, this.#items.indexOf(clip));
    this.mode = "compare";
    this.#side();
    this.#show();
    this.#waves();
  }

  /** Move inside: in the large view through the grid, side by side among what is shown. */
  step(by) {
    if (this.mode === "one") { this.grid.step(by); return; }
    const shown = this.#shown();
    const place = shown.indexOf(this.#items[this.#at]);
    const next = shown[Math.max(0, Math.min(place + by, shown.length - 1))];
    this.choose(next);
  }

  choose(clip) {
    const place = this.#items.indexOf(clip);
    if (place < 0) return;
    this.#at = place;
    this.#states();
    this.node.querySelector("figure.focus")?.scrollIntoView({ block: "nearest" });
  }

  nth(number) { const shown = this.#shown(); if (shown[number]) this.choose(shown[number]); }
  earlier() { this.#earlier = !this.#earlier; this.#side(); }

  get #stage() { return this.node.querySelector(".stage"); }

  #head(text, ...tools) {
    return el("div", { className: "head" },
      el("p", { className: "now state" }), el("p", { className: "grow soft" }, text), ...tools,
      el("button", { type: "button", className: "quiet", on: { click: () => this.close() } }, "Close ", el("kbd", { "aria-hidden": "true" }, "Esc")));
  }

  #one() {
    const clip = this.grid.clip;
    const stage = el("div", { className: this.#full ? "stage full" : "stage" });
    clip.large = false;
    const shown = () => painted(() => { clip.large = true; });
    if (clip.ratio === null) {
      const canvas = el("canvas", { "aria-hidden": "true", on: { click: (event) => player.seek(clip, event.offsetX / canvas.clientWidth) } });
      stage.append(canvas);
      wave(clip).then(() => { this.#waves(); shown(); }, shown);
    } else {
      const picture = el("img", { alt: clip.detail?.prompt_text || "", on: { load: shown, error: shown, click: () => this.zoom() } });
      picture.src = `${API}/clips/${clip.id}/media`;
      stage.append(picture);
    }
    const place = `${(this.grid.index + 1).toLocaleString("en")} of ${this.clips.length.toLocaleString("en")}`;
    this.node.replaceChildren(
      this.#head(clip.detail ? `${place} · ${clip.detail.prompt_text}` : place,
        el("button", { type: "button", className: "quiet", "aria-label": "The one before", on: { click: () => this.step(-1) } }, "←"),
        el("button", { type: "button", className: "quiet", "aria-label": "The next one", on: { click: () => this.step(1) } }, "→"),
        clip.ratio === null ? el("button", { type: "button", on: { click: () => player.toggle(clip) } }, "Play or pause") : null),
      stage,
      el("div", { className: "foot" }, actionButtons(this.commands, [clip], this.clips)),
    );
    if (!clip.detail) this.clips.details([clip]).then(() => { if (this.mode === "one" && this.grid.clip === clip && clip.detail) this.node.querySelector(".grow").textContent = `${place} · ${clip.detail.prompt_text}`; }, () => {});
    this.#states();
    this.#ahead();
  }

  /** The next picture is there before it is asked for. */
  #ahead() {
    const next = this.clips.at(this.grid.index + 1);
    if (next?.ratio) new Image().src = `${API}/clips/${next.id}/media`;
  }

  #shown() { return this.#items.filter((clip) => this.#earlier || !clip.detail.superseded_at); }

  #side() {
    const shown = this.#shown();
    if (!shown.includes(this.#items[this.#at])) this.#at = this.#items.indexOf(shown[0]);
    const deep = Math.max(1, Math.round(Math.sqrt(shown.length / 1.9)));
    const columns = innerWidth < 700 ? 1 : Math.ceil(shown.length / deep);
    const stage = el("div", { className: "stage" });
    const side = el("div", { className: "side", role: "group", "aria-label": "Variants and takes", tabIndex: 0 });
    side.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const rows = Math.ceil(shown.length / columns);
    side.style.gridAutoRows = rows <= 2 && innerWidth >= 700 ? `calc(${100 / rows}% - 10px)` : "minmax(220px, auto)";
    side.append(...shown.map((clip, place) => this.#figure(clip, place)));
    stage.append(side);
    const old = this.#items.length - this.#items.filter((clip) => !clip.detail.superseded_at).length;
    this.node.replaceChildren(
      this.#head(this.#prompt, old ? el("button", { type: "button", "aria-pressed": this.#earlier ? "true" : "false", on: { click: () => this.earlier() } }, `Earlier takes (${old})`) : null),
      stage, el("div", { className: "foot" }));
    this.#states();
    painted(() => this.#waves());
  }

  #figure(clip, place) {
    const { detail } = clip;
    const old = detail.superseded_at ? ", earlier take" : "";
    const shown = () => painted(() => { clip.large = true; });
    clip.large = false;
    const figure = el("figure", { className: old ? "old" : "", on: { click: () => this.choose(clip), dblclick: () => { const at = this.clips.indexOf(clip.id); if (at >= 0) { this.grid.focus(at); this.open(); } } } });
    figure.dataset.id = clip.id;
    if (clip.ratio === null) {
      figure.append(el("canvas", { "aria-hidden": "true", on: { click: (event) => player.seek(clip, event.offsetX / event.target.clientWidth) } }));
      wave(clip).then(() => { this.#waves(); shown(); }, shown);
    } else figure.append(el("img", { alt: `Variant ${detail.variant}${old}`, on: { load: shown, error: shown }, src: detail.media_url }));
    figure.append(el("figcaption", {},
      el("span", {}, place < 9 ? el("kbd", {}, String(place + 1)) : null, ` Variant ${detail.variant}${old}`), el("span", { className: "verdict" }),
      el("span", {}, clip.ratio === null ? clock(clip.seconds) : `${detail.width} × ${detail.height}`)));
    return figure;
  }

  #states() {
    const clip = this.clip;
    const now = this.node.querySelector(".now");
    if (now && clip) { now.className = `now state ${clip.state}`; now.textContent = STATES[clip.state]; }
    if (this.mode !== "compare") return;
    for (const figure of this.node.querySelectorAll("figure")) {
      const each = this.clips.get(figure.dataset.id);
      figure.classList.toggle("focus", each === clip);
      figure.querySelector(".verdict").textContent = STATES[each.state];
      figure.querySelector(".verdict").className = `verdict state ${each.state}`;
    }
    const foot = this.node.querySelector(".foot");
    if (foot && clip && foot.dataset.id !== clip.id) {
      foot.dataset.id = clip.id;
      foot.replaceChildren(...(clip.detail.superseded_at ? [el("p", { className: "soft" }, "An earlier take: another one stands in its place.")] : actionButtons(this.commands, [clip], this.clips)));
    }
  }

  #waves() {
    if (!this.mode) return;
    if (this.mode === "one") {
      const canvas = this.node.querySelector(".stage > canvas");
      if (canvas) drawWave(canvas, this.grid.clip);
      return;
    }
    for (const figure of this.node.querySelectorAll("figure:has(canvas)")) drawWave(figure.querySelector("canvas"), this.clips.get(figure.dataset.id));
  }

  #swipes() {
    let from = null;
    this.node.addEventListener("touchstart", (event) => { from = event.touches.length === 1 ? event.touches[0].clientX : null; }, { passive: true });
    this.node.addEventListener("touchend", (event) => {
      if (from === null || this.#full || this.mode !== "one") return;
      const way = event.changedTouches[0].clientX - from;
      if (Math.abs(way) > 60) this.step(way < 0 ? 1 : -1);
      from = null;
    });
  }
}

