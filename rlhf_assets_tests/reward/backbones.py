"""Tiny models (32 wide, two layers, random weights) of the architectures that people start a reward model from."""

from pathlib import Path

from tokenizers import processors
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    RobertaConfig,
    RobertaModel,
)

from rlhf_assets_tests.tiny_models import byte_level_tokenizer, save, tiny_encoder

DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}


def distilbert(folder: Path) -> Path:
    """512 positions; its forward takes no token types."""
    tokenizer = word_pieces(folder)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2, hidden_dim=64, initializer_range=0.1
    )
    return save(DistilBertModel, config, tokenizer, folder, 0)


def modern_bert(folder: Path) -> Path:
    """4,096 rotary positions, no token types, layers of local attention."""
    tokenizer = word_pieces(folder)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=0.1,
    )
    return save(ModernBertModel, config, tokenizer, folder, 0)


def roberta(folder: Path) -> Path:
    """514 positions of which 512 serve, PAD is 1, two separators between segments; its tokenizer knows no limit."""
    tokenizer = byte_level_tokenizer(["<s>", "<pad>", "</s>"])
    tokenizer.backend_tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = {"pad_token": "<pad>", "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    tokenizer.add_special_tokens(special)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.1,
    )
    return save(RobertaModel, config, tokenizer, folder, 0)


def llama(folder: Path) -> Path:
    """4,096 positions; begins with BOS, ends with EOS, has no PAD, and pads on the left."""
    tokenizer = byte_level_tokenizer(["<s>", "</s>"])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.padding_side = "left"
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        intermediate_size=64,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.1,
        **DECODER,
    )
    return save(LlamaForCausalLM, config, tokenizer, folder, 0)


def qwen2(folder: Path) -> Path:
    """4,096 positions; no BOS, PAD other than EOS, pads on the left."""
    tokenizer = byte_level_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_special_tokens({"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"})
    tokenizer.padding_side = "left"
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        intermediate_size=64,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.1,
        **DECODER,
    )
    return save(Qwen2ForCausalLM, config, tokenizer, folder, 0)


def word_pieces(folder: Path) -> PreTrainedTokenizerFast:
    """A BERT's tokenizer without token types or a limit of its own."""
    return AutoTokenizer.from_pretrained(
        tiny_encoder(folder), model_input_names=["input_ids", "attention_mask"], model_max_length=10**30
    )
