"""What can go wrong."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional


class TokenError(ValueError):
    """The string is no token, or it does not say where its server is."""


class FramewellError(Exception):
    """The server refused a request, or a part of an answer.

    `code` is the server's stable word (`not_found`, `unavailable`, ...), `details` its further members such as
    `nearest_before`, `retry_after` the seconds after which the same request may succeed.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: Optional[int] = None,
        details: Optional[Mapping[str, Any]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = dict(details or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    @classmethod
    def of_object(cls, error: Mapping[str, Any]) -> "FramewellError":
        """From an `error` object inside an answer."""
        details = {name: value for name, value in error.items() if name not in ("code", "message")}
        return cls(str(error.get("code", "internal")), str(error.get("message", "")), details=details)

    @classmethod
    def of_answer(cls, status: int, retry_after: Optional[str], body: bytes) -> "FramewellError":
        """From an error answer of either face of the server."""
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            error = cls.of_object(answer["error"])
        elif isinstance(answer, dict) and "errorDetail" in answer:
            error = cls(str(answer.get("errorType", "error")), str(answer["errorDetail"]))
        else:
            error = cls("error", f"the server answered {status}")
        error.status = status
        error.retry_after = _seconds(retry_after)
        return error


def _seconds(text: Optional[str]) -> Optional[float]:
    """A `Retry-After` of seconds; a date counts as none."""
    try:
        return None if text is None else max(float(text), 0.0)
    except ValueError:
        return None
