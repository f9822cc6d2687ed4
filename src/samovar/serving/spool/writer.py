"""Writes the prediction log: requests are gathered as they are answered, and written with one call at the end of the loop's turn.

What was written survives the death of the process at once, and that of the host after the next ``fsync``, which happens in a
thread beside the loop.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from samovar import logs
from samovar.serving.spool import folder as folder_
from samovar.serving.spool.plain import encodable, unnumpy
from samovar.serving.spool.records import LENGTH, packed, seal
from samovar.serving.spool.segment import Segment
from samovar.serving.turn import NotLogged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from samovar.serving.jobs import Answers, Job, Row
    from samovar.serving.metrics import SpoolCounts
    from samovar.serving.spool.privacy import Privacy
    from samovar.serving.spool.records import Header

log = logs.get_logger(__name__)

_SHAPES = (1, 2)  # dimensions of arrays that are written as they are
_SLOW_LOOK = 0.005  # seconds
_LOOK_SHARE = 200  # a slow look at the folder may take half a percent of the event loop's time


class Limits(msgspec.Struct, frozen=True):
    """How long and how large; see `samovar.serving.config.EndpointConfig`."""

    segment_bytes: int = 4 * 2**20
    seal_seconds: float = 5.0
    fsync_seconds: float = 1.0
    total_bytes: int = 2**30
    total_seconds: float = 7 * 86400.0
    on_full: Literal["answer", "refuse"] = "answer"


class SegmentSpool:
    """The prediction log of one worker; see `samovar.serving.turn.Spool`.

    Args:
        folder: of the endpoint; other workers write there too, and something takes complete files away.
        header: whose answers these are.
        privacy: what is stored of a row.
        limits: sizes and ages.
        counts: metrics.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, header: Header, privacy: Privacy, limits: Limits, counts: SpoolCounts) -> None:
        folder_.make_private(folder)
        self._folder = folder
        self._header = header
        self._privacy = privacy
        self._as_is = privacy.as_is and privacy.key_as_is
        self._limits = limits
        self._counts = counts
        self._encode = msgspec.msgpack.Encoder(enc_hook=unnumpy).encode_into
        self._buffer = bytearray(LENGTH.size)
        self._singles: list[tuple[Any, ...]] = []
        self._many: list[tuple[Any, ...]] = []
        self._frames: list[bytes | bytearray] = []  # whole ones, made beside the loop
        self._segment: Segment | None = None
        self._opened = 0.0
        self._lost = 0
        self._next_look = 0.0
        self._keeper = _Keeper(limits.fsync_seconds)
        self._measure()

    def row(self, request_id: bytes, route: str, row: Row) -> None:
        """Gather one request of one row."""
        _, values, key, label, probabilities = row
        if not self._as_is:
            try:
                values, key = self._privacy.row(values), self._privacy.row_key(key)
            except Exception as error:  # noqa: BLE001 - not the caller's fault, and not to be: the answer is good
                self._skip(request_id, route, error)
                return
        self._singles.append((request_id, route, key, values, label, probabilities))

    def job(self, request_id: bytes, route: str, job: Job, answers: Answers) -> None:
        """Gather one request of n rows."""
        try:
            self._gather(request_id, route, job, answers)
        except Exception as error:  # noqa: BLE001 - as above
            self._skip(request_id, route, error)

    def large(self, request_id: bytes, route: str, job: Job, answers: Answers) -> bytes | bytearray:
        """Make the frame of one request; empty when that cannot be done. May be called from any thread."""
        try:
            many = [self._told(request_id, route, job, answers)]
            buffer = bytearray(LENGTH.size)  # and nothing is copied again: fresh memory costs more than what is written there
            encoder = msgspec.msgpack.Encoder(enc_hook=unnumpy)
            _encoded(lambda group: encoder.encode_into(group, buffer, LENGTH.size), [], many)
            seal(buffer)
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(request_id, route, error)
            return b""
        return buffer

    def put(self, encoded: bytes | bytearray) -> None:
        """Gather one request that `large` encoded."""
        if encoded:
            self._frames.append(encoded)
        else:
            self._counts.dropped["error"].add()

    def flush(self) -> None:
        """Write what was gathered.

        Raises:
            NotLogged: it could not be written, and the endpoint is to refuse.
        """
        singles, many = self._singles, self._many
        requests = len(singles) + len(many) + len(self._frames)
        if not requests:
            return
        if self._room <= 0:
            self._forget()
            self._miss("full", requests)
            return
        try:
            data = self._packed(singles, many)
            segment = self._segment or self._begin()
            segment.write(data, requests)
        except Exception as error:  # noqa: BLE001 - whatever it is, the turn's answers wait for the end of this call
            self._miss("error", requests, error)
            return
        finally:
            self._forget()
        self._room -= len(data)
        if self._lost:
            self._recover()
        if segment.size >= self._limits.segment_bytes:
            self._seal()

    def tick(self) -> None:
        """Close what is old, measure the folder, delete what nobody shipped, let the disk have what was written."""
        try:
            self._look_at_file()
            self._measure()
        except OSError as error:
            log.warning("the prediction log's folder cannot be read", reason=error.strerror)
            self._restore()

    def close(self) -> None:
        """Complete the file."""
        self._seal()
        self._keeper.close()

    def _skip(self, request_id: bytes, route: str, error: Exception) -> None:
        self._tell(request_id, route, error)
        self._counts.dropped["error"].add()

    @staticmethod
    def _tell(request_id: bytes, route: str, error: Exception) -> None:
        """Report a request that cannot be told; an error's own words may hold a value of it."""
        log.error("a request could not be logged", request_id=request_id.decode(), route=route, error=type(error).__name__)

    def _gather(self, request_id: bytes, route: str, job: Job, answers: Answers) -> None:
        if job.rows == 1 and job.call is None and job.places is None:
            label, probabilities = answers.logged(0)
            key = None if job.keys is None else job.keys[0]
            self.row(request_id, route, (b"", [column[0] for column in job.columns], key, label, probabilities))
            return
        self._many.append(self._told(request_id, route, job, answers))

    def _told(self, request_id: bytes, route: str, job: Job, answers: Answers) -> tuple[Any, ...]:
        """Return what `samovar.serving.spool.records.Many` says of a request."""
        labels, shares = split(answers)
        columns = None if job.call is not None else [*map(_array, self._privacy.columns(job.columns))]
        row = (request_id, route, job.rows, self._privacy.keys(job.keys), columns, labels, _array(shares))
        return row if job.places is None else (*row, job.places)

    def _packed(self, singles: list[tuple[Any, ...]], many: list[tuple[Any, ...]]) -> bytes | bytearray:
        """Return the frames of this turn."""
        frames, buffer = self._frames, self._buffer
        if singles or many:
            _encoded(lambda group: self._encode(group, buffer, LENGTH.size), singles, many)
            seal(buffer)
            return b"".join((buffer, *frames)) if frames else buffer
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _forget(self) -> None:
        self._singles.clear()
        self._many.clear()
        self._frames.clear()

    def _begin(self) -> Segment:
        self._segment = Segment(self._folder, self._header)
        self._opened = time.monotonic()
        self._room -= self._segment.size
        return self._segment

    def _seal(self) -> None:
        segment = self._segment
        if segment is None:
            return
        try:
            segment.seal()
        except OSError as error:  # the next reader does it
            log.warning("a file of the prediction log stays open", reason=error.strerror)
        self._counts.written.add(segment.size)
        self._release()

    def _release(self) -> None:
        if self._segment is not None:
            self._keeper.release(self._segment.file)
        self._segment = None

    def _look_at_file(self) -> None:
        segment = self._segment
        if segment is None:
            return
        if not segment.is_there:
            self._counts.dropped["error"].add(segment.requests)
            log.error("a file of the prediction log was deleted while it was written", requests=segment.requests)
            self._release()
        elif time.monotonic() - self._opened >= self._limits.seal_seconds:
            self._seal()
        else:
            self._keeper.sync(segment.file, segment.size)

    def _measure(self) -> None:
        """Look at the folder; a full one takes long to look at and is looked at seldom, for this is the event loop."""
        began = time.monotonic()
        if began < self._next_look:
            return
        total, old = folder_.look(self._folder, time.time() - self._limits.total_seconds)
        for path in old:
            try:
                path.unlink()
            except OSError:
                continue
            self._counts.dropped["expired"].add(folder_.requests_of(path))
            log.error("a file of the prediction log was too old and is deleted", requests=folder_.requests_of(path))
        self._room = self._limits.total_bytes - total
        self._counts.waiting.set(total)
        took = time.monotonic() - began
        self._next_look = began + (_LOOK_SHARE * took if took > _SLOW_LOOK else 0.0)

    def _restore(self) -> None:
        try:
            folder_.make_private(self._folder)
        except OSError:
            return

    def _miss(self, why: str, requests: int, error: Exception | None = None) -> None:
        """Do without the log, or refuse to."""
        if not self._lost:
            full = f"{self._limits.total_bytes} bytes wait to be shipped"
            reason = full if error is None else getattr(error, "strerror", None) or type(error).__name__
            log.error("the prediction log takes no more", on_full=self._limits.on_full, reason=reason)
        self._lost += requests
        if self._limits.on_full == "refuse":
            raise NotLogged("The endpoint cannot log predictions at present.", remedy="Try again later.")
        self._counts.dropped[why].add(requests)

    def _recover(self) -> None:
        log.warning("the prediction log takes requests again", lost=0 if self._limits.on_full == "refuse" else self._lost)
        self._lost = 0


class _Keeper:
    """Brings files to the disk in a thread of its own, one after the other."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._running: Future[None] | None = None
        self._next = 0.0
        self._synced = -1

    def sync(self, file: int, size: int) -> None:
        """Bring what is written to the disk, unless that was done just now or is being done."""
        now = time.monotonic()
        if not self._seconds or now < self._next or size == self._synced or (self._running and not self._running.done()):
            return
        self._next, self._synced = now + 0.9 * self._seconds, size  # ticks are not exact
        self._running = self._thread.submit(_sync, file)

    def release(self, file: int) -> None:
        """Bring a whole file to the disk and close it."""
        self._synced = -1
        self._thread.submit(_sync_and_close if self._seconds else os.close, file)

    def close(self) -> None:
        """Wait for the disk."""
        self._thread.shutdown(wait=True)


def _sync(file: int) -> None:
    try:
        os.fdatasync(file)
    except OSError as error:
        log.error("the prediction log may not be on the disk", reason=error.strerror)  # noqa: TRY400 - a disk's error has no trace


def _sync_and_close(file: int) -> None:
    _sync(file)
    os.close(file)


def _encoded(encode: Callable[[Any], Any], singles: list[tuple[Any, ...]], many: list[tuple[Any, ...]]) -> Any:
    """Encode a group of now; one odd value must not lose its neighbours."""
    now = time.time_ns() // 1000
    try:
        return encode((now, singles, many))
    except (ValueError, TypeError, OverflowError, NotImplementedError):
        return encode((now, encodable(singles), encodable(many)))


def _array(values: Any) -> Any:
    """Return an array of doubles as it is written; anything else as it is."""
    return packed(values) if getattr(values, "dtype", None) == "float64" and values.ndim in _SHAPES else values


def split(answers: Answers) -> tuple[list[Any], Any]:
    """Return n labels, and n lists of probabilities if the model gives any, or an array of them."""
    whole = getattr(answers, "all_logged", None)  # ten thousand small calls take longer than the rest together
    if whole is not None:
        labels, shares = whole()
        return labels, shares
    pairs = [answers.logged(index) for index in range(len(answers))]
    shares = [share for _, share in pairs]
    return [label for label, _ in pairs], None if all(share is None for share in shares) else shares
