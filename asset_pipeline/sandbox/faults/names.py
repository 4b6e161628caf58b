"""Every fault by name, and the requests that each may strike."""

from __future__ import annotations

from enum import StrEnum


class Route(StrEnum):
    """The requests that faults can hit."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"
    FILE = "file"
    CHAT = "chat"


class FaultName(StrEnum):
    """Everything that can go wrong."""

    LOST_REPLY_BEFORE = "lost_reply_before"
    LOST_REPLY_AFTER = "lost_reply_after"
    LATE_ACCEPTANCE = "late_acceptance"
    SAME_ID = "same_id"
    ERROR_5XX_BEFORE = "error_5xx_before"
    ERROR_5XX_AFTER = "error_5xx_after"
    GET_5XX = "get_5xx"
    RATE_LIMITED = "rate_limited"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND_ONCE = "not_found_once"
    FORGOTTEN = "forgotten"
    OUTAGE = "outage"
    SLOW = "slow"
    FAILED = "failed"
    ABORTED = "aborted"
    CANCELED = "canceled"
    SHORT_LIST = "short_list"
    WRONG_OUTPUT_TYPE = "wrong_output_type"
    EXPIRED_OUTPUT = "expired_output"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    BLANK = "blank"
    SILENT = "silent"
    HTML_PAGE = "html_page"
    WRONG_MEDIA = "wrong_media"
    OVERSIZE = "oversize"
    LATE_FILE = "late_file"
    WEBHOOK_ABSENT = "webhook_absent"
    OTHER_MODEL_NAME = "other_model_name"
    MODEL_ABSENT = "model_absent"
    CREATED_AT_ABSENT = "created_at_absent"
    HIDDEN_SEED = "hidden_seed"
    COLLAPSED_TEXT = "collapsed_text"
    EMPTIED_INPUT = "emptied_input"
    ABSURD_METRICS = "absurd_metrics"
    OUTPUT_SHAPE = "output_shape"
    WEBHOOK_HIDDEN = "webhook_hidden"
    WEBHOOK_LISTED = "webhook_listed"
    CHAT_ERROR = "chat_error"
    CHAT_CUT = "chat_cut"
    CHAT_WRONG_SCHEMA = "chat_wrong_schema"
    CHAT_REFUSAL = "chat_refusal"
    CHAT_TRUNCATED = "chat_truncated"
    CHAT_DRIP = "chat_drip"


_F, _R = FaultName, Route
_ANY = (_R.CREATE, _R.GET, _R.LIST, _R.CANCEL, _R.FILE, _R.CHAT)
_API = (_R.CREATE, _R.GET, _R.LIST, _R.CANCEL, _R.CHAT)
_OUTPUT = (_R.CREATE, _R.FILE)
_SHOWING = (_R.GET, _R.LIST, _R.CREATE, _R.CANCEL)

# Where each may strike; the first is the default.
ROUTES: dict[FaultName, tuple[Route, ...]] = {
    _F.LOST_REPLY_BEFORE: _ANY,
    _F.LOST_REPLY_AFTER: (_R.CREATE, _R.CANCEL, _R.CHAT),
    _F.LATE_ACCEPTANCE: (_R.CREATE,),
    _F.SAME_ID: (_R.CREATE,),
    _F.ERROR_5XX_BEFORE: _ANY,
    _F.ERROR_5XX_AFTER: (_R.CREATE, _R.CANCEL, _R.CHAT),
    _F.GET_5XX: (_R.GET,),
    _F.RATE_LIMITED: _API,
    _F.INSUFFICIENT_CREDIT: (_R.CREATE, _R.CHAT),
    _F.UNAUTHENTICATED: _API,
    _F.NOT_FOUND_ONCE: (_R.GET,),
    _F.FORGOTTEN: (_R.GET, _R.CANCEL, _R.LIST),
    _F.OUTAGE: _ANY,
    _F.SLOW: _ANY,
    _F.FAILED: (_R.CREATE,),
    _F.ABORTED: (_R.CREATE,),
    _F.CANCELED: (_R.CREATE,),
    _F.SHORT_LIST: (_R.CREATE,),
    _F.WRONG_OUTPUT_TYPE: (_R.CREATE,),
    _F.EXPIRED_OUTPUT: _OUTPUT,
    _F.TRUNCATED: _OUTPUT,
    _F.EMPTY: _OUTPUT,
    _F.BLANK: _OUTPUT,
    _F.SILENT: _OUTPUT,
    _F.HTML_PAGE: _OUTPUT,
    _F.WRONG_MEDIA: _OUTPUT,
    _F.OVERSIZE: _OUTPUT,
    _F.LATE_FILE: (_R.FILE,),
    _F.WEBHOOK_ABSENT: (_R.CREATE,),
    _F.OTHER_MODEL_NAME: _SHOWING,
    _F.MODEL_ABSENT: _SHOWING,
    _F.CREATED_AT_ABSENT: _SHOWING,
    _F.HIDDEN_SEED: _SHOWING,
    _F.COLLAPSED_TEXT: _SHOWING,
    _F.EMPTIED_INPUT: _SHOWING,
    _F.ABSURD_METRICS: _SHOWING,
    _F.OUTPUT_SHAPE: _SHOWING,
    _F.WEBHOOK_HIDDEN: _SHOWING,
    _F.WEBHOOK_LISTED: (_R.LIST,),
    _F.CHAT_ERROR: (_R.CHAT,),
    _F.CHAT_CUT: (_R.CHAT,),
    _F.CHAT_WRONG_SCHEMA: (_R.CHAT,),
    _F.CHAT_REFUSAL: (_R.CHAT,),
    _F.CHAT_TRUNCATED: (_R.CHAT,),
    _F.CHAT_DRIP: (_R.CHAT,),
}

# These belong to the prediction: decided when it is created, kept with it.
KEPT = frozenset(name for name, routes in ROUTES.items() if routes in ((_R.CREATE,), _OUTPUT)) - {
    _F.INSUFFICIENT_CREDIT,
    _F.LATE_ACCEPTANCE,
    _F.SAME_ID,
} | {_F.SLOW}

# These change what is shown of a prediction, wherever it is shown; several may strike at once.
SHOWN = frozenset(name for name, routes in ROUTES.items() if routes is _SHOWING) | {
    _F.WEBHOOK_LISTED
}
STRIKING = frozenset(FaultName) - SHOWN

# These strike a prediction at each question, or at none: a row that shows its seed every other
# time would be no rehearsal of one that hides it.
STEADY = SHOWN | {_F.FORGOTTEN, _F.LATE_FILE}
