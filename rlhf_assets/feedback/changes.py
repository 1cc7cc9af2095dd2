"""What an app did to its votes between two extractions of one week."""

import pandas as pd


def changes(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, int]:
    """How many votes were added, removed or changed, told apart by `vote_id`; {added, removed, changed}.

    A vote is changed when any column that both extractions have differs: another rating, but also an edited answer.
    """
    before, after = earlier.set_index("vote_id"), later.set_index("vote_id")
    both = after.index.intersection(before.index)
    columns = [name for name in after.columns if name in before.columns]
    then, now = before.loc[both, columns], after.loc[both, columns]
    differs = (then != now) & ~(then.isna() & now.isna())
    return {
        "added": len(after) - len(both),
        "removed": len(before) - len(both),
        "changed": int(differs.any(axis=1).sum()),
    }
