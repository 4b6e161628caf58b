"""The error for a file that must not be delivered as a clip."""

from __future__ import annotations

from enum import StrEnum

from asset_pipeline.errors import AssetPipelineError


class BadMediaReason(StrEnum):
    """Why a file is refused; the ledger keeps it as the failure's class."""

    EMPTY = "empty"
    WRONG_TYPE = "wrong_type"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    BLANK = "blank"
    SILENT = "silent"
    TOO_LARGE = "too_large"


_HINTS = {
    BadMediaReason.EMPTY: "The download delivered nothing; fetch it again.",
    BadMediaReason.WRONG_TYPE: "Check the model's kind and output format in the catalog.",
    BadMediaReason.TRUNCATED: "The download stopped early; fetch it again.",
    BadMediaReason.UNDECODABLE: "The file is damaged; fetch it again, then generate it anew.",
    BadMediaReason.BLANK: "The model drew nothing; change the prompt, the inputs or the seed.",
    BadMediaReason.SILENT: "The model said nothing; change the prompt, the inputs or the seed.",
    BadMediaReason.TOO_LARGE: "Ask the model for a smaller output.",
}


class BadMediaError(AssetPipelineError):
    """A file that must not be delivered as a clip.

    Args:
        message: What is wrong with the file, by name.
        reason: The class of the defect, for retry rules and statistics.
    """

    def __init__(self, message: str, reason: BadMediaReason) -> None:
        super().__init__(message, hint=_HINTS[reason])
        self.reason = reason
