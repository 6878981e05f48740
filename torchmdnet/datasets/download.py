"""Fetching published data files: resumed, verified, with a progress bar, and in place only when whole."""

import logging
import re
import time
from pathlib import Path
from typing import NamedTuple

import requests
from filelock import FileLock
from requests import Response
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from torchmdnet.datasets.fetch_record import digest_of_file, record_of, recorded_checksum, write_record

__all__ = ["download"]

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60
FAILURES_AT_MOST = 4
"""Failures in a row, without a byte between them, after which it is given up."""
FIRST_PAUSE_SECONDS = 1.0
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP answers that may be another one a moment later."""
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


class _Wanted(NamedTuple):
    """What is fetched, and what is known of it."""

    url: str
    path: Path
    checksum: str | None
    size: int | None
    recorded: str | None = None
    """What an earlier fetch has noted, where no checksum is published."""

    @property
    def partial(self) -> Path:
        """Where bytes are collected; kept when the transfer breaks off."""
        return self.path.with_name(f"{self.path.name}.partial")

    @property
    def version(self) -> Path:
        """Which version of the published file the collected bytes belong to."""
        return self.path.with_name(f"{self.path.name}.partial.version")

    def known_version(self) -> str:
        """The server's word for it, empty if it told none."""
        return self.version.read_text() if self.version.is_file() else ""

    def forget(self) -> None:
        """Drop what was collected."""
        self.partial.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


class _RefusedError(Exception):
    """An answer that another try will not change."""


class _BrokenOffError(Exception):
    """A transfer that can be taken up again."""


def download(url: str, path: Path, *, checksum: str | None = None, size: int | None = None) -> None:
    """Fetch a file, unless it is there.

    Bytes are collected in ``path.partial``. A transfer that breaks off is taken up where it ended, in this run or in
    a later one, where the server can do that and still has the same version. Of several processes one fetches.
    Without a published checksum the file's SHA-256 is noted in ``path.sha256``, and a later fetch has to agree with it.

    Args:
        url: an http or https address.
        path: the file to make.
        checksum: ``"md5:HEX"`` or ``"sha256:HEX"`` (also sha1, sha512); None: unknown.
        size: in bytes; None: unknown.

    Raises:
        FileNotFoundError: it cannot be fetched, or is not what was published; says where to put it by hand.
        ValueError: the checksum has no such form.
    """
    if checksum is not None and checksum.partition(":")[0] not in ALGORITHMS:
        raise ValueError(f"checksum is {checksum!r}; 'ALGORITHM:HEX' with one of {', '.join(ALGORITHMS)} was expected")
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = _Wanted(url, path, checksum, size, recorded=recorded_checksum(path) if checksum is None else None)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.is_file():
            try:
                _fetch(wanted)
            except (_RefusedError, _BrokenOffError, requests.RequestException) as error:
                kept = _collected(wanted) if wanted.known_version() or checksum else 0
                later = f" ({kept} bytes are kept; the next run goes on from there)" if kept else ""
                raise FileNotFoundError(
                    f"{path.name} is not at {path} and cannot be fetched from {url}: {_reason(error)}{later}; "
                    "fetch it by other means and put it there"
                ) from error


def _reason(error: Exception) -> str:
    """The cause of a failed connection, without the layers around it."""
    inner = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else error
    return re.sub(r"^HTTPS?Connection\(.*?\): ", "", str(getattr(inner, "reason", None) or inner))


def _fetch(wanted: _Wanted) -> None:
    """Collect all bytes, check them and move them into place; tried again while that may help."""
    log.info("fetching %s from %s", wanted.path.name, wanted.url)
    failures = 0
    while True:
        before = _collected(wanted)
        try:
            _collect(wanted)
            break
        except (_BrokenOffError, requests.RequestException) as error:
            failures = 1 if _collected(wanted) > before else failures + 1
            if failures == FAILURES_AT_MOST:
                raise
            pause = FIRST_PAUSE_SECONDS * 2 ** (failures - 1)
            log.info("%s: %s; trying again in %g s", wanted.path.name, _reason(error), pause)
            time.sleep(pause)
    fault = _find_fault(wanted)
    if fault is not None:
        wanted.forget()
        raise _RefusedError(fault)
    wanted.version.unlink(missing_ok=True)
    wanted.partial.replace(wanted.path)
    if wanted.checksum is None:
        write_record(wanted.path)


def _collected(wanted: _Wanted) -> int:
    return wanted.partial.stat().st_size if wanted.partial.is_file() else 0


def _collect(wanted: _Wanted) -> None:
    """One request for the bytes that are missing."""
    start = _collected(wanted)
    if start and start == wanted.size:
        return
    # The bytes themselves, not what the server may pack for the way: sizes and checksums are of these
    headers = {"Accept-Encoding": "identity"}
    version = wanted.known_version()
    if start and (version or wanted.checksum):
        headers["Range"] = f"bytes={start}-"
        if version:
            headers["If-Range"] = version
    try:
        answer = requests.get(wanted.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as e:
        raise _RefusedError(str(e)) from e
    with answer:
        _check_answer(answer, wanted)
        if answer.status_code == 200:
            start = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            wanted.forget()
            raise _BrokenOffError("the server sent another part than was asked for")
        _receive(answer, wanted, start)


def _check_answer(answer: Response, wanted: _Wanted) -> None:
    status = answer.status_code
    if status == 416:  # more was collected than the server has
        wanted.forget()
        raise _BrokenOffError("the published file has become shorter")
    if status not in (200, 206):
        reason = f"the server answers {status} {answer.reason or ''}".rstrip()
        if status == 202:
            # Without a file: what services against automated requests send in its place
            reason += ", as if to see whether a browser asks"
        raise _BrokenOffError(reason) if status in TRANSIENT else _RefusedError(reason)


def _receive(answer: Response, wanted: _Wanted, start: int) -> None:
    """Append the body of an answer to the bytes before ``start``."""
    validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    # A weak tag promises the same meaning, not the same bytes
    wanted.version.write_text("" if validator.startswith("W/") else validator)
    length = answer.headers.get("Content-Length")
    total = wanted.size if length is None else start + int(length)
    end = start
    # disable=None: no bar where stderr is no terminal
    bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=wanted.path.name, disable=None)
    with bar, open(wanted.partial, "r+b" if start else "wb") as output:
        output.seek(start)
        try:
            for part in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                if end == 0 and _is_web_page(part, wanted.path):
                    wanted.forget()
                    raise _RefusedError("the server sent a web page instead of the file")
                output.write(part)
                end += len(part)
                bar.update(len(part))
        except HTTPError as error:
            raise _BrokenOffError(_told(end, total)) from error
    if total is not None and end < total:
        raise _BrokenOffError(_told(end, total))


def _told(received: int, total: int | None) -> str:
    return f"the transfer broke off after {received} {'bytes' if total is None else f'of {total} bytes'}"


def _is_web_page(part: bytes, path: Path) -> bool:
    begins = part[:256].lstrip().lower().startswith((b"<!doctype html", b"<html"))
    return begins and path.suffix.lower() not in (".html", ".htm")


def _find_fault(wanted: _Wanted) -> str | None:
    """What is wrong with the collected bytes."""
    received = _collected(wanted)
    if received == 0:
        return "the server sent an empty file"
    if wanted.size is not None and received != wanted.size:
        return f"{received} bytes arrived, but {wanted.size} are published"
    known = wanted.checksum or wanted.recorded
    if known is None:
        return None
    algorithm, _, expected = known.partition(":")
    digest = digest_of_file(wanted.partial, algorithm)
    if digest == expected.lower():
        return None
    source = "is published" if wanted.checksum else f"was noted in {record_of(wanted.path)} at an earlier fetch"
    return f"its {algorithm} checksum is {digest}, but {expected} {source}"
