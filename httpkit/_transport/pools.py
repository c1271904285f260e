"""urllib3's pools, of our connections.

Where urllib3 lacks a name of `_upstream`, or a class is patched, urllib3's own are used.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from functools import cache
from typing import Any

from urllib3 import connection as stock
from urllib3 import connectionpool
from urllib3.exceptions import EmptyPoolError

from httpkit._core import waits
from httpkit._core.clock import CLOCK
from httpkit._transport import _upstream
from httpkit._transport.connections import HTTPConnection, HTTPSConnection, check_labels
from httpkit._transport.socket_reader import EXCHANGE

# As they were at import: a patch by VCR, say, is noticed.
_STOCK_CLASSES = (stock.HTTPConnection, stock.HTTPSConnection)


class BlockingQueue(queue.LifoQueue[Any]):
    """The idle connections of a pool that blocks."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        # Threads whose wait was interrupted: urllib3 gives back what they never got.
        self._interrupted: set[int] = set()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the last one out. Raises: Empty."""
        try:
            return waits.item(super().get, timeout) if block else super().get(block)
        except queue.Empty:
            raise
        except BaseException:
            self._interrupted.add(threading.get_ident())
            raise

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a connection. Raises: Full."""
        if item is None and threading.get_ident() in self._interrupted:
            self._interrupted.discard(threading.get_ident())
            return
        super().put(item, block, timeout)

    def _put(self, item: Any) -> None:
        if item is not None:
            item.idle_since = CLOCK.monotonic()
        super()._put(item)


class IdleQueue(queue.LifoQueue[Any]):
    """The idle connections of a pool that does not block, the last used first.

    Saves 4 us for each request, and 100 us for a pool of a hundred: a list needs no lock.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002  # the queue's
        """Add a connection. Raises: Full."""
        if 0 < self.maxsize <= len(self.queue):
            raise queue.Full
        if item is not None:
            item.idle_since = CLOCK.monotonic()
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002  # the queue's
        """Take the last one out. Raises: Empty."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None


def _notify(waiting: Any) -> None:
    """Wake one thread that waits for a connection of a pool that was closed."""
    with suppress(queue.Full):
        waiting.put(None, block=False)


class _PoolMixin(connectionpool.HTTPConnectionPool):
    QueueCls: Any
    # Whether its manager no longer has it.
    is_disposed: bool = False

    def __init__(self, host: str, port: int | None = None, **keywords: Any) -> None:
        self.QueueCls = BlockingQueue if keywords.get("block") else IdleQueue
        super().__init__(host, port, **keywords)

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Return a connection; a stale one is reopened if the request is not retried."""
        connection = self._take(timeout)
        is_ours = isinstance(connection, HTTPConnection)
        if is_ours and not EXCHANGE.get().is_repeatable and connection.is_stale():
            connection.close()  # it connects again by itself
        return connection

    def _take(self, timeout: float | None) -> Any:
        """Return a connection; with `pool_block`, wait for one until the deadline."""
        waiting = self.pool
        if not self.block or waiting is None:
            return super()._get_conn(timeout)
        try:
            connection = super()._get_conn(EXCHANGE.get().deadline.clip(timeout))
        except (EmptyPoolError, TimeoutError) as error:  # urllib3 handles only its own
            raise EmptyPoolError(
                self, f"all {waiting.maxsize} connections to {self.host} stayed in use"
            ) from error
        if self.pool is None:
            _notify(waiting)
        return connection

    def close(self) -> None:
        """Close the idle connections; threads that wait for one open their own."""
        waiting = self.pool
        super().close()
        if self.block and waiting is not None:
            _notify(waiting)

    def put_connection(self, connection: Any) -> None:
        """Put a connection into the pool; None stands for a closed one."""
        self._put_conn(connection)


class HTTPConnectionPool(_PoolMixin, connectionpool.HTTPConnectionPool):
    """A pool of our connections, or of the class that replaced urllib3's."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections; VCR and its like patch the stock pool's."""
        current: Any = connectionpool.HTTPConnectionPool.ConnectionCls
        return HTTPConnection if current is _STOCK_CLASSES[0] else current


class HTTPSConnectionPool(_PoolMixin, connectionpool.HTTPSConnectionPool):
    """The same, with TLS."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections."""
        current: Any = connectionpool.HTTPSConnectionPool.ConnectionCls
        return HTTPSConnection if current is _STOCK_CLASSES[1] else current


@cache
def socks_pools() -> dict[str, Any]:
    """Return pools of our connections that PySocks opens."""
    from urllib3.contrib import socks

    class Connection(HTTPConnection, socks.SOCKSConnection):
        def _new_conn(self) -> Any:
            """Connect; each wait for the proxy has the connect timeout."""
            check_labels(self.host.strip("[]"))
            sock = super(HTTPConnection, self)._new_conn()  # PySocks connects
            sock.settimeout(EXCHANGE.get().deadline.clip(self.timeout))  # for the handshake
            return sock

    class SecureConnection(Connection, HTTPSConnection, socks.SOCKSHTTPSConnection):
        pass

    class Pool(_PoolMixin, socks.SOCKSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(_PoolMixin, socks.SOCKSHTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


def install(manager: Any) -> None:
    """Give a manager our pools, unless urllib3 lacks a name or somebody gave it others."""
    if not _upstream.SUPPORTED:
        _upstream.report()
    elif manager.pool_classes_by_scheme == _upstream.POOL_CLASSES:
        manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        manager.pools.dispose_func = dispose


def dispose(pool: Any) -> None:
    """Note that a manager dropped a pool: it was cleared, or there were too many."""
    pool.is_disposed = True
