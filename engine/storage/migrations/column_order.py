"""Keeps large texts behind the other columns of a table.

SQLite reads a row from its beginning: a column behind a text of 40 kB costs that text at every read. On PostgreSQL the
order of columns costs nothing.
"""

import sqlalchemy as sa
from alembic import op


def move_to_end(table: str, column: str, default: str) -> None:
    """Makes a column the last one of its table, with its values.

    Args:
        table: The table.
        column: A column `TEXT NOT NULL` without an index.
        default: Its default.
    """
    database = op.get_bind()
    if database.dialect.name != "sqlite":
        return
    # A column that a trigger names cannot be dropped.
    triggers = database.execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"), {"table": table}
    ).all()
    for name, _ in triggers:
        op.execute(f"DROP TRIGGER {name}")
    op.execute(f"ALTER TABLE {table} ADD COLUMN moved TEXT NOT NULL DEFAULT '{default}'")
    op.execute(f"UPDATE {table} SET moved = {column} WHERE {column} <> '{default}'")  # noqa: S608  names of migrations
    op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    op.execute(f"ALTER TABLE {table} RENAME COLUMN moved TO {column}")
    for _, sql in triggers:
        op.execute(sql)
