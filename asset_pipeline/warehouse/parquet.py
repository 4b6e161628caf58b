"""The published tables as Parquet files, for programs that read no DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asset_pipeline.warehouse.query import WarehouseError, connected

_NAMES = """
    SELECT table_name AS name FROM duckdb_tables()
    UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal
    ORDER BY name
"""


def write_parquet(warehouse: Path, scratch: Path, put: Callable[[str, Path], None]) -> list[str]:
    """Write every published table and view as Parquet, one after the other.

    Types stay: money is DECIMAL(18,6), times are UTC, tags are lists.

    Args:
        warehouse: The published DuckDB file.
        scratch: A folder for the files until they are put.
        put: Takes each file: its name, such as ``clips.parquet``, and where it is. It is removed
            after that.

    Returns:
        The names of what was written.

    Raises:
        WarehouseError: There is no published file, or it can't be read or written as Parquet.
    """
    import duckdb  # noqa: PLC0415 -- heavy, and the command's help does without it

    written: list[str] = []
    with connected(warehouse) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for (name,) in connection.execute(_NAMES).fetchall():
            file = scratch / f"{name}.parquet"
            place = str(file).replace("'", "''")
            try:
                connection.execute(
                    f"COPY (SELECT * FROM \"{name}\") TO '{place}' (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608, E501 -- our schema's names
                )
                put(file.name, file)
            except duckdb.Error as error:
                raise WarehouseError(
                    f"The table {name} could not be written as Parquet: {error}",
                    hint="Free some disk space, and export again.",
                ) from error
            finally:
                file.unlink(missing_ok=True)
            written.append(file.name)
    return written
