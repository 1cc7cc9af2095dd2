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
    epochs: int = Field(4, gt=0, description="Passes over the training votes; the best by validation is kept.")
    learning_rate: float = Field(
        2e-4, gt=0, description="Peak of AdamW's rate; suits small encoders, 2e-5 suits those of 100 million weights."
    )
    batch_size: int = Field(16, gt=0, description="Texts a step; 32 learned less from few thousand votes.")
    thumb_weight: float = Field(
        0.4,
        gt=0,
        description="What a thumb counts beside a 1-5 score: people who give "
        "thumbs to one text differ by a variance of 0.10, those who give scores by 0.04 (demo).",
    )
    max_length: int = Field(
        256, ge=16, description="Tokens of question and answer together; cut to what the model can take."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of matrices; biases and norms have none.")
    warmup_share: float = Field(
        0.1, ge=0, lt=1, description="Share of all steps in which the rate rises; it falls linearly to 0 in the rest."
    )
    seed: int = Field(0, ge=0, description="Seed of the head's weights and the order of batches.")
    minimum_rows: int = Field(30, gt=0, description="Training votes below which no model is trained at all.")
    minimum_test_questions: int = Field(
        20, gt=0, description="Questions among the test votes below which no model is accepted: fewer prove nothing."
    )
