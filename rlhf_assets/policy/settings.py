"""Every knob of the policy's training, evaluation and promotion; importable without torch."""

from pydantic import Field

from rlhf_assets.settings import Settings


class SamplingSettings(Settings):
    """How replies are drawn: always from the whole distribution (top_k 0, top_p 1)."""

    max_new_tokens: int = Field(64, description="Tokens of a reply at most, its stop token included.", gt=0)
    temperature: float = Field(1.0, description="Divides the logits; the distribution of 1 is what learns.", gt=0)
    max_prompt_tokens: int = Field(
        512, description="Tokens of a prompt at most; the oldest turns go first, the query stays.", gt=0
    )
    batch_size: int = Field(64, description="Prompts that are answered side by side; bounds the cache's memory.", gt=0)


class SftSettings(Settings):
    """Supervised fine-tuning on well-rated answers."""

    base_model: str = Field(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        description="Folder or hub name of the model that SFT starts from.",
    )
    minimum_score: float = Field(0.75, description="Answers rated at least this well are learned from.", ge=0, le=1)
    minimum_rows: int = Field(30, description="With fewer good answers SFT is refused.", gt=0)
    maximum_rows: int = Field(320, description="The best-rated answers are kept; bounds the time on a CPU.", gt=0)
    epochs: float = Field(1.0, description="Passes over the answers; more than two memorise them.", gt=0)
    learning_rate: float = Field(
        5e-5, description="Peak; cosine to zero. High, for a few steps; LoRA usually takes ten times as much.", gt=0
    )
    batch_size: int = Field(8, description="Answers to one optimizer step; 16 take 8 GB of memory.", gt=0)
    warmup_share: float = Field(0.05, description="Share of the steps in which the rate rises from zero.", ge=0, lt=1)
    max_length: int = Field(512, description="Tokens of prompt and answer together at most.", gt=8)
    lora_rank: int | None = Field(
        None, description="Rank of a LoRA adapter, merged when saved; null trains all weights.", gt=0
    )
    seed: int = Field(0, description="Orders the answers and initialises the adapter.", ge=0)


class PpoSettings(SamplingSettings):
    """Proximal policy optimisation against a reward read from text."""

    updates: int = Field(7, description="Rounds of rollout and learning; as many as the demo has time for.", gt=0)
    prompts_per_update: int = Field(64, description="Prompts answered in a round, one reply each.", gt=1)
    epochs: int = Field(2, description="Passes over a round's replies.", gt=0)
    minibatches: int = Field(2, description="Optimizer steps to a pass.", gt=0)
    micro_batch_size: int = Field(4, description="Rows in one backward pass; memory only, never the result.", gt=0)
    lora_rank: int | None = Field(
        None,
        description="Rank of a LoRA adapter, merged when saved; null trains all weights, faster on a CPU.",
        gt=0,
    )
    learning_rate: float = Field(
        6e-5,
        description="At the start; falls linearly to 0. LoRA wants about 2e-4. On SmolLM2 the first round's token "
        "ratios scatter by 6 at 6e-5, which the clip still bears, and by 13 at 8e-5, with nothing earned by it.",
        gt=0,
    )
    adam_epsilon: float = Field(1e-5, description="Adam's epsilon; 1e-8 takes wild steps early in PPO.", gt=0)
    max_grad_norm: float = Field(1.0, description="Global gradient norm of policy and of value, each.", gt=0)
    ratio_clip: float = Field(0.2, description="Clip range of the probability ratio.", gt=0)
    value_clip: float = Field(0.2, description="Clip range of the value around its old estimate.", gt=0)
    value_coefficient: float = Field(
        0.1,
        description="Weight of the value loss beside the policy's; without value_shapes_trunk only the head's own "
        "gradient has it, which Adam scales anyway.",
        ge=0,
    )
    value_learning_rate: float = Field(1e-3, description="Of the value head, a single layer.", gt=0)
    value_shapes_trunk: bool = Field(
        False,
        description="Let the value loss move the policy's trunk too; off, since few updates only disturb it.",
    )
    value_shrinkage: float = Field(
        3.0,
        description="Ridge of the value head's fit to the replies of the warm-up and of each round that ends, in units "
        "of the mean hidden states' variance; fitted to 128 replies of a small policy, 0.1 explained 0.24 of others' "
        "rewards, 1 to 3 explained 0.29, 30 only 0.17.",
        gt=0,
    )
    discount: float = Field(1.0, description="GAE's gamma; a reply's reward comes once, at its end.", gt=0, le=1)
    gae_lambda: float = Field(0.95, description="GAE's lambda: 1 is unbiased, less trusts the value more.", ge=0, le=1)
    whiten_advantages: bool = Field(True, description="Mean 0 and variance 1 over a round's response tokens.")
    whiten_rewards: bool = Field(False, description="Variance 1 over a round's token rewards, their mean kept.")
    kl_coefficient: float = Field(0.05, description="Price of a nat of KL to the SFT policy, in reward units.", ge=0)
    kl_target: float | None = Field(
        None, description="Nats a reply to steer the coefficient to (Ziegler 2019); null keeps it fixed.", gt=0
    )
    kl_horizon: int = Field(2_000, description="Replies in which an adaptive coefficient answers.", gt=0)
    calibration_prompts: int = Field(
        128, description="Reference replies that centre and scale the reward and warm the value head up.", gt=1
    )
    reward_clip: float = Field(5.0, description="Scaled scores are clipped to +- this many deviations.", gt=0)
    running_scale: bool = Field(True, description="Divide by the running deviation of all scores seen, not the first.")
    missing_stop_penalty: float = Field(
        0.3, description="Deviations taken from a reply that never stopped; at 1 short replies drown all else.", ge=0
    )
    overlong_tokens: int = Field(
        8, description="A reply within this many tokens of the limit pays, rising to the full penalty.", ge=0
    )
    overlong_penalty: float = Field(
        0.0, description="Deviations taken from a reply of full length; off, a missing stop is priced already.", ge=0
    )
    update_kl_limit: float = Field(
        0.2, description="Nats a token from a round's first policy at which its learning stops early.", gt=0
    )
    update_ratio_limit: float = Field(
        5.0,
        description="Mean ratio at which a round's learning stops early; a mean ratio R means R - 1 - log R nats at "
        "least, so the limit above acts first unless it is raised.",
        gt=1,
    )
    collapse_kl: float = Field(200.0, description="Nats a reply from the SFT policy that count as a collapse.", gt=0)
    step_share: float = Field(
        0.0,
        description="Part of the reward that comes from the reward model's scores of single steps, each paid, where it "
        "ends, by how much it moves the mean of its reply's steps; the rest is the whole answer's. 0, since people "
        "and the gate judge whole answers: a half cost a small policy's 0.065 of true taste, and gave its steps 0.085.",
        ge=0,
        lt=1,
    )
    choice_updates: int = Field(
        4, description="Rounds from one look of the judge to the next; it also looks at the last one.", gt=0
    )
    choice_prompts: int = Field(
        64, description="Validation prompts on which the judge chooses the round that is kept.", gt=1
    )
    checkpoint_updates: int = Field(
        2, description="Rounds between two checkpoints; one takes four times the policy's weights on disk.", gt=0
    )
    seed: int = Field(0, description="Draws prompts, replies, order and the value head.", ge=0)


class EvaluationSettings(SamplingSettings):
    """Comparison of policies on prompts that nothing was trained on."""

    prompts: int = Field(160, description="Held-out prompts at most; each policy answers all of them.", gt=1)
    best_of: int = Field(
        4,
        description="Replies of the SFT policy to a prompt, of which the reward model's favourite is compared too, for "
        "it shows what the reward is worth without training; each further one takes the time of one policy's answers.",
        gt=1,
    )
    micro_batch_size: int = Field(16, description="Rows in one forward pass for the KL.", gt=0)
    seed: int = Field(0, description="Chooses the prompts, draws the replies, resamples the intervals.", ge=0)


class GateSettings(Settings):
    """What a policy must show before it is promoted. Bounds on rises are what chance does not do on so many prompts."""

    approval: bool = Field(
        False,
        description="A policy that passes is not used before a person says so, with `rlhf promote`; off, since the "
        "loop is to close by itself and `rlhf demote` undoes it.",
    )
    minimum_prompts: int = Field(
        150, description="Held-out prompts it must be compared on; a few wins in a row are luck.", gt=0
    )
    win_rate: float = Field(
        0.5,
        description="The judge's interval over the incumbent must lie above this, as it is and at equal length.",
        ge=0,
        le=1,
    )
    minimum_kind_prompts: int = Field(
        20, description="Prompts of a kind from which on it must not surely lose on that kind.", gt=0
    )
    kl_budget: float = Field(40.0, description="Nats a reply from the SFT policy at most.", gt=0)
    length_factor: float = Field(
        2.0,
        description="Mean tokens a reply are at most so many times the SFT policy's, and at least such a part: people "
        "learn to expect a length, and a reward is often tricked by it.",
        gt=1,
    )
    repetition_rise: float = Field(
        0.05, description="Share of repeated trigrams above the SFT policy's; a loop raises it by much more.", ge=0
    )
    stop_rate_loss: float = Field(
        0.1, description="Share of replies that end by themselves below the SFT policy's; twice its error.", ge=0
    )
    faulty_rise: float = Field(
        0.05, description="Share of faulty texts above the SFT policy's; twice the error of such a rare share.", ge=0
    )
    perplexity_factor: float = Field(
        1.25, description="Perplexity of plain text at most so many times the SFT policy's.", ge=1
    )
    questions_loss: float = Field(
        0.1,
        description="Share of plain questions right below the SFT policy's: three of 32, since some are close calls.",
        ge=0,
    )
