"""A real Stable Diffusion of a few kilobytes with random weights: no model hub is needed."""

from pathlib import Path
from typing import Any, Final

TEXT: Final = (
    "The quick brown foxes jump over the lazy dogs, and nobody minds. Ünïcödé too: 你好. " * 30
)
SIDE: Final = 16
"""Pixels of its pictures where none are asked for."""


def write_tiny_pipeline(folder: Path) -> None:
    """A folder as diffusers saves it; it draws within milliseconds."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    from flagscale_workloads.train.tokenizer import train_tokenizer

    torch.manual_seed(5)
    any_diffusers: Any = diffusers
    make_encoder: Any = CLIPTextModel
    tokenizer = train_tokenizer(330, texts=iter([TEXT]))
    tokenizer.pad_token, tokenizer.model_max_length = tokenizer.eos_token, 16
    text_encoder = make_encoder(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=16, projection_dim=16,
            initializer_factor=20.0, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        )
    )  # fmt: skip
    vae = any_diffusers.AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    unet = any_diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 16), cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    made = any_diffusers.StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=text_encoder, tokenizer=tokenizer,
        scheduler=any_diffusers.DDIMScheduler(num_train_timesteps=50, steps_offset=1,
                                              clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.save_pretrained(folder)
