// What is known of the clip in focus, and what can be done about it, with the key and the price.

import { API, get, may } from "./api.js";
import { clock, count, el, painted, plural, usd } from "./dom.js";
import { costsOf } from "./costs.js";
import { drawWave, player, wave } from "./sound.js";

const SETTLED_MS = 110;
const STATES = { undecided: "To review", approved: "✓ Approved", rejected: "✕ Rejected" };

/** The buttons of a clip: they do what the keys do, and say what it costs. */
export function actionButtons(commands, clips, source, { icons = true } = {}) {
  const money = { take: el("span", { className: "cost" }), reject: el("span", { className: "cost" }) };
  const button = (name, key, text, className, cost) => el("button", {
    type: "button", className, disabled: !commands.can(name), on: { click: () => commands.run(name, { byPointer: true }) },
  }, icons ? el("kbd", { "aria-hidden": "true" }, key) : null, el("span", {}, text, cost));
  if (clips.length && clips.length <= 500) {
    costsOf(clips, source).then((costs) => {
      money.take.textContent = costs.takes ? `at most ${usd(costs.takes_usd)}` : costs.gone ? "no prompt asks for it" : "";
      money.reject.textContent = costs.retakes ? `and another take, at most ${usd(costs.retakes_usd)}` : "costs nothing";
    }, () => { money.take.textContent = "price not known"; });
  }
  return [
    button("approve", "A", "Approve", "good"),
    button("reject", "R", "Reject", "bad", money.reject),
    button("take", "T", "Another take", "", money.take),
    button("edit", "E", "Edit prompt", ""),
  ];
}

export class Panel {
  #settling = 0;
  #clip = null;
  #asked = 0;

  constructor(node, clips, grid, commands) {
    Object.assign(this, { node, clips, grid, commands });
    player.addEventListener("change", () => this.#playing());
  }

  /** Show the clip in focus: what is known at once, the rest when the focus rests. */
  show() {
    const { clip } = this.grid;
    this.#clip = clip;
    clearTimeout(this.#settling);
    if (getComputedStyle(this.node).display === "none") return;
    if (this.grid.selected.size > 1) { this.#settling = setTimeout(() => this.#selection(), SETTLED_MS); return; }
    if (!clip) { this.node.replaceChildren(el("p", { className: "soft" }, "No clip is in focus. Arrow keys move.")); return; }
    // After the paint of the grid: a key is answered there first.
    this.#settling = setTimeout(() => this.#settled(clip), SETTLED_MS);
  }

  async #settled(clip) {
    const asked = ++this.#asked;
    try {
      await this.clips.details([clip]);
    } catch (problem) {
      this.node.replaceChildren(el("p", { className: "wrong" }, problem.message));
      return;
    }
    if (clip !== this.#clip || asked !== this.#asked || !clip.detail) return;
    this.#draw(clip, null, []);
    const { detail } = clip;
    const [prompt, reviews] = await Promise.all([
      get(`desk/prompts/${detail.kind}/${encodeURIComponent(detail.prompt_id)}`).catch(() => null),
      get(`reviews?clip_id=${encodeURIComponent(clip.id)}&limit=20`).then((page) => page.items, () => []),
    ]);
    if (clip === this.#clip && asked === this.#asked) this.#draw(clip, prompt, reviews);
  }

  #selection() {
    const clips = this.grid.targets;
    this.node.replaceChildren(
      el("h2", {}, `${plural(clips.length, "clip")} selected`),
      el("p", { className: "soft" }, "Keys act on all of them. Esc lets go of them."),
      el("div", { className: "do" }, actionButtons(this.commands, clips, this.clips)),
    );
  }

  #draw(clip, prompt, reviews) {
    const { detail } = clip;
    const size = detail.kind === "image" ? `${detail.width} × ${detail.height}` : clock(detail.duration_seconds);
    const facts = [
      ["Prompt", detail.prompt_id], ["Variant", prompt?.variants > 1 ? `${detail.variant} of ${prompt.variants}` : detail.variant],
      ["Collection", detail.collection], ["Model", detail.model], ["Size", `${size}, ${count(Math.round(detail.bytes / 1024))} kB`],
      ["Cost", usd(detail.cost_usd)], ["Marks", detail.badge], ["Seed", detail.seed], ["Made", new Date(detail.created_at).toLocaleString()], ["Run", detail.run_id],
    ].filter(([, value]) => value !== null && value !== "");
    const sent = Object.entries(detail.inputs || {}).filter(([, value]) => value !== detail.prompt_text && typeof value !== "object");
    this.node.replaceChildren(...[
      el("p", { className: `state ${clip.state}` }, STATES[clip.state]),
      detail.kind === "audio" ? this.#player(clip) : null,
      el("div", {}, el("p", { className: "text" }, prompt?.text || detail.prompt_text), prompt?.style ? el("p", { className: "style" }, `Style: ${prompt.style}`) : null),
      el("div", { className: "do" }, actionButtons(this.commands, [clip], this.clips)),
      ...this.#siblings(clip, prompt),
      ...this.#log(reviews),
      el("h3", {}, "Facts"),
      el("dl", { className: "facts" }, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
      sent.length ? el("h3", {}, "What was sent") : null,
      sent.length ? el("dl", { className: "facts" }, sent.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])) : null,
      el("p", {}, el("a", { href: detail.media_url, target: "_blank", rel: "noopener" }, "The file itself")),
    ].filter(Boolean));
    this.node.scrollTop = 0;
  }

  #player(clip) {
    this.seek = el("input", {
      type: "range", min: 0, max: 1000, value: 0, "aria-label": "Place in the sound",
      on: { input: () => player.seek(clip, this.seek.value / 1000) },
    });
    this.now = el("span", { className: "soft number" }, "0:00");
    this.play = el("button", { type: "button", on: { click: () => player.toggle(clip) } }, "Play");
    painted(() => this.#playing());
    return el("div", { className: "player" }, this.play, this.seek, this.now);
  }

  #playing() {
    if (!this.seek?.isConnected) return;
    const mine = player.clip === this.#clip;
    this.play.textContent = mine && player.playing ? "Pause" : "Play";
    this.seek.value = mine ? player.share * 1000 : 0;
    this.seek.setAttribute("aria-valuetext", clock(mine ? player.seconds : 0));
    this.now.textContent = `${clock(mine ? player.seconds : 0)} / ${clock(this.#clip?.seconds)}`;
  }

  /** Other variants and earlier takes of the same prompt. */
  #siblings(clip, prompt) {
    if (!prompt || prompt.clips.length < 2) return [];
    return [
      el("h3", {}, `Variants and takes (${prompt.clips.length})`, " ", el("kbd", {}, "C"), " side by side"),
      el("div", { className: "strip" }, prompt.clips.slice(0, 24).map((each) => this.#sibling(clip, each))),
    ];
  }

  #sibling(clip, each) {
    const old = Boolean(each.superseded_at);
    const name = `Variant ${each.variant}${old ? ", earlier take" : ""}, ${each.review_state || "undecided"}`;
    const button = el("button", {
      type: "button", title: name, "aria-label": name, className: old ? "old" : "", "aria-current": each.id === clip.id ? "true" : null,
      on: { click: () => { const place = this.clips.indexOf(each.id); if (place >= 0) this.grid.focus(place); else this.commands.run("compare"); } },
    });
    if (each.kind === "image") button.append(el("img", { alt: "", src: `${API}/desk/clips/${each.id}/picture` }));
    else {
      const canvas = el("canvas", { "aria-hidden": "true", width: 68, height: 50 });
      button.append(canvas);
      const other = this.clips.adopt(each);
      wave(other).then(() => painted(() => { if (canvas.isConnected) drawWave(canvas, other); }), () => {});
    }
    return button;
  }

  #log(reviews) {
    if (!reviews.length) return [];
    return [
      el("h3", {}, "Verdicts"),
      el("ul", { className: "log" }, reviews.map((each) => el("li", {},
        el("b", {}, each.verdict), each.reason_code ? ` (${each.reason_code.replaceAll("_", " ")})` : "", ` by ${each.actor}, ${new Date(each.created_at).toLocaleString()}`,
        each.note ? el("div", {}, each.note) : null))),
    ];
  }
}

