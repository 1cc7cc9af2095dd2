"""A line to whoever is on duty, by a webhook as chat services offer them."""

import http.client
import json
import urllib.error
import urllib.request

from rlhf_assets.errors import RlhfError

WEBHOOK = "RLHF_ALERT_WEBHOOK"
SECONDS = 10  # to answer; the next tick tries again


def post(url: str, text: str) -> None:
    """POST `{"text": text}` as JSON. Raises RlhfError, without the URL, which is a secret, unless it was taken."""
    try:
        if not url.startswith(("https://", "http://")):
            raise ValueError("no http URL")
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        raise RlhfError(f"the webhook answered {error.code}; correct {WEBHOOK}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # the last quotes an odd URL
        why = getattr(error, "reason", "") if isinstance(error, urllib.error.URLError) else "it is no http URL"
        raise RlhfError(f"the webhook cannot be reached ({why}); correct {WEBHOOK}") from None
