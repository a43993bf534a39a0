"""Tokens say where their server is."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Mapping

from .errors import TokenError


def decode(token: str) -> Mapping[str, Any]:
    """What a group or channel token says about itself."""
    try:
        content = json.loads(base64.b64decode(token.strip(), validate=True))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise TokenError("the token does not say where its server is: give server=") from error
    if not isinstance(content, dict) or not isinstance(content.get("token"), str):
        raise TokenError("the token does not say where its server is: give server=")
    return content


def server_of(token: str) -> str:
    """The base URL in a token: plain HTTP if it has a port for it, else HTTPS."""
    content = decode(token)
    host = content.get("api")
    if not host:
        raise TokenError("the token does not say where its server is: give server=")
    prefix = str(content.get("path") or "").strip("/")
    if content.get("api_p"):
        base = f"http://{host}:{content['api_p']}"
    elif content.get("api_sp"):
        base = f"https://{host}:{content['api_sp']}"
    else:
        base = f"https://{host}"
    return f"{base}/{prefix}" if prefix else base
