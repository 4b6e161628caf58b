// Rows of one height whose pictures fill the width, for as many clips as there are.

const SOUND_RATIO = 2.5;
const FLATTEST = 3.4; // a banner as wide as the page would make a row a few pixels high
const NARROWEST = 0.45;

/** Browsers end a page at 16.7 to 33 million pixels; beyond this, scrolling is scaled. */
const TALLEST = 6_000_000;

export const ratioOf = (clip) => (clip.ratio === null ? SOUND_RATIO : Math.min(FLATTEST, Math.max(NARROWEST, clip.ratio)));

export class Layout {
  /** First clip, top and height of each row. */
  starts = [];
  tops = [];
  heights = [];
  height = 0;

  /**
   * @param clips in order
   * @param width of the page, in pixels
   * @param wanted height of a row; rows are up to a third higher or lower
   */
  constructor(clips, width, wanted, gap) {
    this.clips = clips;
    this.width = width;
    this.gap = gap;
    let sum = 0;
    let start = 0;
    let top = 0;
    for (let index = 0; index < clips.length; index += 1) {
      sum += ratioOf(clips[index]);
      const room = width - gap * (index - start);
      if (sum * wanted >= room) {
        const height = Math.max(24, Math.min(room / sum, wanted * 1.5));
        top = this.#row(start, top, height);
        start = index + 1;
        sum = 0;
      }
    }
    // The last row is as high as the others would be, and need not fill the width.
    if (start < clips.length) top = this.#row(start, top, wanted);
    this.height = Math.max(0, top - gap);
  }

  #row(start, top, height) {
    this.starts.push(start);
    this.tops.push(top);
    this.heights.push(height);
    return top + height + this.gap;
  }

  /** The row that a place from the top lies in. */
  rowAt(place) {
    let low = 0;
    let high = this.tops.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  rowOf(index) {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  end(row) {
    return row + 1 < this.starts.length ? this.starts[row + 1] : this.clips.length;
  }

  /** Where each clip of a row stands. */
  boxes(row) {
    const height = this.heights[row];
    const found = [];
    let left = 0;
    for (let index = this.starts[row]; index < this.end(row); index += 1) {
      const width = Math.min(ratioOf(this.clips[index]) * height, this.width);
      found.push({ index, left, top: this.tops[row], width, height });
      left += width + this.gap;
    }
    return found;
  }

  /** The clip of a row that lies nearest to a place from the left. */
  nearest(row, place) {
    let best = null;
    for (const box of this.boxes(row)) {
      const away = Math.abs(box.left + box.width / 2 - place);
      if (!best || away < best.away) best = { index: box.index, away };
    }
    return best.index;
  }
}

/** Scrolls a page that is higher than browsers can: small steps one to one, jumps in proportion. */
export class TallScroll {
  top = 0;
  #last = 0;
  #height = 0;
  #idle = 0;

  constructor(scroller, page, changed) {
    this.scroller = scroller;
    this.page = page;
    scroller.addEventListener("scroll", () => { this.#scrolled(); changed(); }, { passive: true });
  }

  get view() { return this.scroller.clientHeight; }
  get #most() { return Math.max(0, this.#height - this.view); }
  get #shownMost() { return Math.max(1, this.scroller.scrollHeight - this.view); }
  get #scaled() { return this.#height > TALLEST; }
  /** Where on the page as the browser knows it the visible part begins. */
  get shift() { return this.scroller.scrollTop - this.top; }

  resize(height) {
    this.#height = height;
    this.page.style.height = `${Math.min(height, TALLEST)}px`;
    this.to(Math.min(this.top, this.#most));
  }

  to(place) {
    this.top = Math.max(0, Math.min(place, this.#most));
    this.scroller.scrollTop = this.#scaled ? (this.top / this.#most) * this.#shownMost : this.top;
    this.#last = this.scroller.scrollTop;
  }

  #scrolled() {
    const now = this.scroller.scrollTop;
    const step = now - this.#last;
    this.#last = now;
    if (!this.#scaled) { this.top = now; return; }
    if (now <= 0) this.top = 0;
    else if (now >= this.#shownMost - 1) this.top = this.#most;
    else if (Math.abs(step) < this.view * 2) this.top = Math.max(0, Math.min(this.top + step, this.#most));
    else this.top = (now / this.#shownMost) * this.#most;
    // The bar is put where it belongs when nobody moves it.
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.to(this.top), 180);
  }
}
