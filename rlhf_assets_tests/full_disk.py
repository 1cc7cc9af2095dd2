"""A disk that fills up, for whoever writes."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def disk_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
