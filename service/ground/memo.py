"""A bounded cache in this process's memory, for values that follow from their key alone and never change."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Up to `size` values, the oldest forgotten first. Everybody gets the same object, so it must be immutable."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of `key`, made by `make` where it is not remembered; what `make` raises is not remembered.

        Two threads that ask at once may both make it.
        """
        # Without the lock: reading a dictionary is atomic, and this is asked for with every request.
        value = self._values.get(key)
        if value is None:
            value = make()
            with self._lock:
                if len(self._values) >= self._size:
                    del self._values[next(iter(self._values))]
                self._values[key] = value
        return value
