"""A file system of fsspec: requests made again, errors of one line, whole objects kept in memory.

A request that fails is made again when what went wrong may pass: all but a refusal, an answer that will not change, or
a mistake in what was asked (`_may_pass`). What stays wrong is a `RemoteError`; an object that is not there is a
FileNotFoundError, as on a disk.
"""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from spmdata.errors import RemoteError
from spmdata.store.window import Window

T = TypeVar("T")

#: Whole objects kept in memory by one opened store: some 40 shards of COCO at 384 px, images and maps.
WHOLE_BYTES = 512 << 20
#: Seconds before a request is made again, each plus or minus half: five tries in all.
WAITS_S = (0.1, 0.4, 1.2, 3.0)
#: No try begins later than this after the first: libraries such as s3fs try several times on their own.
GIVE_UP_S = 20.0
#: errno of answers that no second try changes; s3fs gives the last when the bucket lies in another region.
FINAL = {errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENAMETOOLONG, errno.EROFS}
FINAL |= {errno.EREMCHG} if hasattr(errno, "EREMCHG") else set()


class Connection:
    """A file system, opened again in a forked child, and the whole objects that were read from it.

    Parameters
    ----------
    url : str
        Of the store.

    Raises
    ------
    RemoteError
        No such kind of URL, or the package for it is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.objects: Window[bytes] = Window(WHOLE_BYTES, len)
        self._open()
        #: Whether objects can be listed.
        self.lists = not {"http", "https"}.intersection(
            [self._files.protocol] if isinstance(self._files.protocol, str) else self._files.protocol
        )

    def _open(self) -> None:
        import fsspec  # here, because local stores need none of it

        self._pid, self._locks = os.getpid(), [threading.Lock() for _ in range(64)]
        try:
            self._files, self.key = fsspec.url_to_fs(self._url, use_listings_cache=False)
        except ImportError as error:
            kind = self._url.partition(":")[0]
            package = {"s3": "spm-toolkit[s3]", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}.get(kind, "")
            remedy = f"pip install '{package}'" if package else "install it"
            raise RemoteError(f"{self._url}: {error}: {remedy}") from error
        except ValueError as error:
            raise RemoteError(f"{self._url}: {error}; fsspec has s3://, gs://, https://, memory:// and more") from error
        except Exception as error:
            raise RemoteError(f"{self._url}: {_said(error)}") from error

    def files(self) -> Any:
        """Return the file system of fsspec."""
        if self._pid != os.getpid():  # its threads and sockets are the parent's
            self._open()
        return self._files

    def lock(self, key: str) -> threading.Lock:
        """Return the lock of an object, and of one in 64 others."""
        self.files()
        return self._locks[hash(key) % len(self._locks)]

    def request(self, verb: str, url: str, ask: Callable[[Any], T]) -> T:
        """Return what the file system answers, asked again while what goes wrong may pass.

        Raises
        ------
        RemoteError
            It stays wrong: the message has the verb, the URL, and what to do.
        FileNotFoundError, FileExistsError
            The object is not there, or is.
        """
        start_s = time.monotonic()
        for wait_s in (*WAITS_S, None):
            try:
                return ask(self.files())
            except FileNotFoundError as error:
                said = f"no such object ({error})" if str(error) else "no such object"
                raise FileNotFoundError(errno.ENOENT, said, url) from error
            except FileExistsError:
                raise
            except Exception as error:
                late = time.monotonic() - start_s > GIVE_UP_S
                if wait_s is None or late or not _may_pass(error):
                    raise RemoteError(f"cannot {verb} {url}: {_said(error)}; {_remedy(error)}") from error
            time.sleep(wait_s * random.uniform(0.5, 1.5))
        raise AssertionError("the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    """Whether it is worth asking again; file systems raise whatever their libraries do."""
    if 400 <= (status := _http_status(error)) < 500:
        return status in (408, 429)
    if isinstance(error, OSError):
        return not isinstance(error, PermissionError) and error.errno not in FINAL
    mistakes = (NotImplementedError, ImportError, ValueError, TypeError, AttributeError, LookupError)
    return not isinstance(error, mistakes) and not _lacks_credentials(error)


def _http_status(error: Exception) -> int:
    """Return what an error of aiohttp or gcsfs says, else 0."""
    status = getattr(error, "status", getattr(error, "code", 0))
    return status if isinstance(status, int) else 0


def _lacks_credentials(error: Exception) -> bool:
    return type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError")


def _said(error: Exception) -> str:
    """Return the first line of what an error says, and its kind where that is not told by it."""
    text = getattr(error, "strerror", None) or str(error)
    text = text.strip().partition("\n")[0].rstrip(".")
    return text if isinstance(error, PermissionError) and text else f"{type(error).__name__}{text and f' ({text})'}"


def _remedy(error: Exception) -> str:
    if isinstance(error, PermissionError) or _http_status(error) in (401, 403) or _lacks_credentials(error):
        return "check the credentials and what they allow"
    if _may_pass(error):
        return "given up after several tries: run the same command again later"
    return "check the URL"
