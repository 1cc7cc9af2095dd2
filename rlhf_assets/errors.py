"""The one error a person may see: what is wrong and how to mend it, on one line, without secrets."""


class RlhfError(Exception):
    """Something a person can mend; the command line prints it alone and exits 1."""
