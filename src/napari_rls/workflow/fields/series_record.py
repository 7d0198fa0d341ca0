"""The record of an image of several fields, such as time points."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

_OF_ONE = ("cells", "crops", "places", "dropped", "intensity", "operator")
"""What a record says of one field alone."""


def series_record(
    records: Mapping[int, Mapping[str, Any]], count: int, name: str, *, complete: bool
) -> dict[str, Any]:
    """Return the record of an image of fields that were made in the same way.

    Parameters
    ----------
    records
        The record of each field of which something was made, by its number from 0.
    count
        How many fields the image has.
    name
        Of what they are made.
    complete
        Whether no field is left to work on.

    Returns
    -------
    dict
        ``fields`` has the record of each, None where nothing was made; what is of one field is
        there alone. The SHA-256 of the input is that of those of the fields, one after the other.

    Examples
    --------
    >>> one = {"generated": True, "complete": True, "seconds": 2.0, "cells": [{}], "input": {}}
    >>> record = series_record({0: one, 2: one}, 3, "series", complete=True)
    >>> record["complete"], record["seconds"], record["fields"][1]
    (True, 4.0, None)
    """
    first = next(iter(records.values()))
    fields = [dict(records[k]) if k in records else None for k in range(count)]
    known = [str(each["input"].get("sha256", "")) for each in records.values()]
    shape = first["input"].get("shape")
    return {key: value for key, value in first.items() if key not in _OF_ONE} | {
        "seconds": round(sum(float(each["seconds"]) for each in records.values()), 3),
        "complete": complete and all(each["complete"] for each in records.values()),
        "input": {
            **first["input"],
            "name": name,
            "sha256": hashlib.sha256("".join(known).encode()).hexdigest(),
            "shape": shape and [count, *shape[1:]],
        },
        "fields": fields,
    }
