"""A stock class made to read the mean of all tokens."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from rlhf_assets.reward.pooling import LINEAR, SHARE, with_mean_pooling

TEXTS = ["Short.", "A rather longer text about solar panels and what they cost the town, I am told."]


def test_the_head_reads_the_mean_of_the_kept_layers(encoder: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1).eval()
    base = AutoModel.from_pretrained(encoder).eval()
    with_mean_pooling(model, depth=0.5)
    kept = model.config.num_hidden_layers - 1
    assert 1 <= kept < base.config.num_hidden_layers
    batch = AutoTokenizer.from_pretrained(encoder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        read = base(**batch, output_hidden_states=True).hidden_states[kept]
        mask = batch["attention_mask"][..., None]
        mean = (read * mask).sum(1) / mask.sum(1)
        norm = torch.nn.functional.layer_norm
        pooled = norm(read[:, 0] + SHARE * mean, mean.shape[1:])
        expected = model.classifier(torch.tanh(LINEAR * norm(pooled, mean.shape[1:])))
        torch.testing.assert_close(model(**batch).logits, expected, atol=1e-4, rtol=1e-4)
        model.save_pretrained(tmp_path)
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(again(**batch).logits, expected, atol=1e-4, rtol=1e-4)
