// Making elements. Text goes in as text, whatever it says: there is no way to markup from here.

/** Make an element: properties, `data-*` and `aria-*` by name, `on` for listeners, then children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) made.addEventListener(type, listener);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** US dollars as the server writes them, without zeros that say nothing. */
export function usd(text) {
  const [whole, part = ""] = String(text).split(".");
  return `$${whole}.${part.replace(/0+$/, "").padEnd(2, "0")}`;
}

export const count = (number) => number.toLocaleString("en");
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds || 0));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Call after the browser has painted what was changed just now. */
export const painted = (then) => requestAnimationFrame(() => requestAnimationFrame(then));

let hiding = 0;
/** Say something in passing, to eyes and to screen readers. */
export function toast(text, { bad = false, button = null } = {}) {
  const box = byId("toast");
  clearTimeout(hiding);
  box.classList.toggle("bad", bad);
  const parts = [el("span", {}, text)];
  if (button) parts.push(el("button", { type: "button", on: { click: () => { box.hidden = true; button.act(); } } }, button.text));
  box.replaceChildren(...parts);
  box.hidden = false;
  // A toast below an open dialog is not seen: the top layer covers it.
  (document.querySelector("dialog[open]:last-of-type") || document.body).append(box);
  hiding = setTimeout(() => { box.hidden = true; }, bad ? 9000 : 3500);
}

export function say(text) {
  byId("spoken").textContent = text;
}
