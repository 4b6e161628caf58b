// Questions that are asked before something is done, each with what it costs at the most.

import { get, newKey, post } from "./api.js";
import { costsOf, forgetCosts } from "./costs.js";
import { byId, el, plural, toast, usd } from "./dom.js";

const REASONS = {
  image: [["off_prompt", "Not what the prompt says"], ["artifacts", "Artifacts"], ["anatomy", "Wrong anatomy"], ["text", "Garbled text"], ["composition", "Composition"], ["style", "Off style"], ["duplicate", "Too like another"], ["unsafe", "Unsafe or off brand"]],
  audio: [["off_prompt", "Not what the prompt says"], ["noise", "Noise or clicks"], ["pronunciation", "Pronunciation"], ["voice", "Wrong voice"], ["pacing", "Pacing"], ["cut_off", "Cut off"], ["duplicate", "Too like another"], ["unsafe", "Unsafe or off brand"]],
};

/** Show a dialog; it resolves with what `close(value)` was given, or null when it was left. */
export function ask(build, { wide = false } = {}) {
  const dialog = byId("dialog");
  if (dialog.open) dialog.close();
  const before = document.activeElement;
  return new Promise((resolve) => {
    let answer = null;
    const close = (value) => { answer = value; dialog.close(); };
    dialog.className = wide ? "box wide" : "box";
    dialog.onkeydown = null;
    dialog.replaceChildren(...build(close, dialog));
    const title = dialog.querySelector("h2");
    title.id = "dialog-title";
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.addEventListener("close", () => {
      dialog.onkeydown = null;
      before?.focus?.({ preventScroll: true });
      resolve(answer);
    }, { once: true });
    dialog.showModal();
  });
}

const leave = (close) => el("button", { type: "button", on: { click: () => close(null) } }, "Leave it");

function what(clips) {
  if (clips.length > 1) return plural(clips.length, "clip");
  const detail = clips[0].detail;
  return detail ? `${detail.prompt_id} #${detail.variant}` : "this clip";
}

/** Ask for the reason of a rejection; say first what it costs. */
export function askReason(clips, source) {
  const kind = clips.every((clip) => clip.ratio === null) ? "audio" : "image";
  return ask((close, dialog) => {
    let known = false;
    const note = el("input", { type: "text", maxLength: 2000, placeholder: "A note, if you like   N", "aria-label": "Note" });
    const money = el("p", { className: "money", role: "status" }, "Working out what it costs …");
    const choose = (code) => { if (known) close({ reason: code, note: note.value.trim() }); };
    const buttons = REASONS[kind].map(([code, text], place) => el("button", { type: "button", disabled: true, on: { click: () => choose(code) } }, el("kbd", { "aria-hidden": "true" }, String(place + 1)), text));
    const plain = el("button", { type: "button", className: "main", disabled: true, on: { click: () => choose("") } }, "Reject without a reason");
    costsOf(clips, source).then((costs) => {
      money.textContent = costs.retakes
        ? `Rejecting orders ${costs.retakes === 1 ? "another take" : plural(costs.retakes, "take")}, as the collection says: at most ${usd(costs.retakes_usd)}.`
        : "Rejecting costs nothing: no other take is ordered.";
    }, (problem) => { money.textContent = `What it costs is not known: ${problem.message}`; money.classList.add("bad"); }).finally(() => {
      known = true;
      for (const button of [...buttons, plain]) button.disabled = false;
      plain.focus();
    });
    dialog.onkeydown = (event) => {
      if (event.target === note) { if (event.key === "Enter") { event.preventDefault(); choose(""); } return; }
      const place = Number(event.key) - 1;
      if (REASONS[kind][place] && !event.repeat) { event.preventDefault(); choose(REASONS[kind][place][0]); }
      else if (event.key.toLowerCase() === "n") { event.preventDefault(); note.focus(); }
    };
    return [el("h2", {}, `Reject ${what(clips)}`), money, el("div", { className: "reasons" }, buttons), note, el("div", { className: "row end" }, leave(close), plain)];
  });
}

/** Say what other takes cost; resolve with true when they are wanted. */
export function askTake(clips, source) {
  return ask((close) => {
    const money = el("p", { className: "money", role: "status" }, "Working out what it costs …");
    const go = el("button", { type: "button", className: "main", disabled: true, on: { click: () => close(true) } }, clips.length === 1 ? "Order another take" : `Order ${plural(clips.length, "take")}`);
    costsOf(clips, source).then((costs) => {
      const lines = [costs.takes ? `At most ${usd(costs.takes_usd)} for ${plural(costs.takes, "clip")}.` : "Nothing is to be paid for it."];
      if (costs.gone) lines.push(`${plural(costs.gone, "clip")} can't be made again: no prompt asks for ${costs.gone === 1 ? "it" : "them"} any more.`);
      if (!costs.takes_fit) { lines.push("A budget has no room for all of it now: what does not fit is refused, and not paid."); money.classList.add("bad"); }
      money.textContent = lines.join(" ");
      go.disabled = costs.gone > 0;
      go.focus();
    }, (problem) => { money.textContent = problem.message; money.classList.add("bad"); });
    return [el("h2", {}, `Another take of ${what(clips)}`), money, el("p", { className: "soft" }, "The clip stays until the new one has landed in its place. Undo cancels what has not begun."), el("div", { className: "row end" }, leave(close), go)];
  });
}

/** Edit a prompt's text and inputs; resolve with the answer to the order. */
export async function askEdit(clip, source) {
  await source.details([clip]);
  const { detail } = clip;
  const [prompt, models] = await Promise.all([get(`desk/prompts/${detail.kind}/${encodeURIComponent(detail.prompt_id)}`), get(`models?kind=${detail.kind}`)]);
  if (!prompt.may_edit) {
    toast(prompt.source === "gone" ? "No prompt asks for this clip any more." : "The prompt is not yours to edit.", { bad: true });
    return null;
  }
  const model = models.items.find((each) => each.model === prompt.model);
  const ofFile = prompt.source === "file";
  const path = ofFile ? `desk/prompts/${detail.kind}/${encodeURIComponent(detail.prompt_id)}/edit` : `clips/${detail.id}/regenerate`;
  const key = newKey();
  return ask((close) => {
    const text = el("textarea", { rows: 6, value: prompt.text, "aria-label": "The prompt's text" });
    const fields = inputFields(model, prompt);
    const money = el("p", { className: "money", role: "status" });
    const wrong = el("p", { className: "wrong", role: "alert", hidden: true });
    const go = el("button", { type: "button", className: "main", disabled: true }, ofFile ? "Save and order" : "Order");
    const show = (problem) => { wrong.hidden = !problem; wrong.textContent = problem ? problem.lines.join("\n") : ""; };
    const body = (dry) => {
      const inputs = fields.values();
      const asked = { dry_run: dry };
      if (text.value.trim() !== prompt.text.trim()) asked.text = text.value.trim();
      if (JSON.stringify(inputs) !== JSON.stringify(prompt.inputs)) asked.inputs = inputs;
      if (ofFile) asked.file_sha256 = prompt.file_sha256;
      else asked.sha256 = detail.sha256;
      return asked;
    };
    let asking = 0;
    let waiting = 0;
    const price = () => {
      const mine = ++asking;
      clearTimeout(waiting);
      go.disabled = true;
      const asked = body(true);
      if (ofFile && asked.text === undefined && asked.inputs === undefined) {
        money.textContent = "Nothing is changed yet.";
        show(null);
        return;
      }
      money.textContent = "Working out what it costs …";
      waiting = setTimeout(() => post(path, asked).then((plan) => {
        if (mine !== asking) return;
        money.textContent = `At most ${usd(plan.worst_case_usd)} for ${plural(plan.to_generate, "clip")}${plan.cached ? `; ${plural(plan.cached, "clip")} ${plan.cached === 1 ? "is" : "are"} there already` : ""}.${plan.fits ? "" : " A budget has no room for all of it now."}`;
        money.classList.toggle("bad", !plan.fits);
        go.disabled = false;
        show(null);
      }, (problem) => { if (mine === asking) { money.textContent = "It can't be ordered so."; show(problem); } }), 250);
    };
    text.addEventListener("input", price);
    fields.node.addEventListener("input", price);
    go.addEventListener("click", () => {
      go.disabled = true;
      post(path, body(false), { key }).then((answer) => { forgetCosts(); close(answer); }, (problem) => { show(problem); go.disabled = problem.status !== 0; });
    });
    price();
    const place = ofFile ? `It is written in ${prompt.path}; comments there stay as they are. ${prompt.variants > 1 ? `All ${prompt.variants} variants follow the new text.` : ""}` : "It came over HTTP and lives in the ledger.";
    return [
      el("h2", {}, `Edit ${detail.prompt_id}`), el("p", { className: "soft" }, place), text,
      prompt.style ? el("p", { className: "soft" }, `The collection adds: ${prompt.style}`) : null,
      fields.node, money, wrong, el("div", { className: "row end" }, leave(close), go),
    ].filter(Boolean);
  }, { wide: true });
}

/** A field for each input of a model; an empty one says nothing, so that defaults hold. */
function inputFields(model, { inputs: given, effective_inputs: effective, fixed_inputs: fixed }) {
  const readers = [];
  const node = el("div", { className: "fields" });
  const names = Object.keys(model?.inputs || {}).filter((name) => model.inputs[name].type !== "file" && !fixed.includes(name));
  for (const name of new Set([...names, ...Object.keys(given)])) {
    const spec = model?.inputs?.[name] || { type: "string" };
    const id = `input-${name}`;
    const value = given[name];
    const meant = name in given ? spec.default : effective[name] ?? spec.default;
    const blank = meant === undefined || meant === null ? "default" : `default: ${meant}`;
    let field;
    const choices = spec.choices || (spec.type === "boolean" ? [true, false] : null);
    if (choices) {
      field = el("select", { id }, el("option", { value: "" }, blank), choices.map((each) => el("option", { value: JSON.stringify(each), selected: value === each }, String(each))));
      readers.push([name, () => (field.value === "" ? undefined : JSON.parse(field.value))]);
    } else if (spec.type === "integer" || spec.type === "number") {
      field = el("input", { id, type: "number", step: spec.type === "integer" ? 1 : "any", min: spec.minimum ?? "", max: spec.maximum ?? "", placeholder: blank, value: value ?? "" });
      readers.push([name, () => (field.value === "" ? undefined : Number(field.value))]);
    } else {
      const plain = value === undefined || typeof value === "string";
      field = el("input", { id, type: "text", placeholder: blank, value: plain ? value ?? "" : JSON.stringify(value), readOnly: !plain });
      readers.push([name, () => (plain ? field.value || undefined : value)]);
    }
    node.append(el("label", { htmlFor: id, title: spec.description || "" }, name), field);
  }
  const values = () => {
    const found = {};
    // In the order in which they were written: an untouched prompt is an equal one.
    const read = new Map(readers);
    for (const name of new Set([...Object.keys(given), ...read.keys()])) {
      const value = read.get(name)?.();
      if (value !== undefined) found[name] = value;
    }
    return found;
  };
  return { node, values };
}

/** The prompts that failed, with the reason, and a way to try them again. */
export function showFailures(items, ordered) {
  return ask((close) => {
    const money = el("p", { className: "money", role: "status" }, "Working out what it costs …");
    const open = items.filter((each) => !each.gone);
    const key = newKey();
    const retry = (prompts, button) => {
      button.disabled = true;
      post("desk/retries", { prompts: prompts.map(({ kind, prompt_id }) => ({ kind, prompt_id })) }, { key: prompts.length === open.length ? key : newKey() }).then(
        (answer) => { ordered(answer, `${plural(prompts.length, "prompt")} again`); button.textContent = "Ordered"; },
        (problem) => { button.disabled = false; toast(problem.message, { bad: true }); },
      );
    };
    const cost = (prompts) => post("desk/retries", { prompts: prompts.map(({ kind, prompt_id }) => ({ kind, prompt_id })), dry_run: true });
    const all = el("button", { type: "button", className: "main", disabled: true, on: { click: () => retry(open, all) } }, `Retry all ${open.length}`);
    if (open.length) {
      cost(open).then((plan) => {
        money.textContent = `All of them: at most ${usd(plan.worst_case_usd)} for ${plural(plan.to_generate, "clip")}; what is open already is gone on with.${plan.fits ? "" : " A budget has no room for all of it now."}`;
        all.disabled = false;
      }, (problem) => { money.textContent = problem.message; });
    } else money.textContent = "No prompt asks for them any more.";
    const one = (each) => {
      const price = el("span", { className: "soft" });
      const button = el("button", { type: "button", disabled: true, on: { click: () => retry([each], button) } }, "Retry");
      if (!each.gone && items.length <= 30) cost([each]).then((plan) => { price.textContent = `at most ${usd(plan.worst_case_usd)} `; button.disabled = false; }, () => {});
      return el("li", {},
        el("div", { className: "top" }, el("b", {}, `${each.prompt_id} `, el("span", { className: "soft" }, each.kind)), el("span", {}, price, items.length <= 30 ? button : null)),
        el("p", {}, `${each.error_class.replaceAll("_", " ")}${each.error ? `: ${each.error}` : ""}`),
        each.hint ? el("p", { className: "soft" }, each.hint) : null,
        each.text ? el("p", { className: "soft" }, `“${each.text.slice(0, 200)}”`) : null);
    };
    return [el("h2", {}, `${plural(items.length, "prompt")} failed`), money, el("ul", { className: "list" }, items.slice(0, 200).map(one)), el("div", { className: "row end" }, el("button", { type: "button", on: { click: () => close(null) } }, "Close"), open.length ? all : null)];
  }, { wide: true });
}

export function showKeys(groups) {
  const row = ([keys, text]) => el("div", {}, el("dt", {}, text), el("dd", {}, keys.split(" ").map((key) => [el("kbd", {}, key), " "])));
  return ask((close) => [
    el("h2", {}, "Keys"),
    ...groups.flatMap(([title, rows]) => [el("h3", {}, title), el("dl", { className: "keys" }, rows.map(row))]),
    el("p", { className: "soft" }, "Keys act on the selection if there is one, or else on the clip in focus. Each verdict can be undone."),
    el("div", { className: "row end" }, el("button", { type: "button", className: "main", on: { click: () => close(null) } }, "Close")),
  ], { wide: true });
}

export function askName() {
  return ask((close) => {
    const name = el("input", { type: "text", maxLength: 60, required: true, "aria-label": "Name of the view" });
    const form = el("form", { className: "fill", on: { submit: (event) => { event.preventDefault(); if (name.value.trim()) close(name.value.trim()); } } },
      name, el("div", { className: "row end" }, leave(close), el("button", { className: "main" }, "Save")));
    return [el("h2", {}, "Save this view"), el("p", { className: "soft" }, "It is kept in this browser. Its address can be sent to others as it is."), form];
  });
}
