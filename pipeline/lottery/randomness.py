"""Named random streams: everything random derives from a seed and the name of what it is for."""

import hashlib
import json
from collections.abc import Mapping

import torch


def stream(*names: str | int) -> int:
    """A 63-bit seed from the SHA-256 of the names, so that streams are independent of each other and of call order."""
    digest = hashlib.sha256(json.dumps(names, separators=(",", ":"), ensure_ascii=False).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*names: str | int) -> torch.Generator:
    """A CPU generator for one stream: the same numbers whatever device uses them later."""
    return torch.Generator().manual_seed(stream(*names))


def seed_models(device: torch.device, *names: str | int) -> None:
    """Seed what models draw from while they run (dropout): torch's global generators, of the CPU and of `device`."""
    if device.type == "cuda":
        torch.manual_seed(stream(*names))  # the CPU's generator and the devices'
    else:
        torch.default_generator.manual_seed(stream(*names))


def generator_states(device: torch.device) -> dict[str, torch.Tensor]:
    """Of the global generators, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_generators(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Go on from `generator_states`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
