"""Every model's training as one row of `rlhf_training_runs`. Knows nothing of Dagster."""
