"""A disk without room, whoever found out."""

import errno
import re

from rlhf_assets.errors import RlhfError, first_line

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # on the disk, for this user, for a file of this size


def full_disk(error: Exception) -> RlhfError | None:
    """What to do about it, if the error is of a disk that is full; safetensors' writer gives the number as text."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    if getattr(error, "errno", None) not in NO_ROOM and not (told and int(told[1]) in NO_ROOM):
        return None
    return RlhfError(
        f"the disk is full ({first_line(error)}); free some space, `rlhf gc` may help, and start it again: nothing "
        "half-written is left"
    )
