"""Turns figures of any origin (numpy, NaN, paths, dates) into what every JSON reader takes."""

import math
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any


def json_safe(value: Any) -> Any:
    """Plain dict, list, str, int, float, bool or None; NaN and infinities become None, which jsonb can hold."""
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, PurePath) else value
