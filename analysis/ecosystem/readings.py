"""What each accusation comes to, once the source is read: a defect, a restriction, a convention, fewer digits."""

import enum
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["READINGS", "Kind", "Reading", "reading"]


class Kind(enum.Enum):
    """The value is what the report says."""

    DEFECT = "defect"  # what name or documentation promise does not hold
    RESTRICTION = "restriction"  # said by the source: an assertion, a shape, a documented range
    CONVENTION = "convention"  # another operator, and said
    ARITHMETIC = "arithmetic"  # fewer digits than the format given has, by explicit casts


@dataclass(frozen=True)
class Reading:
    """Accusations of functions whose name matches, by probes that match, in formats that match: kind and sentence.

    `reproduction` names the script that shows a defect by itself.
    """

    name: str
    probes: tuple[str, ...]
    kind: Kind
    sentence: str
    reproduction: str = ""
    dtypes: tuple[str, ...] = ("*",)


ALL = ("*",)
RESETS = ("resets", "gradients at resets")
CASTS = "float64 goes in and comes out, computed in float32 by explicit casts"
SOFTMAX = "the softmax is taken in float32, whatever the format (dtype=torch.float32)"
NOT_FINITE = "NaN at a log decay of -inf; a recurrent form of the same package resets its state there"
SHARED = "shared heads are tiled: query head h reads key head h mod n; torch and transformers repeat each"

READINGS = (
    Reading(
        "fla_core_dplr_chunkwise_*",
        ("honest dtype",),
        Kind.RESTRICTION,
        "float64 and bfloat16 raise: the state takes their format, all else is cast to float32",
    ),
    Reading("*", ("honest dtype",), Kind.ARITHMETIC, CASTS, dtypes=("float64",)),
    Reading(
        "fla_core_naive_recurrent_comba_comba",
        ALL,
        Kind.DEFECT,
        "takes the error after the decay; naive_chunk_comba of the same module before it",
        "fla_comba_two_rules",
    ),
    Reading(
        "fla_core_chunk_momentum_*",
        ALL,
        Kind.DEFECT,
        "differences of logarithms of sums lose the digits; 1e-6 is added to beta",
        "fla_momentum_chunk_digits",
    ),
    Reading(
        "fla_core_naive_recurrent_gated_delta_product_*",
        ("slow decay", "*slow gate", "long memory"),
        Kind.DEFECT,
        "q, k, v and beta are cast to float32, g is not: exp(g) is taken in bfloat16",
        "fla_delta_product_gate",
        ("bfloat16",),
    ),
    Reading(
        "fla_core_naive_chunk_simple_gla_*",
        ("initial state", "linear in S", "gradients", "state gradients"),
        Kind.RESTRICTION,
        "the state is not cast: a bfloat16 one raises, as its own last state, in float32, does not",
        dtypes=("bfloat16",),
    ),
    Reading(
        "fla_core_naive_forgetting_attn_*",
        ("mixed gates",),
        Kind.ARITHMETIC,
        "log gates are differences of cumulative sums: an error of the roundoff times the sum, here about 600 nats",
    ),
    Reading("transformers_qwen3_next_torch_chunk_*", RESETS, Kind.DEFECT, NOT_FINITE, "transformers_reset_nan"),
    Reading("transformers_kimi_linear_chunk_*", RESETS, Kind.DEFECT, NOT_FINITE, "transformers_reset_nan"),
    Reading("transformers_xlstm_mlstm_chunkwise_*", RESETS, Kind.DEFECT, NOT_FINITE, "transformers_mlstm_nan"),
    Reading(
        "transformers_xlstm_mlstm_chunkwise_*",
        ("slow decay",),
        Kind.DEFECT,
        "gates are summed and states kept in bfloat16 where the inputs are; the recurrent form keeps float32",
        "transformers_mlstm_bfloat16",
        ("bfloat16",),
    ),
    Reading("x_transformers_Attend_*", ("grouped heads",), Kind.CONVENTION, SHARED),
    Reading(
        "transformers_xlstm_*",
        ("*gradients*",),
        Kind.RESTRICTION,
        "it takes the forget gate before its sigmoid: a gate of 1 has an infinite logit, and no gradient by it",
    ),
    Reading("transformers_llama_eager_*", ALL, Kind.ARITHMETIC, SOFTMAX, dtypes=("float64",)),
    Reading("x_transformers_Attend_*", ALL, Kind.ARITHMETIC, SOFTMAX, dtypes=("float64",)),
    *(
        Reading(f"fla_core_{name}_*", RESETS, Kind.DEFECT, NOT_FINITE, "fla_resets_nan")
        for name in (
            "naive_chunk",
            "naive_parallel",
            "naive_forgetting_attn",
            "dplr_chunkwise",
            "parallel",
        )
    ),
    *(
        Reading(
            f"fla_core_{name}_*",
            ("*gradients*",),
            Kind.DEFECT,
            "NaN: the exponential of a positive difference is masked after it overflows",
            "fla_kda_gradient_nan",
        )
        for name in ("naive_chunk_kda", "naive_chunk_gdn2")
    ),
    Reading(
        "torch_*_flash_on_the_CPU_*",
        ALL,
        Kind.RESTRICTION,
        "no flash kernel where d_k ≠ d_v: it refuses (No available kernel)",
    ),
    Reading(
        "performer_pytorch_FastAttention_causal_normalized_linear_attention",
        ("causality",),
        Kind.DEFECT,
        "keys are stabilised by the largest exponent of all tokens, later ones too, and eps is added after that",
        "performer_future",
    ),
    Reading(
        "performer_pytorch_FastAttention_causal_normalized_linear_attention",
        ALL,
        Kind.CONVENTION,
        "eps = 1e-4 is added to the features after their stabiliser: not the layer on the features alone",
    ),
)


def reading(name: str, probe: str, dtype: str) -> Reading | None:
    """The first entry that matches."""
    for entry in READINGS:
        if (
            fnmatchcase(name, entry.name)
            and any(fnmatchcase(probe, p) for p in entry.probes)
            and any(fnmatchcase(dtype, d) for d in entry.dtypes)
        ):
            return entry
    return None
