// One sound at a time, with its waveform where it is shown.

import { API, get } from "./api.js";

const BAR = 3; // pixels, its gap included
const waves = new Map();

/** The shape of a sound, asked for once. */
export function wave(clip) {
  if (!waves.has(clip.id)) {
    const asked = get(`desk/clips/${clip.id}/peaks`).then((peaks) => { clip.peaks = peaks; return peaks; });
    asked.catch(() => waves.delete(clip.id));
    waves.set(clip.id, asked);
  } else {
    waves.get(clip.id).then((peaks) => { clip.peaks = peaks; }, () => {});
  }
  return waves.get(clip.id);
}

export function drawWave(canvas, clip) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height || !clip.peaks) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  const colours = getComputedStyle(canvas);
  const bars = Math.max(8, Math.floor((width - 16) / BAR));
  const each = clip.peaks.length / bars;
  const played = player.clip === clip ? player.share : 0;
  pen.scale(scale, scale);
  for (let bar = 0; bar < bars; bar += 1) {
    let peak = 0;
    for (let index = Math.floor(bar * each); index < Math.max(Math.floor(bar * each) + 1, (bar + 1) * each); index += 1) {
      peak = Math.max(peak, clip.peaks[Math.min(index, clip.peaks.length - 1)]);
    }
    const tall = Math.max(2, (peak / 255) * (height - 20));
    pen.fillStyle = bar / bars < played ? colours.outlineColor : colours.color;
    pen.fillRect(8 + bar * BAR, (height - tall) / 2, BAR - 1, tall);
  }
}

class Player extends EventTarget {
  clip = null;
  #audio = new Audio();

  constructor() {
    super();
    this.#audio.preload = "auto";
    for (const type of ["timeupdate", "play", "pause", "ended", "seeked"]) {
      this.#audio.addEventListener(type, () => this.dispatchEvent(new Event("change")));
    }
    this.#audio.addEventListener("error", () => { if (this.clip) this.dispatchEvent(new Event("broken")); });
  }

  get playing() { return !this.#audio.paused && !this.#audio.ended; }
  get seconds() { return this.#audio.currentTime || 0; }
  get share() {
    const whole = this.#audio.duration || this.clip?.seconds || 0;
    return whole ? Math.min(1, this.#audio.currentTime / whole) : 0;
  }

  /** Have a sound at hand, so that it plays the moment a key asks. */
  load(clip) {
    if (this.clip === clip) return;
    const before = this.clip;
    this.#audio.pause();
    this.clip = clip;
    if (clip) this.#audio.src = `${API}/clips/${clip.id}/media`;
    else this.#audio.removeAttribute("src");
    if (before) this.dispatchEvent(new CustomEvent("left", { detail: before }));
    this.dispatchEvent(new Event("change"));
  }

  toggle(clip) {
    if (this.clip === clip && this.playing) this.#audio.pause();
    else { this.load(clip); this.#audio.play().catch(() => {}); }
  }

  seek(clip, share) {
    this.load(clip);
    const go = () => { this.#audio.currentTime = share * (this.#audio.duration || clip.seconds || 0); this.#audio.play().catch(() => {}); };
    if (this.#audio.readyState > 0) go();
    else this.#audio.addEventListener("loadedmetadata", go, { once: true });
  }

  skip(seconds) { this.#audio.currentTime = Math.max(0, this.#audio.currentTime + seconds); }
  pause() { this.#audio.pause(); }
}

export const player = new Player();
