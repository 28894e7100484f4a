"""The Google Sheets API, as far as we use it: the only importer of gspread.

A request waits for its share of the quota. What only reads, and what was refused for the quota, is
tried again; a write without an answer is not, for rows may have moved meanwhile.
Limits: https://developers.google.com/sheets/api/limits
"""

import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, TypeVar

import google.auth.exceptions
import gspread.urls
import requests
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient

from bouncesink.config import SheetsConfig, find_secret
from bouncesink.errors import PermanentSinkError, SinkError, TemporarySinkError
from bouncesink.outbox.grid import grid_cells, header_range
from bouncesink.outbox.lead_details import Cell
from bouncesink.outbox.quota import TokenBucket

BURST = 10
RATE = 45 / 60
"""Requests a second. Google grants 60 reads and 60 writes a minute; we make 55 of both at most."""

PATIENCE = 60.0
"""Seconds that one request is tried again; then the next flush goes on."""

_SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 32.0

T = TypeVar("T")


class Refused(PermanentSinkError):
    """Google refused a request, and nothing of it was done. `words` are Google's."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words


class Unanswered(TemporarySinkError):
    """No answer came, so the request may have been carried out or not."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab as it is now: its id, how many rows and columns it has, and its header."""

    id: int
    height: int
    width: int
    header: Sequence[Cell]


class SheetsApi:
    """One spreadsheet. Raises SinkError and nothing else; blocks while it waits."""

    def __init__(
        self,
        config: SheetsConfig,
        where: str,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._config = config
        self._where = where
        self._clock = clock
        self._pause = pause
        self._quota = TokenBucket(BURST, RATE, clock, pause)
        self._opened: _Client | None = None
        self._account = "the service account"

    def tab(self) -> Tab:
        fields = (
            "sheets(properties(sheetId,title,gridProperties(rowCount,columnCount)),"
            "data.rowData.values.effectiveValue)"
        )
        ranges = [header_range(self._config.tab)]
        try:
            answer = self._get({"ranges": ranges, "includeGridData": "true", "fields": fields})
        except Refused as error:
            raise self._without_tab(error) from None
        for sheet in answer.get("sheets", []):
            properties = sheet["properties"]
            if properties.get("title") == self._config.tab:
                header = [cell for grid in sheet.get("data", []) for cell in grid_cells(grid)]
                size = properties.get("gridProperties", {})
                return Tab(
                    properties.get("sheetId", 0),
                    size.get("rowCount", 0),
                    size.get("columnCount", 0),
                    header,
                )
        raise self._without_tab(None)

    def values(self, ranges: Sequence[str]) -> Mapping[str, Any]:
        """Read ranges, by columns, as what they are: dates come as numbers."""
        try:
            return self._call(
                lambda client: client.values_batch_get(
                    self._config.spreadsheet,
                    list(ranges),
                    {
                        "majorDimension": "COLUMNS",
                        "valueRenderOption": "UNFORMATTED_VALUE",
                        "dateTimeRenderOption": "SERIAL_NUMBER",
                    },
                )
            )
        except Refused as error:
            raise self._without_tab(error) from None

    def update(
        self, changes: Sequence[Mapping[str, Any]], ranges: Sequence[str]
    ) -> Mapping[str, Any]:
        """Make changes, all or none; give the ranges as they were right after.

        Raises Unanswered when they may have been made and the answer was lost.
        """
        body = {
            "requests": list(changes),
            "includeSpreadsheetInResponse": True,
            "responseRanges": list(ranges),
            "responseIncludeGridData": True,
        }
        fields = (
            "updatedSpreadsheet.sheets.data(startRow,startColumn,rowData.values.effectiveValue)"
        )
        url = gspread.urls.SPREADSHEET_BATCH_UPDATE_URL % self._config.spreadsheet
        return self._call(
            lambda client: client.request("post", url, params={"fields": fields}, json=body).json(),
            repeatable=False,
        )

    def _get(self, params: dict[str, Any]) -> Mapping[str, Any]:
        url = gspread.urls.SPREADSHEET_URL % self._config.spreadsheet
        return self._call(lambda client: client.request("get", url, params=params).json())

    def _without_tab(self, error: Refused | None) -> SinkError:
        """Tell which tabs there are, if ours is not among them."""
        if error and "Unable to parse range" not in error.words:
            return error
        answer = self._get({"fields": "sheets.properties.title"})
        titles = [sheet["properties"].get("title", "") for sheet in answer.get("sheets", [])]
        return PermanentSinkError(
            f"{self._where}: no tab is called {self._config.tab!r}; there are: "
            f"{', '.join(titles[:20])[:500]}. Name it in [sheets] tab."
        )

    def _call(self, send: "Callable[[_Client], T]", *, repeatable: bool = True) -> T:
        """Send a request, again and again while that may help."""
        deadline = self._clock() + PATIENCE
        for attempt in count():
            self._quota.take()
            wait = min(_LONGEST_WAIT, 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            try:
                return send(self._client())
            except APIError as error:
                failure = self._translated(error)
                wait = max(wait, _retry_after(error.response))
                done_nothing = error.response.status_code == 429
            except (requests.RequestException, google.auth.exceptions.TransportError) as error:
                failure = Unanswered(f"{self._where}: Google did not answer: {_short(error)}")
                done_nothing = False
            except google.auth.exceptions.GoogleAuthError as error:
                failure, done_nothing = self._unauthorised(error), True
            if isinstance(failure, PermanentSinkError):
                raise failure
            if self._clock() + wait > deadline:
                raise failure
            self._pause(wait)
            if not (repeatable or done_nothing):
                raise failure
        raise AssertionError  # count() does not end

    def _client(self) -> "_Client":
        if self._opened is None:
            path = find_secret(self._config.credentials)
            try:
                key = json.loads(path.read_text(encoding="utf-8"))
                self._account = str(key["client_email"])
                credentials = _credentials(key)
            except FileNotFoundError:
                raise PermanentSinkError(
                    f"{path}: no such file. Put the JSON key of the service account there, or name "
                    "another in [sheets] credentials."
                ) from None
            except (OSError, ValueError, KeyError, TypeError) as error:
                why = error.strerror if isinstance(error, OSError) else "not a service account"
                raise PermanentSinkError(
                    f"{path}: {why}: the JSON key of a service account is wanted."
                ) from None
            self._opened = _Client(credentials, self._config)
        return self._opened

    def _translated(self, error: APIError) -> SinkError:
        status = error.response.status_code
        words = _words(error)
        if status in _TEMPORARY or status >= 500:
            quota = " (the quota is used up)" if status == 429 else ""
            kind = TemporarySinkError if status == 429 else Unanswered
            return kind(f"{self._where}: Google answered {status}{quota}: {words}")
        hint = ""
        if status == 404:
            hint = " There is no such spreadsheet: see [sheets] spreadsheet."
        elif "rotected" in words:
            hint = f" Let {self._account} edit our five columns, or lift their protection."
        elif status in (401, 403):
            hint = f" Share the spreadsheet with {self._account} as an editor."
        return Refused(f"{self._where}: Google refused ({status}): {words}{hint}", words)

    def _unauthorised(self, error: Exception) -> SinkError:
        """Tell a refusal of the key (RFC 6749, section 5.2) from a server in trouble."""
        self._opened = None  # the next attempt reads the key anew
        said = next((one for one in error.args if isinstance(one, dict)), {})
        if isinstance(said.get("error"), str):
            return PermanentSinkError(
                f"{self._where}: Google gives {self._account} no access token: "
                f"{_short(said.get('error_description') or said['error'])}. "
                "Is the key still valid, and is this machine's clock right?"
            )
        return TemporarySinkError(f"{self._where}: no access token: {_short(error)}")


class _Client(HTTPClient):
    """gspread's client, with a time-out, and with the API where the config says it is.

    It keeps the token itself: google-auth's AuthorizedSession would also ask a further host, in a
    thread of its own, for regions that Sheets does not have.
    """

    def __init__(self, credentials: Credentials, config: SheetsConfig) -> None:
        session = requests.Session()
        super().__init__(credentials, session)
        self.set_timeout(config.timeout)
        self._api = config.api
        self._credentials = credentials
        self._transport = partial(Request(session), timeout=config.timeout)

    def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
        url = self._api + endpoint.removeprefix("https://sheets.googleapis.com")
        fresh = not self._credentials.valid
        if fresh:
            self._authorise()
        try:
            return super().request(method, url, *args, **kwargs)
        except APIError as error:
            if fresh or error.response.status_code != 401:
                raise
            self._authorise()  # the token was taken back before its time
            return super().request(method, url, *args, **kwargs)

    def _authorise(self) -> None:
        self._credentials.refresh(self._transport)  # type: ignore[no-untyped-call] # google-auth
        self.session.headers["Authorization"] = f"Bearer {self._credentials.token}"


def _credentials(key: Mapping[str, Any]) -> Credentials:
    made = Credentials.from_service_account_info(key, scopes=_SCOPES)  # type: ignore[no-untyped-call] # google-auth
    assert isinstance(made, Credentials)
    return made


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_WAIT) if re.fullmatch(r"\d{1,6}", value) else 0.0


def _words(error: APIError) -> str:
    """Give Google's sentence; a page of HTML has none."""
    if error.code == -1:
        return "a page that is not of the API"
    return _short(error.error.get("message", ""))


def _short(error: object) -> str:
    return " ".join(re.sub(r"[^\x20-\x7e]|\s", " ", str(error)).split())[:300]
