"""Slack's Web API: one call at a time, in a thread, with errors that say what to do about them."""

import asyncio
import http.client
import math
import re
from collections.abc import Mapping
from typing import cast

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from corral.errors import CorralError

#: The token is not, or no longer, one that may do this.
_AUTH = frozenset(
    "access_denied account_inactive ekm_access_denied enterprise_is_restricted invalid_auth missing_scope "
    "no_permission not_allowed_token_type not_authed org_login_required team_access_not_granted token_expired "
    "token_revoked".split()
)
_BUSY = frozenset({"ratelimited", "rate_limited"})
_PASSING = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
_CODE = re.compile(r"[a-z0-9_]{1,60}")
#: Without a header to say it: the windows of Slack's limits are a minute long.
_PAUSE = 60.0
_LONGEST_PAUSE = 3_600.0


class SlackError(CorralError):
    """Slack did not answer, or had a problem of its own: another attempt may help. `code` is what it called it."""

    def __init__(self, message: str, *, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class SlackBusyError(SlackError):
    """Too many requests. `after` is in seconds."""

    def __init__(self, message: str, *, after: float) -> None:
        self.after = after
        super().__init__(message, code="ratelimited")


class SlackAuthError(SlackError):
    """The token is not accepted, or lacks a scope."""


class SlackRefusedError(SlackError):
    """Slack will not do it, however often it is asked."""


class SlackApi:
    """The API as one workspace's token sees it."""

    def __init__(self, token: SecretStr, *, url: str = "https://slack.com/api/", timeout: float = 20.0) -> None:
        # No retries inside: the job's own attempts are visible, and they give the thread back in between.
        self._client = WebClient(token.get_secret_value(), base_url=url, timeout=math.ceil(timeout), retry_handlers=[])

    async def call(self, method: str, **parameters: object) -> Mapping[str, object]:
        """Call a method, such as `users.list`, and give its answer. Parameters that are None are left out.

        Raises:
            SlackBusyError, SlackAuthError, SlackRefusedError; SlackError when another attempt may help.
        """
        return await asyncio.to_thread(self._call, method, {k: v for k, v in parameters.items() if v is not None})

    def _call(self, method: str, parameters: dict[str, object]) -> Mapping[str, object]:
        try:
            nested = any(isinstance(value, list | dict) for value in parameters.values())
            # Only methods that write take JSON; every method takes a form.
            if nested:
                answer = self._client.api_call(method, json=parameters)
            else:
                answer = self._client.api_call(method, params=parameters)
        except SlackApiError as error:
            raise _told(method, error) from None
        except (SlackClientError, http.client.HTTPException, OSError, ValueError) as error:
            # A ValueError is an answer that is no JSON. The text of the others holds no token, the request would.
            raise SlackError(f"{method} failed: {str(error)[:200] or type(error).__name__}") from None
        data = answer.data
        if not isinstance(data, dict):
            raise SlackError(f"{method} did not answer with JSON")
        return cast(Mapping[str, object], data)


def _told(method: str, error: SlackApiError) -> SlackError:
    response = error.response
    status = getattr(response, "status_code", None) or response.get("status") or 0
    body = response.get("error")
    code = body if isinstance(body, str) and _CODE.fullmatch(body) else ""  # else it is what came instead of JSON
    text = f"{method} answered {status} {code}".rstrip()
    if status == 429 or code in _BUSY:
        return SlackBusyError(text, after=_pause(getattr(response, "headers", {})))
    if code in _AUTH or status in (401, 403):
        needed = response.get("needed")
        return SlackAuthError(f"{text} (needs {needed})" if isinstance(needed, str) else text, code=code)
    if code in _PASSING or status >= 500 or not code:
        return SlackError(text, code=code)
    return SlackRefusedError(text, code=code)


def _pause(headers: object) -> float:
    found = headers.get("Retry-After", headers.get("retry-after")) if isinstance(headers, Mapping) else None
    try:
        seconds = float(str(found))
    except ValueError:
        return _PAUSE
    return min(max(seconds, 1.0), _LONGEST_PAUSE) if math.isfinite(seconds) else _PAUSE
