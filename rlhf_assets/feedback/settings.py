"""Every knob of the data side, with its unit and the reason for its default."""

from typing import Literal

from pydantic import Field

from rlhf_assets.settings import Settings

LOOKBACK_WEEKS = 4  # how far back a cleaning rule may look: a month of a person's habits, read again for every week


class CleaningSettings(Settings):
    """What a vote must be to reach training."""

    minimum_characters: int = Field(
        12, description='Characters an answer needs; below, there is nothing to judge ("Yes.", "I see.").', ge=1
    )
    one_button_votes: int = Field(
        40,
        description="Votes of one and the same rating, within a week and its look-back, from which a person is taken "
        "to click without reading; few readers rate this often.",
        ge=2,
    )
    one_button_share: float = Field(
        0.9,
        description="Share of a person's votes that one rating must hold for that; a reader sometimes differs.",
        gt=0.5,
        le=1,
    )
    maximum_characters: int = Field(
        20_000,
        description="Characters a question or an answer may have; nobody reads and rates more than ten printed pages.",
        ge=1,
    )
    replaced_share: float = Field(
        0.02,
        description="Share of a text's characters that may be U+FFFD, which stands for bytes that could not be "
        "decoded; a streamed answer loses one now and then, a wrongly decoded one many.",
        ge=0,
        le=1,
    )
    printable_share: float = Field(
        0.5,
        description="Share of a text's characters that must be printable; joined emoji and right-to-left text hold "
        "invisible ones, but fewer than visible ones.",
        ge=0,
        le=1,
    )
    clock_skew_minutes: float = Field(
        10,
        description="Minutes that two machines' clocks may differ: a vote dated further after the extraction that read "
        "it, or further before its own answer, has an impossible date.",
        ge=0,
    )
    fast_answers: int = Field(
        10,
        description="Different answers that one person votes on within `fast_seconds`, from which it is a script: "
        "nobody reads ten answers in ten seconds.",
        ge=2,
    )
    fast_seconds: float = Field(
        10, description="Seconds for that; one answer of 400 characters takes about twenty to read.", gt=0
    )
    brigade_accounts: int = Field(
        10,
        description="Fresh accounts that give one answer text to one query the same rating within `brigade_minutes`, "
        "from which it is arranged; strangers seldom meet the same text, and then over days.",
        ge=2,
    )
    brigade_minutes: float = Field(60, description="Minutes for that; a call to vote is followed at once.", gt=0)
    fresh_hours: float = Field(
        24,
        description="Hours after its first vote, within the week and its look-back, for which an account is fresh: "
        "accounts made for a purpose serve it on their first day.",
        gt=0,
    )
    personal_data: Literal["redact", "quarantine", "keep"] = Field(
        "redact",
        description="What becomes of e-mail addresses, phone and card numbers in a clean vote's texts: replaced by "
        "<EMAIL>, <PHONE>, <CARD>, which keeps the vote; the whole vote refused, unless they stand in the system "
        "prompt alone, which is the operator's own and has them replaced; or left as they are. Raw and quarantined "
        "votes keep the texts of the database.",
    )
    phone_regions: list[str] = Field(
        ["US"],
        description="Countries (ISO codes) whose own way to write phone numbers is known; numbers with + are known "
        "everywhere. Each further one takes more plain numbers for phones.",
    )


class SplitSettings(Settings):
    """Who trains and who tests. Changing any but the last moves rows between the sides, so keep them for good."""

    validation_share: float = Field(
        0.1, description="Share of the query clusters that choose the best checkpoint.", ge=0, lt=1
    )
    test_share: float = Field(
        0.2,
        description="Share of the query clusters nothing is trained on; wide enough for useful intervals.",
        ge=0,
        lt=1,
    )
    judge_share: float = Field(
        0.2, description="Share of the users whose votes train only the judge, which gates promotion.", ge=0, lt=1
    )
    near_duplicate: float = Field(
        0.7,
        description="Jaccard similarity of word and word-trigram sets from which two queries count as the same; one "
        "changed word in a sentence of ten scores about 0.6.",
        gt=0,
        le=1,
    )
    salt: str = Field("rlhf", description="Mixed into the hashes that choose sides; another salt is another split.")
    answers_per_state: int = Field(
        16,
        description="Answers to one query in one state of a chat that are paired with each other, those with most "
        "ratings first; 16 make at most 120 pairs, so that one query asked by thousands does not drown the others.",
        ge=2,
    )


class SignalSettings(Settings):
    """How much must be new before a week gets models of its own."""

    minimum_new_votes: int = Field(
        100,
        description="Training votes, the judge's included, that are new or changed since the last models, below which "
        "a week trains none. By the demo's ratings, which scatter by 0.38, so many show a difference in mean score of "
        "0.11 (0.4 points of 1 to 5), about the error that a reward model may have; 30 show one of 0.19 at best, and "
        "what they change nobody would see. 0 trains every week.",
        ge=0,
    )


class AuditSettings(Settings):
    """From where on the audit warns."""

    quarantine_share: float = Field(
        0.3,
        description="Share of a week's votes in quarantine above which a person should look at the reasons.",
        ge=0,
        le=1,
    )
    minimum_votes: int = Field(
        100,
        description="Votes, or answers of the assistant, that a comparison needs on either side; of fewer, a share is "
        "unsure by ten points and more, and a warning would be noise.",
        ge=1,
    )
    balance_change: float = Field(
        0.1,
        description="How far the share of positive votes may lie from that of the look-back before it is worth a look, "
        "if it is also more than chance.",
        ge=0,
        le=1,
    )
    shifted: float = Field(
        0.1, description="Population stability index from which a distribution has shifted, by convention.", ge=0
    )
    shifted_a_lot: float = Field(0.25, description="The same from which it has shifted a lot, by convention.", ge=0)
    drift_p: float = Field(
        0.01,
        description="How rarely such an index may come about by chance before it counts; with eight looked at a week, "
        "0.01 is a false alarm in three months at the most, and the index must be passed too.",
        gt=0,
        le=1,
    )
    unheard: float = Field(
        0.5,
        description="Share of a segment's answers that are rated, as part of everybody's, below which the models do "
        "not hear it; the same for this week against the look-back.",
        ge=0,
        le=1,
    )
    agreement: float = Field(
        0.1,
        description="Krippendorff's alpha, or correlation of two kinds of rating, which surely lies below this, is "
        "little better than chance (0); good raters of free text reach 0.3 to 0.6.",
        ge=-1,
        le=1,
    )
    length_correlation: float = Field(
        0.3,
        description="Spearman correlation of answer length with score, either way, which surely lies beyond this, "
        "lets a model learn length in place of quality.",
        ge=0,
        le=1,
    )
    suspected_share: float = Field(
        0.05,
        description="Share of a week's raw votes from suspected raters, or of its clean ones from a single person, "
        "above which somebody may be steering the models.",
        ge=0,
        le=1,
    )
