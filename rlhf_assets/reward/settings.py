"""Every knob of reward-model training."""

from pydantic import Field

from rlhf_assets.settings import Settings


class RewardSettings(Settings):
    """How a reward model (or the judge, which is one) is trained."""

    base_model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Hub id or folder of the encoder or decoder to start from; 22 million weights train in minutes on "
        "a CPU and know sentence meaning already.",
    )
    model_path: str | None = Field(
        None, description="Folder of an earlier reward model to continue from, instead of the base model."
    )
    depth: float = Field(
        0.67,
        gt=0,
        le=1,
        description="Share of a BERT encoder's layers (all but one at most) that read before the mean of all "
        "tokens is taken; later ones have forgotten the wording (see reward/pooling.py). Other architectures are taken "
        "whole and pool as they do.",
    )
    epochs: int = Field(5, ge=0, description="Passes over the training votes; the best by validation is kept.")
    learning_rate: float = Field(
        2e-4, gt=0, description="Peak of AdamW's rate; suits small encoders, 2e-5 suits those of 100 million weights."
    )
    layer_decay: float = Field(
        0.8, gt=0, le=1, description="Share of the rate of the layer above at which a layer learns; see optimizer.py."
    )
    batch_size: int = Field(16, gt=0, description="Texts a step; 32 learned less from few thousand votes.")
    score_weight: float = Field(
        1.0, ge=0, description="What a 1-5 score counts, by its squared error; the unit of the other weights."
    )
    thumb_weight: float = Field(
        0.1,
        ge=0,
        description="What a thumb without score counts, by its cross-entropy, whose slope is about three times a "
        "score's: a third of one, for it says less. Without thumbs the order of answers lost 0.03 of Spearman, that of "
        "steps 0.04 (benchmarks/reward_signals.py).",
    )
    pair_weight: float = Field(
        0.0,
        ge=0,
        description="What all pairs of rated answers to one question count together, by Bradley-Terry. Off: with 0.1 "
        "the order of steps lost 0.025 (0.006 to 0.044) of Spearman and as much of the pairs came out wrong, by the "
        "same ratings (benchmarks/reward_signals.py). Worth a trial where most questions have several answers.",
    )
    step_weight: float = Field(
        1.0,
        ge=0,
        description="What a vote on a step counts beside one on an answer. Without steps their order lost 0.32 of "
        "Spearman, and that of answers gained nothing (benchmarks/reward_signals.py).",
    )
    maximum_inverse_propensity: float = Field(
        1.0,
        ge=1,
        description="How many times more, or less, a vote may count because answers such as this one, by segment and "
        "length, are seldom, or often, rated at all; 3 tames what few votes would cost in noise. 1 is off: it earns "
        "only where people rate their own chats and the silent would have said something else.",
    )
    max_length: int = Field(
        512, ge=16, description="Tokens of question and answer together; cut to what the model can take."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of matrices; biases and norms have none.")
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="Share of all steps in which the rate rises; it falls linearly to 0 in the rest."
    )
    seed: int = Field(0, ge=0, description="Seed of the head's weights and the order of batches.")
    checkpoint_steps: int = Field(
        100,
        gt=0,
        description="Steps between two checkpoints, a quarter of a minute on a CPU; writing one, which is five times "
        "the weights that learn, takes half a second.",
    )
    minimum_rows: int = Field(30, gt=0, description="Training votes below which no model is trained at all.")
    minimum_test_questions: int = Field(
        20, gt=0, description="Questions among the test votes below which no model is accepted: fewer prove nothing."
    )
    maximum_calibration_error: float = Field(
        0.1,
        gt=0,
        description="Expected calibration error, in scores of 0 to 1, which a model must not surely exceed: 0.1 is 0.4 "
        "points of 1 to 5, half of what moves a person to another button.",
    )
    maximum_length_excess: float = Field(
        0.3,
        gt=0,
        description="How far the score's Spearman correlation with answer length must not surely lie from the ratings' "
        "own, either way. Noise in ratings halves their correlation, so an honest model shows up to 0.2 more.",
    )
