"""Inputs to study: captured keys of real models, and random keys with prescribed properties."""

from ttr_numerics.tasks.captured import Captured, minilm, smollm2
from ttr_numerics.tasks.synthetic import conditioned_keys, isotropic_unit_keys

__all__ = ["Captured", "conditioned_keys", "isotropic_unit_keys", "minilm", "smollm2"]
