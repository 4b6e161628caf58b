"""Rows of the warehouse to pandas data frames whose types are declared, not guessed.

Money stays Decimal: a float would lose the micro-dollars that the ledger counts. Times are aware,
in UTC. A column keeps its type when it is empty or has gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asset_pipeline.warehouse.query import QueryResult

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "TINYINT": "Int64",
    "SMALLINT": "Int64",
    "INTEGER": "Int64",
    "BIGINT": "Int64",
    "UTINYINT": "Int64",
    "USMALLINT": "Int64",
    "UINTEGER": "Int64",
    "HUGEINT": "Int64",  # a sum of whole numbers
    "FLOAT": "float64",
    "DOUBLE": "float64",
    "DATE": "datetime64[s]",
    "TIMESTAMP": "datetime64[us]",
    "TIMESTAMP WITH TIME ZONE": "datetime64[us, UTC]",
}


def data_frame(result: QueryResult) -> pd.DataFrame:
    """Return the rows as a data frame.

    Text is ``string``, whole numbers ``Int64`` (with gaps), fractions ``float64``, days and times
    ``datetime64``, those of the tables in UTC. Money and whatever pandas has no type for, such as
    lists of tags, are Python's own objects: Decimal, list.
    """
    import pandas as pd  # noqa: PLC0415 -- half a second, and nobody needs it to import the project

    columns = list(zip(*result.rows, strict=True)) or [()] * len(result.columns)
    series = {
        at: _series(values, kind)
        for at, (values, kind) in enumerate(zip(columns, result.types, strict=True))
    }
    frame = pd.DataFrame(series)
    frame.columns = pd.Index(result.columns, dtype="object")
    return frame


def _series(values: Sequence[Any], kind: str) -> pd.Series:
    import pandas as pd  # noqa: PLC0415 -- as above

    dtype = _DTYPES.get(kind, "object")
    try:
        return pd.Series(values, dtype=dtype)
    except (OverflowError, ValueError):
        # A sum beyond 64 bits, or a date beyond pandas' calendar, stays what it is.
        return pd.Series(values, dtype="object")
