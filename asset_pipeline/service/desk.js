// A plain list of clips. All text goes in as text: a prompt is never markup.
const list = document.getElementById("clips");
const told = document.getElementById("told");
const more = document.getElementById("more");
let cursor = null;

function shown(clip) {
  const item = document.createElement("li");
  const media = document.createElement(clip.kind === "image" ? "img" : "audio");
  media.src = clip.media_url;
  if (clip.kind === "image") {
    media.alt = clip.prompt_text;
    media.loading = "lazy";
    media.width = clip.width;
    media.height = clip.height;
    media.style.height = "auto";
  } else {
    media.controls = true;
    media.preload = "none";
  }
  const text = document.createElement("p");
  text.textContent = clip.prompt_text;
  const facts = document.createElement("p");
  facts.textContent = `${clip.prompt_id} · variant ${clip.variant} · $${clip.cost_usd} · ${clip.review_state ?? "undecided"}`;
  item.append(media, text, facts);
  return item;
}

async function load() {
  const query = cursor ? `?cursor=${encodeURIComponent(cursor)}` : "";
  const answer = await fetch(`/api/v1/clips${query}`);
  const page = await answer.json();
  if (!answer.ok) {
    told.textContent = page.detail;
    return;
  }
  if (page.total !== null) told.textContent = `${page.total.toLocaleString()} clips`;
  list.append(...page.items.map(shown));
  cursor = page.next_cursor;
  more.hidden = cursor === null;
}

more.addEventListener("click", load);
load();
