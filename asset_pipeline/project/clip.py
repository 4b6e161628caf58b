"""One stored clip from Python: what the ledger says of it, and its file decoded."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.records import Clip
from asset_pipeline.money import to_decimal
from asset_pipeline.stores.protocol import Store, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


@dataclass(frozen=True, slots=True)
class ProjectClip:
    """A stored clip; columns of the table ``clips`` as attributes, and its file.

    Attributes:
        row: All that the ledger says of it.

    Examples:
        >>> clip = project.clip("red-house")
        >>> clip.kind.value, clip.width, clip.cost_usd
        ('image', 512, Decimal('0.003000'))
        >>> clip.open().size
        (512, 512)
    """

    row: Clip
    _store: Store

    @property
    def clip_id(self) -> str:
        """Its id in the tables and in the service."""
        return self.row.clip_id

    @property
    def kind(self) -> Kind:
        """Picture or sound."""
        return self.row.kind

    @property
    def prompt_id(self) -> str:
        """The prompt that it was made for."""
        return self.row.prompt_id

    @property
    def collection(self) -> str:
        """That prompt's collection."""
        return self.row.collection

    @property
    def variant(self) -> int:
        """Which of the prompt's clips it is, from 1."""
        return self.row.variant

    @property
    def model(self) -> str:
        """The model that made it."""
        return self.row.model

    @property
    def cost_usd(self) -> Decimal:
        """What it cost, in US dollars; 0 when it reuses a clip that was paid for before."""
        return to_decimal(self.row.cost_microusd)

    @property
    def width(self) -> int | None:
        """Pixels across; None for sound."""
        return self.row.width

    @property
    def height(self) -> int | None:
        """Pixels down; None for sound."""
        return self.row.height

    @property
    def duration_seconds(self) -> float | None:
        """How long it sounds; None for a picture."""
        return self.row.duration_seconds

    @property
    def created_at(self) -> datetime:
        """When it was stored, in UTC."""
        return self.row.created_at

    @property
    def object_uri(self) -> str:
        """Where its file is."""
        return self.row.object_uri

    @property
    def mime(self) -> str:
        """The file's type, such as ``image/webp``."""
        return self.row.mime

    def read_bytes(self) -> bytes:
        """Return the file's content, proved to be what was stored.

        Raises:
            StoreError: It is missing, can't be read, or has changed since.

        Examples:
            >>> project.clip("red-house").read_bytes()[8:12]
            b'WEBP'
        """
        content = b"".join(self._store.read(self.row.object_key))
        if hashlib.sha256(content).hexdigest() != self.row.sha256:
            raise StoreError(
                f"The file {self.row.object_uri} is not what was stored for clip {self.clip_id}.",
                hint="`asset-pipeline fsck` says what is wrong with it, and what can be done.",
            )
        return content

    def open(self) -> Image.Image | tuple[NDArray[np.float32], int]:
        """Return a picture, or a sound's samples and their rate in Hz.

        Samples lie between -1 and 1: one row an instant, a column a channel where there are
        several.

        Raises:
            StoreError: As :meth:`read_bytes`.

        Examples:
            >>> samples, rate = project.clip("hello").open()
            >>> round(len(samples) / rate, 1) == round(project.clip("hello").duration_seconds, 1)
            True
        """
        content = io.BytesIO(self.read_bytes())
        return _picture(content) if self.kind is Kind.IMAGE else _sound(content)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: the picture, or a player."""
        import base64  # noqa: PLC0415 -- a notebook's need only

        data = base64.b64encode(self.read_bytes()).decode()
        source = f"data:{self.mime};base64,{data}"
        if self.kind is Kind.IMAGE:
            return f'<img alt="" style="max-width: 480px" src="{source}">'
        return f'<audio controls src="{source}"></audio>'


def _picture(content: io.BytesIO) -> Image.Image:
    from PIL import Image  # noqa: PLC0415 -- a tenth of a second, for pictures only

    picture = Image.open(content)
    picture.load()
    return picture


def _sound(content: io.BytesIO) -> tuple[NDArray[np.float32], int]:
    import soundfile  # noqa: PLC0415 -- loads libsndfile, for sound only

    samples: Any
    rate: int
    samples, rate = soundfile.read(content, dtype="float32")
    return samples, rate
