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


def mend_tls(text: str) -> str | None:
    """What to write in the URL, where `text` says that TLS was refused; else None."""
    return next((advice for said, advice in ADVICE.items() if re.search(rf"\b{said}\b", text)), None)


def sure_of_tls(parts: Mapping[str, Any]) -> bool:
    """Whether a URL with these parts leads to this machine, or nowhere without TLS."""
    host = parts.get("host") or ""
    mode = parts.get("sslmode") or os.environ.get("PGSSLMODE")
    return not host or host.startswith("/") or host in HERE or mode in SURE
