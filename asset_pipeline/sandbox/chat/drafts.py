"""Drafts by rules: subjects from a vocabulary, each seen differently, and simple revisions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, cast

_VOCABULARY: Mapping[str, tuple[str, ...]] = {
    "tea|herb|infusion": (
        "chamomile",
        "peppermint",
        "rooibos",
        "ginger and lemon",
        "hibiscus",
        "lemon balm",
        "sage",
        "fennel",
        "nettle",
        "lavender",
        "rosehip",
        "lemongrass",
        "thyme",
        "elderflower",
        "liquorice root",
        "verbena",
        "dandelion",
        "raspberry leaf",
        "yarrow",
        "linden blossom",
        "cinnamon bark",
        "spearmint",
        "marigold",
        "rosemary",
    ),
    "fruit|jam|juice|smoothie": (
        "strawberry",
        "blackcurrant",
        "apricot",
        "quince",
        "blood orange",
        "green apple",
        "pear",
        "cherry",
        "plum",
        "mango",
        "pineapple",
        "gooseberry",
        "peach",
        "lemon",
        "raspberry",
        "fig",
        "grapefruit",
        "blueberry",
        "melon",
        "papaya",
        "passion fruit",
        "pomegranate",
        "rhubarb",
        "kiwi",
    ),
    "animal|zoo|pet|wildlife": (
        "red fox",
        "barn owl",
        "hedgehog",
        "otter",
        "badger",
        "roe deer",
        "hare",
        "squirrel",
        "grey heron",
        "kingfisher",
        "wild boar",
        "lynx",
        "wolf",
        "brown bear",
        "beaver",
        "robin",
        "toad",
        "salamander",
        "bat",
        "mole",
        "weasel",
        "stork",
        "swan",
        "tortoise",
    ),
    "city|town|travel|postcard": (
        "a harbour at low tide",
        "the old market hall",
        "a tram on a hill",
        "a row of bookshops",
        "a rooftop garden",
        "the river promenade",
        "a corner bakery",
        "the botanical garden",
        "a railway bridge",
        "a small theatre",
        "an open-air swimming pool",
        "the flea market",
        "a lighthouse",
        "a cable car",
        "the university courtyard",
        "a ferry landing",
        "a street of workshops",
        "a chapel on a rock",
        "the city wall",
        "a playground",
        "a fish market",
        "a vineyard above the town",
        "the observatory",
        "a quiet square",
    ),
    "legal|law|estate|contract|office": (
        "a last will and testament",
        "a power of attorney",
        "a deed of gift",
        "a lease",
        "an inheritance plan",
        "a family trust",
        "a notary's desk",
        "a signed contract",
        "a handover of keys",
        "a consultation",
        "a sealed envelope",
        "an archive of files",
        "a fountain pen",
        "a house and its plan",
        "a reading of a will",
        "a guardian's letter",
        "a bank vault",
        "a round table",
        "a calendar of deadlines",
        "a land register",
        "a handshake",
        "a library of law",
        "a checklist",
        "a stamp and its pad",
    ),
}
_GENERAL = (
    "a first impression",
    "the whole scene",
    "one detail",
    "the moment before",
    "the moment after",
    "hands at work",
    "the quiet version",
    "the festive version",
    "seen from above",
    "seen from below",
    "in the morning",
    "in the evening",
    "in spring",
    "in summer",
    "in autumn",
    "in winter",
    "close to the material",
    "far away",
    "with people",
    "without people",
    "in motion",
    "at rest",
    "old and worn",
    "new and bright",
)
_VIEWS = (
    "centred, with room around it",
    "from slightly above",
    "as a close-up",
    "in profile",
    "on a plain background",
    "in a wide frame",
)
_LIGHTS = ("soft morning light", "even daylight", "warm evening light", "light from one side")
_SPEECH = (
    "Welcome. This is about {item}.",
    "Let us talk about {item} for a minute.",
    "Here is what you should know about {item}.",
    "Today: {item}, in plain words.",
)
_NUMBER = re.compile(r"\b\d+\s+")
_WORD = re.compile(r"[a-z0-9]+")
_GERMAN = {
    "a": "ein",
    "the": "der",
    "and": "und",
    "with": "mit",
    "on": "auf",
    "of": "von",
    "in": "in",
    "red": "rot",
    "blue": "blau",
    "house": "Haus",
    "boat": "Boot",
    "tea": "Tee",
    "label": "Etikett",
}
_WORDS_KEPT = 12
_HARSH = re.compile(r"\b(bloody|gory|graphic|naked|nude|sexy|violent)\b", re.IGNORECASE)


def drafted(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the drafts that a brief asks for."""
    brief = cast("dict[str, Any]", task["brief"])
    wanted = task.get("count")
    number = wanted if isinstance(wanted, int) else 1
    goal = _subject(str(brief.get("goal", "")))
    taken: set[str] = set()
    drafts: list[dict[str, Any]] = []
    for index, item in enumerate(_items(goal, number)):
        name = _unused(_slug(item), taken)
        taken.add(name)
        drafts.append(
            {
                "id": name,
                "text": _text(brief, goal, item, index),
                "inputs": [],
                "why": f"Covers {item}, one of the subjects of the brief.",
            }
        )
    return drafts


def revised(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the revisions of prompts that an operation asks for."""
    operation = str(task.get("operation", ""))
    found: list[dict[str, Any]] = []
    for prompt in cast("list[dict[str, Any]]", task["prompts"]):
        text, prompt_id = str(prompt.get("text", "")), str(prompt.get("id", ""))
        wanted = task.get("candidates")
        copies = wanted if operation == "vary" and isinstance(wanted, int) else 1
        found.extend(
            {
                "id": prompt_id,
                "text": _revision(operation, text, index, task),
                "inputs": [],
                "why": f"{operation} of {prompt_id}",
            }
            for index in range(copies)
        )
    return found


def _revision(operation: str, text: str, index: int, task: Mapping[str, Any]) -> str:
    match operation:
        case "expand":
            return f"{text}, {_VIEWS[len(text) % len(_VIEWS)]}, {_LIGHTS[len(text) % len(_LIGHTS)]}"
        case "vary":
            return f"{text}, {_VIEWS[index % len(_VIEWS)]}, variation {index + 1}"
        case "translate":
            return _translated(text, str(task.get("language", "")))
        case "unify":
            return f"{text}, {task.get('style') or 'in the look of the series'}"
        case "rewrite":
            kept = " ".join(_HARSH.sub("", text).split()[:_WORDS_KEPT])
            return f"A calm, friendly picture: {kept}"
        case _:
            most = task.get("max_characters")
            return text[: most if isinstance(most, int) else len(text)].rstrip(" ,;")


def _translated(text: str, language: str) -> str:
    """Return the text with the few words that the sandbox knows in German put into it."""
    if not language.startswith("de"):
        return f"[{language}] {text}"
    return " ".join(_GERMAN.get(word.lower(), word) for word in text.split())


def _items(goal: str, number: int) -> Iterator[str]:
    words = goal.lower()
    known = next(
        (items for names, items in _VOCABULARY.items() if re.search(names, words)), _GENERAL
    )
    for index in range(number):
        turn, place = divmod(index, len(known))
        yield known[place] if not turn else f"{known[place]}, {_LIGHTS[turn % len(_LIGHTS)]}"


def _text(brief: Mapping[str, Any], goal: str, item: str, index: int) -> str:
    if brief.get("kind") == "audio":
        return _SPEECH[index % len(_SPEECH)].format(item=item)
    people = [str(card.get("name", "")) for card in _mappings(brief.get("characters"))]
    products = [str(card.get("name", "")) for card in _mappings(brief.get("products"))]
    parts = [f"{goal[:1].upper()}{goal[1:]}: {item}"]
    if products:
        parts.append(f"showing {products[index % len(products)]}")
    if people:
        parts.append(f"with {people[index % len(people)]}")
    parts.extend(_strings(brief.get("must"))[:2])
    parts += [_VIEWS[index % len(_VIEWS)], _LIGHTS[index % len(_LIGHTS)]]
    return ", ".join(part.strip(" .") for part in parts)


def _subject(goal: str) -> str:
    """Return the first part of a goal, without the numbers in it."""
    first = re.split(r"[.,;:\n]", goal, maxsplit=1)[0]
    words = _NUMBER.sub("", first).split()[:_WORDS_KEPT]
    return " ".join(words) or "a picture"


def _slug(item: str) -> str:
    words = [word for word in _WORD.findall(item.lower()) if word not in {"a", "an", "the", "of"}]
    return "-".join(words)[:60].strip("-") or "prompt"


def _unused(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(each for n in count(2) if (each := f"{name}-{n}") not in taken)


def _strings(value: object) -> list[str]:
    return (
        [str(each) for each in cast("Sequence[object]", value)] if isinstance(value, list) else []
    )


def _mappings(value: object) -> list[Mapping[str, Any]]:
    rows = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", row) for row in rows if isinstance(row, dict)]
