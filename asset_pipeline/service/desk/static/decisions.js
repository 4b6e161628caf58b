// Verdicts: shown at once, sent in their order, and taken back by the same way.

import { post, Problem } from "./api.js";
import { plural, say, toast } from "./dom.js";

const AT_ONCE = 500;
const RETRY_MS = 2000;
const WORDS = { approved: "Approved", rejected: "Rejected", undecided: "Open again" };

export class Decisions extends EventTarget {
  #queue = [];
  #sending = false;
  #history = [];

  constructor(clips) {
    super();
    this.clips = clips;
    addEventListener("beforeunload", (event) => { if (this.#queue.length || this.#sending) event.preventDefault(); });
  }

  get waiting() { return this.#queue.length + (this.#sending ? 1 : 0); }
  get canUndo() { return this.#history.length > 0; }

  /** Decide about clips. They show it at once; the ledger has it a moment later. */
  decide(clips, verdict, { reason = "", note = "" } = {}) {
    const changed = clips.filter((clip) => !clip.gone && (clip.state !== verdict || reason || note));
    if (!changed.length) return;
    const step = { kind: "verdicts", verdict, parts: changed.map((clip) => ({ clip, before: clip.state, reason: clip.reason })) };
    this.#history.push(step);
    for (const part of step.parts) {
      part.entry = { clip: part.clip, verdict, reason, note, before: part.clip.state, step };
      this.#put(part.entry);
    }
    const what = clips.length === 1 ? "" : ` ${plural(changed.length, "clip")}`;
    say(`${WORDS[verdict]}${what}`);
    if (clips.length > 1) toast(`${WORDS[verdict]}${what}.`, { button: { text: "Undo", act: () => this.undo() } });
    this.dispatchEvent(new Event("change"));
  }

  /** Note an order, so that undo cancels it. */
  ordered(answer, what) {
    this.#history.push({ kind: "order", cancel: answer.cancel_url, what });
    this.dispatchEvent(new Event("change"));
  }

  /** Take back the last step; return the clips that it was about. */
  undo() {
    const step = this.#history.pop();
    if (!step) { toast("There is nothing to undo."); return []; }
    if (step.kind === "order") {
      post(step.cancel).then(
        (job) => toast(job.counts.cancelled ? `Cancelled: ${step.what}.` : `${step.what}: it is under way already, and lands.`),
        (problem) => toast(problem.message, { bad: true }),
      );
      this.dispatchEvent(new Event("change"));
      return [];
    }
    for (const part of step.parts) {
      if (part.failed) continue;
      this.#put({ clip: part.clip, verdict: part.before, reason: part.reason || "", note: "", before: part.clip.state, undoes: part.entry });
    }
    const done = step.parts.map((part) => part.clip);
    toast(done.length === 1 ? "Undone." : `Undone for ${plural(done.length, "clip")}.`);
    this.dispatchEvent(new Event("change"));
    return done;
  }

  #put(entry) {
    entry.clip.waits += 1;
    entry.clip.reason = entry.reason;
    this.clips.setState(entry.clip, entry.verdict);
    this.#queue.push(entry);
    this.#send();
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#queue.length) {
      const batch = this.#next();
      try {
        await this.#sendBatch(batch);
      } catch (problem) {
        if (problem instanceof Problem && problem.status !== 0 && problem.status < 500 && problem.status !== 429 && problem.status !== 401) {
          await this.#sendEach(batch, problem);
        } else {
          // Nobody answers: what was decided stays here, and is sent when somebody does.
          this.#queue.unshift(...batch);
          toast(`${problem.message} ${plural(this.#queue.length, "verdict")} wait here and are sent again.`, { bad: true });
          await new Promise((go) => { setTimeout(go, RETRY_MS); });
        }
      }
    }
    this.#sending = false;
    this.dispatchEvent(new Event("change"));
  }

  /** What goes in one request: no clip twice, for each verdict names the one before it. */
  #next() {
    const seen = new Set();
    let end = 0;
    while (end < this.#queue.length && end < AT_ONCE && !seen.has(this.#queue[end].clip)) {
      if (this.#queue[end].undoes && end > 0) break;
      seen.add(this.#queue[end].clip);
      end += 1;
      if (this.#queue[end - 1].undoes) break;
    }
    return this.#queue.splice(0, end);
  }

  async #sendBatch(batch) {
    const [first] = batch;
    if (first.undoes?.review && first.undoes.retake) this.#cancel(first.undoes.retake);
    if (first.undoes?.review && first.undoes.review === first.clip.review) {
      // By its own route: what stood before comes back with its reason and its note.
      const found = await post(`reviews/${first.undoes.review}/undo`);
      this.#done(first, found);
      return;
    }
    await this.clips.details(batch.map((entry) => entry.clip));
    const reviews = batch.map((entry) => ({
      clip_id: entry.clip.id,
      sha256: entry.clip.detail?.sha256 || "",
      verdict: entry.verdict,
      reason_code: entry.reason,
      note: entry.note,
      supersedes: entry.clip.review,
    }));
    const found = await post("reviews", { reviews });
    found.items.forEach((review, place) => this.#done(batch[place], review));
  }

  async #sendEach(batch, problem) {
    if (batch.length === 1) { this.#failed(batch[0], problem); return; }
    for (const entry of batch) {
      try {
        await this.#sendBatch([entry]);
      } catch (each) {
        this.#failed(entry, each);
      }
    }
  }

  #done(entry, review) {
    const { clip } = entry;
    clip.review = review.review_id;
    entry.review = review.review_id;
    entry.retake = review.retake;
    clip.waits -= 1;
    if (clip.detail) Object.assign(clip.detail, { review_id: review.review_id, review_state: review.verdict === "undecided" ? null : review.verdict });
    // The server knows what stood before better than this page does.
    if (!clip.waits) this.clips.setState(clip, review.verdict);
    this.clips.dispatchEvent(new CustomEvent("state", { detail: clip }));
    this.dispatchEvent(new CustomEvent("decided", { detail: { clip, review } }));
  }

  #failed(entry, problem) {
    const { clip } = entry;
    clip.waits -= 1;
    for (const part of entry.step?.parts || []) if (part.entry === entry) part.failed = true;
    // A lost answer: the verdict arrived, and stands there as ours.
    this.clips.setState(clip, entry.before);
    clip.detail = null;
    this.clips.details([clip]).then(() => {
      const now = clip.detail?.review_state || "undecided";
      clip.review = clip.detail?.review_id || 0;
      this.clips.setState(clip, now);
      if (now !== entry.verdict || problem.code !== "review_changed") {
        toast(problem.message, { bad: true });
        this.dispatchEvent(new CustomEvent("refused", { detail: { clip, problem } }));
      }
    }, () => toast(problem.message, { bad: true }));
  }

  #cancel(order) {
    post(order.cancel_url).catch((problem) => toast(problem.message, { bad: true }));
  }

  /** What somebody else decided; ours that are under way come first. */
  heard({ review_id: number, clip_id: id, verdict, actor }, own) {
    const clip = this.clips.get(id);
    if (!clip || clip.waits || number <= clip.review) return;
    clip.review = number;
    if (clip.detail) Object.assign(clip.detail, { review_id: number, review_state: verdict === "undecided" ? null : verdict });
    this.clips.setState(clip, verdict);
    if (actor !== own) say(`${actor} decided: ${WORDS[verdict]}`);
  }
}

