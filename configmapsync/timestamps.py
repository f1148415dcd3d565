"""Read and write times as the API server stores them: in UTC, with whole seconds.

The structs of `resource.py` and `status.py` use it, and `conditions.py` for new times.
A time that was written must equal the time that is read back; otherwise a status would
be written again and again.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

# A time without an offset is an error.
Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]


def normalize_times(struct: msgspec.Struct, *fields: str) -> None:
    """Bring the times of a new struct into UTC and whole seconds.

    Args:
        struct: calls this in `__post_init__`, the only place where a frozen struct may change.
        fields: the names of its fields with a time or None.

    Raises:
        ValueError: a time is outside the calendar in UTC.
    """
    for field in fields:
        moment: datetime | None = getattr(struct, field)
        if moment is not None and (moment.tzinfo is not UTC or moment.microsecond):
            msgspec.structs.force_setattr(struct, field, whole_seconds(moment))


def whole_seconds(moment: datetime) -> datetime:
    """Return a time in UTC without the fraction of a second.

    Raises:
        ValueError: the time is outside the calendar in UTC, such as 0001-01-01T00:00:00+14:00.
    """
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError("the time is outside the calendar in UTC") from error
