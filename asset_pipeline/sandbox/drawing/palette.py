"""Colours, chosen by the prompt's words."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from asset_pipeline.sandbox.drawing.canvas import Colour, brightness, mix


@dataclass(frozen=True, slots=True)
class Palette:
    """The roles that colours play in a picture.

    Args:
        sky: The background above, or at the edge.
        haze: The background below, or in the middle.
        ink: The darkest.
        main: The subject's body.
        second: Its other parts.
        accent: What catches the eye.
        paper: The lightest.
    """

    sky: Colour
    haze: Colour
    ink: Colour
    main: Colour
    second: Colour
    accent: Colour
    paper: Colour

    @property
    def dark(self) -> bool:
        """Whether the background is dark."""
        return brightness(self.haze) < 110  # noqa: PLR2004 -- of 255

    @property
    def ground(self) -> Colour:
        """A pale surface that every subject stands out on."""
        return mix(self.paper, self.haze, 0.07 if self.dark else 0.22)


_PALETTES = {
    "navy": "1f3157 4a6a94 0d1b2a 22406e 6f93bf e0b354 f6f0e2",
    "gold": "f9ecca ebc978 4a3410 b07f22 d9a441 24426b fff9ec",
    "green": "e0f1e0 a9d6a6 12372a 2d6a4f 59b38a f0a35e f7fdf5",
    "autumn": "fde6c8 f2b077 4a1f10 b34a22 e07a2f 7a2f24 fff5e8",
    "tea": "f1e4d0 d9bc96 3b2a1e 8a5a35 b98b5e 6b8f71 fcf7ee",
    "lavender": "eee7f8 c9b8e6 32264d 7a5fae a78bd0 eea6c8 fcfaff",
    "rose": "fdeaed f4bcc6 4f1a2b c0506f e68fa3 6f9a55 fff8f8",
    "ocean": "d6f1f6 86cad8 0b3142 12688a 2aa5b5 ffb93d f4fcff",
    "sunset": "5a3a7a f79a62 2b163f 8e3b76 d95d75 ffd56b fff2e0",
    "mint": "e6f9f1 b2e6d1 153d36 329a80 6fcfb2 ff8d74 f8fffc",
    "slate": "e6eaef bac4cf 1f2933 4d5b6a 8794a2 d2544c fafbfc",
    "desert": "fdebd3 e9b98a 46261a b5653a d9915a 3f7d78 fff8ef",
    "winter": "e9f4fb bfd9eb 1c3144 4f83ae 93bad9 c44536 ffffff",
    "night": "101840 38488a 080c22 2e3f7c 6676bb ffe08a f1f3ff",
    "plum": "f4e3ee d3a2c4 3b1431 7d2e68 b0609a e9b44c fff8fd",
    "lemon": "fffbdc f4e38a 3f3a12 b79b1e e2c73c 3f8f6b fffef5",
    "coral": "ffece4 ffbfa8 4c1d1a d1573f f08a6c 2f8f8a fffaf7",
}

_WORDS = {
    "navy": "navy indigo royal will testament trust estate legal bank law court",
    "gold": "gold golden brass crown treasure honey bee candle",
    "green": "green forest tree leaf garden jungle plant moss fern grass nature emerald olive",
    "autumn": "autumn fall october orange pumpkin fox harvest maple bonfire",
    "tea": "tea coffee cup mug brown wood wooden bread cafe kitchen vintage antique library",
    "lavender": "lavender purple violet lilac provence dream spa",
    "rose": "rose pink blush wedding love heart valentine cherry blossom ballet",
    "ocean": "ocean sea blue ship boat sail beach harbour harbor lake wave fish water river whale",
    "sunset": "sunset sunrise dusk dawn evening twilight",
    "mint": "mint fresh health medical clinic pharmacy care spring",
    "slate": "slate grey gray silver charcoal office modern minimal steel city robot black",
    "desert": "desert sand dune terracotta canyon camel clay earth",
    "winter": "winter snow ice frost cold arctic christmas mountain mountains alpine glacier",
    "night": "night moon star stars space galaxy planet midnight rocket owl",
    "plum": "plum wine grape grapes burgundy velvet opera berry",
    "lemon": "lemon yellow citrus summer sunflower sun bright sunny",
    "coral": "coral peach red salmon tropical flamingo apple fire ruby",
}
_BY_WORD = {word: name for name, words in _WORDS.items() for word in words.split()}
# Colours and hours outweigh things: a navy house is navy, and the sea at sunset is not blue.
_STRONG_WORDS = (
    "navy gold golden green orange brown lavender purple violet pink rose blue mint slate "
    "grey gray silver charcoal red yellow coral peach plum burgundy terracotta indigo "
    "emerald olive sunset sunrise dusk dawn twilight night midnight autumn winter snow"
)
_STRONG = frozenset(_STRONG_WORDS.split())


def choose(words: Sequence[str], rng: random.Random) -> Palette:
    """Return the palette that the words name; a second colour that they name lends its accent.

    Args:
        words: The prompt's words, lower case.
        rng: Chooses when no word does, and shifts the hues a little.
    """
    # "gold on navy": the second is the background.
    behind = [word for before, word in pairwise(words) if before == "on"]
    named = [_BY_WORD[word] for word in [*behind, *words] if word in _BY_WORD and word in _STRONG]
    implied = [_BY_WORD[word] for word in words if word in _BY_WORD]
    ranked = list(dict.fromkeys([*named, *implied])) or [rng.choice(sorted(_PALETTES))]
    palette = _read(ranked[0])
    if len(ranked) > 1 and ranked[1] in named:
        other = _read(ranked[1])
        lent = max(
            (other.main, other.second, other.accent), key=lambda colour: _apart(colour, palette)
        )
        palette = replace(palette, accent=lent)
    return _shifted(palette, rng.uniform(-0.025, 0.025), rng.uniform(0.92, 1.1))


def _read(name: str) -> Palette:
    return Palette(*(_colour(digits) for digits in _PALETTES[name].split()))


def _colour(digits: str) -> Colour:
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def _apart(colour: Colour, palette: Palette) -> int:
    return sum(abs(a - b) for a, b in zip(colour, palette.main, strict=True))


def _shifted(palette: Palette, hue: float, vividness: float) -> Palette:
    def shift(colour: Colour) -> Colour:
        h, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in colour))
        parts = colorsys.hls_to_rgb((h + hue) % 1, lightness, min(1.0, saturation * vividness))
        return round(parts[0] * 255), round(parts[1] * 255), round(parts[2] * 255)

    return Palette(
        sky=shift(palette.sky),
        haze=shift(palette.haze),
        ink=shift(palette.ink),
        main=shift(palette.main),
        second=shift(palette.second),
        accent=shift(palette.accent),
        paper=palette.paper,
    )
