// The desk: puts the parts together, and says what each key does.

import { get, logIn, logOut, may, newKey, onLoggedOut, post, session, who } from "./api.js";
import { Clips } from "./clips.js";
import { forgetCosts } from "./costs.js";
import { Decisions } from "./decisions.js";
import { askEdit, askReason, askTake, showFailures, showKeys } from "./dialogs.js";
import { byId, count, el, plural, say, toast } from "./dom.js";
import { Filters } from "./filters.js";
import { Grid, SETTLE_MS } from "./grid.js";
import { Live } from "./live.js";
import { Panel, actionButtons } from "./panel.js";
import { player } from "./sound.js";
import { Viewer } from "./viewer.js";

const KEYS = [
  ["Decide", [["A", "Approve and go on"], ["R", "Reject: then 1 to 8 for the reason"], ["T", "Another take, with its price"], ["E", "Edit the prompt for the next take"], ["U", "Undo"], ["O", "Open again: take the verdict back"]]],
  ["Move", [["← →", "The clip before, the next"], ["↑ ↓", "A row up, down"], ["PgUp PgDn", "A screen up, down"], ["Home End", "The first, the last"], ["J", "The next one to review"], ["/", "Search"]]],
  ["Look", [["Enter", "As large as the screen"], ["Z", "Every pixel, in the large view"], ["C", "Variants and takes side by side"], ["Space", "Play, pause"], [", .", "5 seconds back, ahead"], ["Esc", "Close; let go of the selection"]]],
  ["Select", [["X", "Select this one too"], ["Shift+←→↑↓", "Select on the way"], ["Ctrl+A", "Select all of the view"], ["?", "These keys"]]],
];
const DOUBLE_CLICK_MS = 250; // the second click of one lands on the button of the next clip
const TOO_QUICK = "Too quick: nothing was decided about this clip.";

const clips = new Clips();
const filters = new Filters();
const grid = new Grid(byId("scroller"), byId("grid"), clips);
const decisions = new Decisions(clips);
const live = new Live();
let failures = [];
let fresh = 0;
let decidedAt = 0;

// Commands -----------------------------------------------------------------

/** The clips that a command acts on: what is open on top comes first. */
const targets = () => (viewer.mode ? [viewer.clip].filter(Boolean) : grid.targets);

const orderable = () => targets().filter((clip) => !clip.gone && !clip.detail?.superseded_at);

function approve() { decideNow("approved"); }
function reopen() { decideNow("undecided", { stay: true }); }

function decideNow(verdict, { reason = "", note = "", stay = false, clips: given = null } = {}) {
  const chosen = given || orderable();
  if (!chosen.length) return;
  const one = !grid.selected.size || viewer.mode;
  decisions.decide(chosen, verdict, { reason, note });
  decidedAt = performance.now();
  if (stay) return;
  if (viewer.mode === "compare") {
    return;
  }
  if (!one) { grid.clearSelection(); return; }
  if (!grid.advance()) finished();
}

function finished() {
  if (clips.counts.undecided > 0 || !clips.complete) say("No clip to review follows; some stand above.");
  else toast("All of this view is decided.");
}

async function reject() {
  const chosen = orderable();
  if (!chosen.length) return;
  const answer = await askReason(chosen, clips);
  if (answer) decideNow("rejected", { ...answer, clips: chosen });
}

async function take() {
  const chosen = orderable();
  if (!chosen.length) return;
  if (chosen.length > 500) { toast("At most 500 takes at once.", { bad: true }); return; }
  const key = newKey();
  if (!(await askTake(chosen, clips))) return;
  try {
    const answer = await post("desk/takes", { clips: chosen.map((clip) => ({ clip_id: clip.id, sha256: clip.detail.sha256 })) }, { key });
    ordered(answer, plural(chosen.length, "take"));
    grid.clearSelection();
  } catch (problem) {
    toast(problem.message, { bad: true });
  }
}

function ordered(answer, what) {
  forgetCosts();
  decisions.ordered(answer, what);
  toast(`Ordered: ${what}.${answer.waits_for_daemon ? " It waits: no Dagster daemon was heard of." : ""}`, { button: { text: "Undo", act: () => undo() } });
}

async function edit() {
  const [clip] = orderable();
  if (!clip) return;
  try {
    const answer = await askEdit(clip, clips);
    if (answer) ordered(answer, "the edited prompt");
  } catch (problem) {
    toast(problem.message, { bad: true });
  }
}

function undo() {
  const done = decisions.undo();
  if (!done.length) return;
  const place = clips.indexOf(done[0].id);
  if (viewer.mode === "compare") viewer.choose(done[0]);
  else if (place >= 0) grid.focus(place);
}

const COMMANDS = {
  approve: { act: approve, needs: "review", seen: true },
  reject: { act: reject, needs: "review", seen: true },
  open_again: { act: reopen, needs: "review", seen: true },
  take: { act: take, needs: "generate", seen: true },
  edit: { act: edit, needs: "generate" },
  undo: { act: undo, needs: "review" },
  large: { act: () => (viewer.mode === "one" ? viewer.close() : viewer.open()) },
  compare: { act: () => (viewer.mode === "compare" ? viewer.close() : viewer.compare().catch((problem) => toast(problem.message, { bad: true }))) },
};

const commands = {
  can: (name) => !COMMANDS[name].needs || may(COMMANDS[name].needs),
  run(name, { byKey = false, byPointer = false } = {}) {
    const command = COMMANDS[name];
    if (!commands.can(name)) { toast(`This needs the scope “${command.needs}”.`, { bad: true }); return; }
    // A press that was meant for the clip before must not hit this one.
    const seen = viewer.mode ? viewer.seen : grid.selected.size || grid.seen;
    const doubled = performance.now() - decidedAt < (byPointer ? DOUBLE_CLICK_MS : SETTLE_MS);
    if (command.seen && ((byKey && !seen) || doubled)) { if (targets().length) { toast(TOO_QUICK); say(TOO_QUICK); } return; }
    command.act();
  },
};

const viewer = new Viewer(clips, grid, commands);
const panel = new Panel(byId("panel"), clips, grid, commands);

// Keys ---------------------------------------------------------------------

const plainKeys = {
  a: "approve", r: "reject", t: "take", e: "edit", u: "undo", o: "open_again", c: "compare", enter: "large",
};

function onKey(event) {
  const typing = event.target.closest?.("input:not([type=range]), textarea, select");
  if (event.isComposing || byId("dialog").open || byId("work-dialog").open || document.querySelector(".login")) return;
  if (typing) {
    if (event.key === "Escape" || (event.key === "Enter" && typing.name === "q")) { typing.blur(); grid.page.focus(); }
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey;
  let handled = true;
  if (control && key === "z") undo();
  else if (control && key === "a") { if (!viewer.mode) { grid.selectAll(); } } else if (control || event.altKey) handled = false;
  else if (event.target.closest?.("button, a, summary") && (key === "Enter" || key === " ")) handled = false;
  else if (plainKeys[key.toLowerCase()]) {
    // A key that is held down decides once.
    if (!event.repeat) commands.run(plainKeys[key.toLowerCase()], { byKey: true });
  } else if (key === "?") showKeys(KEYS);
  else if (viewer.mode) handled = viewerKey(key);
  else handled = gridKey(key, event.shiftKey) || soundKey(key);
  if (handled) event.preventDefault();
}

function gridKey(key, extend) {
  const moves = {
    ArrowRight: () => grid.step(1, { extend }), ArrowLeft: () => grid.step(-1, { extend }),
    ArrowDown: () => grid.stepRow(1, { extend }), ArrowUp: () => grid.stepRow(-1, { extend }),
    PageDown: () => grid.stepPage(1, { extend }), PageUp: () => grid.stepPage(-1, { extend }),
    Home: () => grid.move(0, { extend }), End: () => grid.move(clips.length - 1, { extend }),
    j: () => { if (!grid.advance()) finished(); }, x: () => grid.toggle(),
    Escape: () => grid.clearSelection(),
    "/": () => filters.fields.q.focus(),
  };
  if (!moves[key]) return false;
  moves[key]();
  return true;
}

function viewerKey(key) {
  const moves = {
    ArrowRight: () => viewer.step(1), ArrowLeft: () => viewer.step(-1), ArrowDown: () => viewer.step(1), ArrowUp: () => viewer.step(-1),
    z: () => viewer.zoom(), Escape: () => viewer.close(), j: () => grid.advance(),
  };
  if (moves[key]) { moves[key](); return true; }
  if (viewer.mode === "compare" && /^[1-9]$/.test(key)) { viewer.nth(Number(key) - 1); return true; }
  return soundKey(key);
}

function soundKey(key) {
  const clip = viewer.clip || grid.clip;
  if (key === " ") { if (clip?.ratio === null) player.toggle(clip); else if (clip && !viewer.mode) viewer.open(); return true; }
  if (key === "," || key === ".") { player.skip(key === "," ? -5 : 5); return true; }
  return false;
}

document.addEventListener("keydown", onKey);

// What is shown around the grid ---------------------------------------------

function showCounts() {
  const { undecided, approved, rejected } = clips.counts;
  const all = undecided + approved + rejected;
  const done = approved + rejected;
  byId("left").replaceChildren(el("b", {}, count(undecided)), ` left of ${count(all)}`,
    done ? ` · ${count(approved)} approved · ${count(rejected)} rejected` : "", decisions.waiting ? " · sending …" : "");
  const [good, bad] = byId("progress").querySelectorAll(".track span");
  good.style.width = all ? `${(100 * approved) / all}%` : "0";
  bad.style.width = all ? `${(100 * rejected) / all}%` : "0";
  document.title = undecided ? `${count(undecided)} left · Review desk` : "Review desk";
}

function showEmpty() {
  const box = byId("empty");
  box.hidden = clips.length > 0 || !clips.complete;
  if (box.hidden) return;
  const { undecided, approved, rejected } = clips.counts;
  const all = undecided + approved + rejected;
  const button = (text, state) => el("button", { type: "button", on: { click: () => filters.set({ state }) } }, text);
  if (filters.state === "undecided" && all) {
    box.replaceChildren(el("h2", {}, "Nothing is left to review"),
      el("p", {}, `${count(approved)} approved, ${count(rejected)} rejected.`),
      el("div", { className: "row" }, button("Show the approved", "approved"), button("Show the rejected", "rejected"), button("Show all", "all")));
  } else if (all || filters.scope) {
    box.replaceChildren(el("h2", {}, "No clip is like that"), el("p", {}, "Change the filters, or clear them."),
      el("div", { className: "row" }, el("button", { type: "button", on: { click: () => filters.go("state=all") } }, "Show all clips")));
  } else {
    box.replaceChildren(el("h2", {}, "There are no clips yet"), el("p", {}, "They come here as they land: run `asset-pipeline generate`, or order some over the API."));
  }
}

let drawing = 0;
function later() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; showCounts(); showEmpty(); });
}

function showActions() {
  const chosen = targets();
  const bar = byId("actions");
  if (getComputedStyle(bar).display === "none") return;
  bar.replaceChildren(...actionButtons(commands, chosen, clips, { icons: false }),
    el("button", { type: "button", disabled: !decisions.canUndo, on: { click: () => commands.run("undo") } }, "Undo"));
}

let acting = 0;
function actionsLater() {
  clearTimeout(acting);
  acting = setTimeout(showActions, 120);
}

function focusChanged() {
  panel.show();
  actionsLater();
  const { clip } = grid;
  if (!clip) return;
  clearTimeout(focusChanged.settling);
  focusChanged.settling = setTimeout(() => {
    if (grid.clip !== clip) return;
    filters.mark(clip.id);
    if (clip.ratio === null && !player.playing) player.load(clip);
  }, 300);
}

grid.addEventListener("focus", focusChanged);
grid.addEventListener("selection", () => {
  panel.show();
  actionsLater();
  if (grid.selected.size) say(`${plural(grid.selected.size, "clip")} selected`);
});
grid.addEventListener("open", () => commands.run("large"));
grid.addEventListener("play", ({ detail: share }) => {
  if (player.clip === grid.clip && player.playing) player.seek(grid.clip, share);
  else if (player.clip === grid.clip && player.seconds) player.toggle(grid.clip);
  else player.seek(grid.clip, share < 0.08 ? 0 : share);
});
player.addEventListener("change", () => { if (player.clip) grid.rewave(player.clip); });
player.addEventListener("left", ({ detail: clip }) => grid.rewave(clip));
player.addEventListener("broken", () => toast("The sound can't be played.", { bad: true }));
clips.addEventListener("counts", later);
clips.addEventListener("state", later);
clips.addEventListener("changed", later);
clips.addEventListener("complete", later);
decisions.addEventListener("change", () => { later(); actionsLater(); });
decisions.addEventListener("decided", ({ detail: { clip, review } }) => {
  if (review.retake) toast(`Another take is ordered: at most $${Number(review.retake.worst_case_usd)}.`);
  if (clip === grid.clip) panel.show();
});
decisions.addEventListener("refused", ({ detail: { clip, problem } }) => {
  if (problem.code === "clip_replaced" && problem.body.current_clip_id) replaced(clip, problem.body.current_clip_id);
});

async function replaced(clip, id) {
  const found = await post("desk/details", { ids: [id] });
  const [detail] = found.items;
  if (!detail) return;
  const ratio = detail.kind === "image" ? (detail.width || 1) / (detail.height || 1) : null;
  clips.replace(clip.id, [detail.id, ratio, detail.duration_seconds, detail.review_state, detail.review_id || 0]);
}

// Loading ------------------------------------------------------------------

async function load({ keep = null } = {}) {
  grid.reset();
  fresh = 0;
  byId("news").hidden = true;
  byId("empty").hidden = true;
  const wanted = keep || filters.clip;
  let placed = false;
  const place = () => {
    if (placed) return;
    const index = wanted ? clips.indexOf(wanted) : 0;
    if (index >= 0 && clips.length) { placed = true; grid.focus(index, { show: index > 0 }); }
  };
  clips.addEventListener("added", place);
  try {
    await clips.load(filters.query);
    if (!placed && clips.length) grid.focus(0);
    showEmpty();
  } catch (problem) {
    byId("empty").hidden = false;
    byId("empty").replaceChildren(el("h2", {}, problem.message), el("button", { type: "button", on: { click: () => load() } }, "Try again"));
  } finally {
    clips.removeEventListener("added", place);
  }
}

filters.addEventListener("change", () => { viewer.close(); load(); });
filters.addEventListener("size", () => grid.setSize(filters.size));
grid.size = filters.size;

// Live ---------------------------------------------------------------------

live.addEventListener("verdicts", ({ detail }) => { for (const each of detail) decisions.heard(each, session.actor); });
live.addEventListener("clips", ({ detail }) => {
  for (const { clip: row, replaces } of detail) {
    if (clips.get(row[0])) continue;
    if (replaces && clips.indexOf(replaces) >= 0) { clips.replace(replaces, row); say("A new take has landed."); } else fresh += 1;
  }
  forgetCosts();
  byId("news").hidden = !fresh;
  byId("news").textContent = `${plural(fresh, "new clip")}: show`;
});
live.addEventListener("again", async () => {
  Object.assign(clips.counts, await get(`desk/counts?${filters.scope}`).catch(() => clips.counts));
  later();
});
byId("news").addEventListener("click", () => load({ keep: grid.clip?.id }));

let work = { runs: [], jobs: [], daemon: true };
live.addEventListener("work", ({ detail }) => {
  const ended = work.runs.length + work.jobs.length > detail.runs.length + detail.jobs.length;
  work = detail;
  showWork();
  if (ended) lookForFailures();
});

function showWork() {
  const button = byId("work");
  const open = work.runs.reduce((sum, run) => sum + run.open, 0);
  const queued = work.jobs.reduce((sum, job) => sum + job.prompts - job.completed - job.failed - job.cancelled, 0);
  button.hidden = !(work.runs.length || work.jobs.length);
  button.textContent = open ? `● ${plural(open, "clip")} under way` : `○ ${plural(queued, "prompt")} waiting`;
  const dialog = byId("work-dialog");
  const bar = (name, done, failed, all, tools) => el("li", {},
    el("div", { className: "top" }, el("b", {}, name), el("span", { className: "number soft" }, `${done} of ${all}${failed ? `, ${failed} failed` : ""}`, " ", tools)),
    el("progress", { max: Math.max(1, all), value: done + failed, "aria-label": name }));
  dialog.replaceChildren(...[
    el("h2", { id: "work-title" }, "Under way"),
    work.daemon ? null : el("p", { className: "money bad" }, "No Dagster daemon was heard of: orders wait until one runs."),
    el("ul", { className: "list" },
      work.runs.map((run) => bar(`Run ${run.run_id.slice(0, 8)}, ${run.kind}`, run.delivered, run.failed, run.open + run.delivered + run.failed)),
      work.jobs.map((job) => bar(`Order ${job.id.slice(-8)}, ${job.state}`, job.completed, job.failed, job.prompts,
        may("generate") ? el("button", { type: "button", on: { click: () => post(`jobs/${job.id}/cancel`).catch((problem) => toast(problem.message, { bad: true })) } }, "Cancel") : null))),
    work.runs.length || work.jobs.length ? null : el("p", { className: "soft" }, "Nothing is."),
    el("div", { className: "row end" }, el("button", { type: "button", className: "main", on: { click: () => dialog.close() } }, "Close")),
  ].filter(Boolean));
}
byId("work").addEventListener("click", () => byId("work-dialog").showModal());

async function lookForFailures() {
  failures = (await get("desk/failures").catch(() => ({ items: [] }))).items;
  byId("failures").hidden = !failures.length;
  byId("failures").textContent = `⚠ ${count(failures.length)} failed`;
}
byId("failures").addEventListener("click", () => showFailures(failures, ordered));

// The page -----------------------------------------------------------------

byId("help").addEventListener("click", () => showKeys(KEYS));
byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("asset-pipeline-theme", document.documentElement.dataset.theme);
  for (const clip of clips.list) if (clip.shown && clip.ratio === null) grid.rewave(clip);
});
const theme = localStorage.getItem("asset-pipeline-theme");
if (theme) document.documentElement.dataset.theme = theme;

byId("leave").addEventListener("click", async () => { await logOut().catch(() => {}); location.reload(); });

function login() {
  if (document.querySelector(".login")) return;
  live.stop();
  const key = el("input", { type: "password", name: "key", required: true, autocomplete: "current-password", placeholder: "ap_…" });
  const wrong = el("p", { className: "wrong", role: "alert" });
  const form = el("form", { on: { submit: async (event) => {
    event.preventDefault();
    try {
      await logIn(key.value.trim());
      box.remove();
      start();
    } catch (problem) { wrong.textContent = problem.message; key.select(); }
  } } }, el("h2", {}, "Review desk"), el("label", {}, "Your key", key), wrong, el("button", { className: "main" }, "Log in"),
  el("p", { className: "soft" }, "Whoever runs the service makes keys: asset-pipeline keys create NAME --scope read,review,generate"));
  const box = el("div", { className: "login" }, form);
  document.body.append(box);
  for (const part of document.querySelectorAll("header, main, #actions")) part.inert = true;
  key.focus();
}
onLoggedOut(login);

async function start() {
  for (const part of document.querySelectorAll("header, main, #actions")) part.inert = false;
  const loading = load();
  try {
    await who();
  } catch (problem) {
    if (problem.status === 401) { login(); return; }
    toast(problem.message, { bad: true });
  }
  byId("leave").hidden = !session.token;
  showActions();
  live.start();
  if (!document.activeElement || document.activeElement === document.body) byId("grid").focus({ preventScroll: true });
  await loading;
  filters.choices().catch(() => {});
  await lookForFailures();
  // Alerts lead here.
  if (location.hash === "#failures" && failures.length) showFailures(failures, ordered);
}

start();
