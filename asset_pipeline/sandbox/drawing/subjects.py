"""Which things a prompt speaks of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from asset_pipeline.sandbox.drawing import subjects_desk as desk
from asset_pipeline.sandbox.drawing import subjects_life as life
from asset_pipeline.sandbox.drawing import subjects_out as out
from asset_pipeline.sandbox.drawing.canvas import Pen
from asset_pipeline.sandbox.drawing.palette import Palette

Subject = Callable[[Pen, Palette], None]

_WORDS: dict[Subject, str] = {
    desk.document: (
        "document will testament contract deed letterhead form invoice certificate paper "
        "agreement report page checklist template policy affidavit"
    ),
    desk.book: "book books library reading story novel journal diary guide manual notebook",
    desk.cup: "cup mug tea coffee cocoa espresso latte teapot breakfast cafe",
    desk.key: "key keys lock unlock access security password",
    desk.scales: ("scales justice law legal lawyer attorney court judge balance trust estate fair"),
    desk.envelope: "envelope letter mail email post message invitation card postcard",
    desk.lamp: "lamp light desk study bedroom reading-lamp interior room",
    desk.clock: "clock time watch hour deadline schedule calendar timeline",
    desk.bottle: "bottle wine perfume potion medicine juice oil",
    desk.candle: "candle candles memorial funeral prayer cosy cozy",
    desk.pen_nib: "pen write writing signature sign signing author pencil ink notary",
    desk.crown: "crown king queen royal prince princess heir inheritance",
    desk.bell: "bell alarm notification ring announcement",
    desk.shield: "shield protect protection guard insurance safe safety knight power",
    desk.robot: "robot machine android ai computer",
    out.house: (
        "house home cottage cabin villa property building estate family street village farm"
    ),
    life.tree: "tree trees oak garden park orchard family-tree forest maple",
    life.pine: "pine fir christmas conifer woods spruce",
    life.leaf: "leaf leaves plant fern herb eco green autumn",
    life.flower: (
        "flower flowers rose blossom tulip daisy lavender bouquet sunflower poppy floral"
    ),
    out.mountain: "mountain mountains peak hill alps volcano climbing hiking",
    out.sun: "sun sunny sunrise summer dawn day",
    out.moon: "moon night lunar sleep midnight dream owl",
    out.star: "star stars award sparkle magic galaxy",
    out.ship: "ship boat sail sailing sea ocean harbour harbor voyage yacht pirate",
    life.bird: "bird birds robin sparrow dove nest owl finch songbird",
    life.cat: "cat kitten pet pets cats fox",
    life.fish: "fish aquarium goldfish koi salmon whale dolphin",
    life.mushroom: "mushroom mushrooms toadstool fairy",
    out.rocket: "rocket space launch startup astronaut spaceship planet",
    life.apple: "apple fruit food kitchen orchard health healthy",
    out.heart: "heart love wedding valentine care charity health healthcare hospital",
    life.butterfly: "butterfly spring insect wings moth",
    out.tower: "tower lighthouse castle beacon coast",
}
_BY_WORD: dict[str, list[Subject]] = {}
for _subject, _words in _WORDS.items():
    for _word in _words.split():
        _BY_WORD.setdefault(_word, []).append(_subject)

# What is drawn when no word is known: things that suit any prompt.
_ANYTHING: tuple[Subject, ...] = (
    life.leaf, life.flower, out.sun, out.mountain, life.bird, out.star, life.butterfly, out.moon,
    life.tree, out.ship, desk.book, desk.cup, desk.lamp, out.tower, life.mushroom, life.cat,
)  # fmt: skip

TOO_BIG_FOR_A_TABLE = (
    out.house, out.mountain, out.ship, out.tower, out.sun, out.moon, out.rocket,
    life.tree, life.pine,
)  # fmt: skip


def choose(words: Sequence[str], rng: random.Random) -> tuple[list[Subject], bool]:
    """Return up to three subjects in the order of the words, and whether a word chose the first.

    Args:
        words: The prompt's words, lower case.
        rng: Chooses between a word's meanings, and when no word is known.
    """
    found: list[Subject] = []
    for word in words:
        meanings = _BY_WORD.get(word) or _BY_WORD.get(word.removesuffix("s")) or []
        fresh = [subject for subject in meanings if subject not in found]
        if fresh:
            found.append(rng.choice(fresh))
    named = bool(found)
    while len(found) < 3:  # noqa: PLR2004 -- a scene has room for three
        spare = rng.choice(_ANYTHING)
        if spare not in found:
            found.append(spare)
    return found[:3], named
