"""Real but tiny, randomly initialised models on disk, built in a second, loadable with stock transformers.

`tiny_encoder` (BERT) serves the reward model; `tiny_llama` and `tiny_gpt2` serve the policy and, as decoders, the
reward model too. Weights depend on the seed alone.
"""

import re
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from tokenizers.normalizers import BertNormalizer
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

TEXTS = (
    "How do I find a job in solar energy? What pays best for an electrician near me?",
    "1. Ask your utility for a free energy audit.\n2. Apply for the state rebate before you buy.",
    "3. Hire a certified local installer. Compare three offers and check each one's references.",
    "good bad great poor useful useless clear vague answer with numbers and sources",
    "You advise people on work and money in the climate economy. Wind, heat pumps, batteries, grants and training.",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_encoder(folder: Path, seed: int = 0, layers: int = 2, max_length: int = 128) -> Path:
    """A BERT encoder (32 wide) without a head, as all-MiniLM-L6-v2 is, and a lower-casing tokenizer."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    known = sorted(set(re.findall(r"\w+", " ".join(TEXTS).lower())))
    pieces = [*special, *string.punctuation, *known]  # unlike a trained vocabulary, the same in every process
    pieces += [mark + character for mark in ("", "##") for character in string.ascii_lowercase + string.digits]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    words.normalizer = BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.WordPiece()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=max_length,
        initializer_range=0.1,  # at this width the usual 0.02 says nearly the same of every text
        pad_token_id=tokenizer.pad_token_id,
    )
    return save(BertModel, config, tokenizer, folder, seed)


def tiny_llama(folder: Path, seed: int = 0, layers: int = 2) -> Path:
    """A Llama (32 wide) with a ChatML template; BOS `<|im_start|>`, EOS `<|im_end|>`, PAD `<|endoftext|>`."""
    tokenizer = byte_level_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_special_tokens({"pad_token": "<|endoftext|>", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"})
    tokenizer.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return save(LlamaForCausalLM, config, tokenizer, folder, seed)


def tiny_gpt2(folder: Path, seed: int = 0, layers: int = 2) -> Path:
    """A GPT-2 (32 wide) as the hub has it: one special token `<|endoftext|>`, no pad, no chat template, dropout 0.1."""
    tokenizer = byte_level_tokenizer(["<|endoftext|>"])
    tokenizer.add_special_tokens({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=256,
        n_embd=32,
        n_layer=layers,
        n_head=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return save(GPT2LMHeadModel, config, tokenizer, folder, seed)


def byte_level_tokenizer(special: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: every text survives encoding and decoding."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=words)


def save(
    kind: type[PreTrainedModel],
    config: BertConfig | LlamaConfig | GPT2Config,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    seed: int,
) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
