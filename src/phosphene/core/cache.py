"""A cache with an owner: values that are computed once for one object and die with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Cache:
    """Values by key. Never pickled with its owner: another process computes its own."""

    def __init__(self) -> None:
        self._values: dict[object, Any] = {}

    def get(self, key: object, compute: Callable[[], Value]) -> Value:
        """The value of `key`, computed at the first request; a failed computation is not remembered."""
        if key not in self._values:
            self._values[key] = compute()
        value: Value = self._values[key]
        return value

    def __reduce__(self) -> tuple[type[Cache], tuple[()]]:
        return Cache, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Cache:
        return Cache()
