"""The simulated users' true taste: what a good answer is to them, before strictness and noise.

Fixed before any model was trained. Training never imports this module; evaluation reports it as gold (`RLHF_GOLD`).
People who ask about money and work like an answer that names practical things, speaks of what they asked, comes in a
few numbered steps, goes easy on filler, does not repeat itself and is finished.
"""

import re

from rlhf_assets.feedback.steps import split_steps

PRACTICAL = (
    "job", "wage", "salar", "cost", "price", "saving", "bill", "grant", "loan", "rebate", "tax", "credit", "train",
    "course", "apprentic", "certif", "hire", "employ", "appl", "fund", "income", "local", "communit", "union",
    "permit", "insur", "payback", "invest", "afford", "worker", "budget", "contract", "utility", "program", "compan",
)  # fmt: skip
FILLER = (
    "important", "crucial", "significant", "various", "overall", "essential", "ensure", "complex", "potential",
    "however", "additionally", "furthermore", "promot", "enhanc",
)  # fmt: skip
STOPWORDS = (
    "about above after again also another because before being between both cannot could does doing down during each "
    "elsewhere explain from good have having here into just know like live lives mean means might more most much must "
    "never only other over really same shall should some start still such tell than that their them then there these "
    "they this those through under until very want well were what when where which while will with would your"
)
STEM = 5  # leading letters that make two words the same
NUMBERED = re.compile(r"^\s*\d{1,2}[.)]", re.MULTILINE)


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def practical(words: list[str], enough: int) -> float:
    """Share of `enough` different practical things that the words name."""
    named = {stem for stem in PRACTICAL for word in words if word.startswith(stem)}
    return min(len(named) / enough, 1.0)


def on_topic(query: str, words: list[str]) -> float:
    """Share of the question's content words that come back."""
    stopwords = STOPWORDS.split()
    asked = {w[:STEM] for w in words_of(query) if len(w) > 3 and w not in stopwords}
    return len(asked & {w[:STEM] for w in words}) / len(asked) if asked else 0.0


def plain(words: list[str]) -> float:
    """1 without filler, 0 with three filler words or more."""
    return max(0.0, 1 - sum(w.startswith(FILLER) for w in words) / 3)


def fresh(words: list[str]) -> float:
    """1 when no three words in a row come twice, 0 when half of them do."""
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return max(0.0, 2 * len(set(trigrams)) / len(trigrams) - 1) if trigrams else 0.0


def stepwise(response: str) -> float:
    """1 for two to four numbered steps, 0.4 for another number of them, 0 for none."""
    steps = len(split_steps(response)) if NUMBERED.search(response) else 0
    return 1.0 if 2 <= steps <= 4 else 0.4 if steps else 0.0


def finished(response: str) -> float:
    return float(response.rstrip().endswith((".", "!", "?")))


def taste(query: str, response: str) -> float:
    """How much the average user likes `response` as an answer to `query`, in [0, 1]."""
    words = words_of(response)
    if not words:
        return 0.0
    return (
        0.35 * practical(words, enough=6)
        + 0.20 * on_topic(query, words)
        + 0.20 * stepwise(response)
        + 0.10 * plain(words)
        + 0.10 * fresh(words)
        + 0.05 * finished(response)
    )


def step_taste(query: str, step: str) -> float:
    """How much the average user likes one reasoning step, in [0, 1]."""
    words = words_of(step)
    if not words:
        return 0.0
    return (
        0.45 * practical(words, enough=3)
        + 0.25 * on_topic(query, words)
        + 0.15 * plain(words)
        + 0.10 * fresh(words)
        + 0.05 * finished(step)
    )
