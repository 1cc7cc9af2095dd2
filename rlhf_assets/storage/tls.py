"""Whether a connection to a database is encrypted, and to whom: what libpq's modes do, and how to mend a refusal.

`sslmode` stands in the URL. Unset it is `prefer`: TLS where the server offers it, which somebody on the way can
prevent. `require` is TLS or nothing, with anybody; `verify-full`, with the CA's certificate in `sslrootcert`, TLS with
that host alone.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

SURE = ("require", "verify-ca", "verify-full")
HERE = ("localhost", "127.0.0.1", "::1")

ADVICE = {
    "server does not support SSL": "the server takes no TLS: turn it on there, or, on a network of your own alone, "
    "write sslmode=disable",
    "no encryption": "the server takes TLS alone: write sslmode=require",
    "certificate verify failed": "the server's certificate is not of the CA in sslrootcert: name the CA's certificate "
    "there (Supabase: dashboard > Database > Settings), or find out who answers",
    "root certificate file": "name the file of the CA's certificate in sslrootcert (Supabase: dashboard > Database > "
    "Settings)",
    "does not match host name": "the certificate is of another host: write the host as the certificate has it, or find "
    "out who answers",
    "invalid sslmode value": "sslmode is one of disable, prefer, require, verify-ca and verify-full: write one of them",
}


def mend_tls(text: str, parts: Mapping[str, Any]) -> str | None:
    """What to write in a URL with these parts, where `text` says that TLS was refused, or a connection without; else
    None. Where TLS was tried first, a refusal without it tells of the user or the address, not of TLS.
    """
    tried = mode_of(parts) not in ("disable", "allow")
    told = (advice for said, advice in ADVICE.items() if re.search(rf"\b{said}\b", text))
    return next((advice for advice in told if not (tried and advice == ADVICE["no encryption"])), None)


def sure_of_tls(parts: Mapping[str, Any]) -> bool:
    """Whether a URL with these parts leads to this machine, or nowhere without TLS."""
    host = parts.get("host") or ""
    return not host or host.startswith("/") or host in HERE or mode_of(parts) in SURE


def mode_of(parts: Mapping[str, Any]) -> str:
    return str(parts.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer")
