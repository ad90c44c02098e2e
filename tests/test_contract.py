"""The precision contract: every role in its own format, and no other."""

from typing import Any

import numpy as np
import pytest

from ttr_numerics import layers, tolerance
from ttr_numerics.arrays import as_residual, as_state, namespace
from ttr_numerics.arrays.rounded import rounded
from ttr_numerics.axes import Momentum
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import DTYPES, FORMATS, contract_named, format_named, lower, throughout
from ttr_numerics.verdict import Word, check

MIXED = "bfloat16,state=float32,residual=float32"
KERNEL = "bfloat16,state=float32,gate=float32,residual=float32"  # what most kernels do
Given = dict[str, Any]


def example(name: str, dtype: str = "bfloat16", seed: int = 0, **axes: int) -> Given:
    """A generic case in numbers that `dtype` holds."""
    given = pairing(name).example(np.random.default_rng(seed), **{"T": 64, "d_k": 8, "d_v": 8} | axes)
    return {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in given.items()}


def remembering(name: str = "gated_delta_rule") -> Given:
    """A memory that fades by 1e-3 a token after a few writes: less than half a spacing of bfloat16."""
    given = example(name, T=200)
    given["beta"][:, 8:] = 0
    return given | {"log_decay": np.full_like(given["log_decay"], -1e-3)}


def worst(name: str, given: Given, declared: str, ran: str) -> float:
    """The error of the layer run as `ran`, over the tolerance of the contract `declared`."""
    row = pairing(name)
    bound = tolerance.rounding(row.layer, given, contract_named(declared), forms=row.forms)
    o = tolerance.run_as(row.layer, given, contract_named(ran))
    return float(np.max(tolerance.row_norms(o - bound.reference) / bound.bound))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_format_alone_is_the_contract_of_it_throughout(dtype: str) -> None:
    contract = contract_named(dtype)
    assert contract == throughout(FORMATS[dtype])
    assert (contract.finest, contract.coarsest, contract.output) == (FORMATS[dtype],) * 3
    assert contract.name == dtype


@pytest.mark.parametrize(
    "text", [MIXED, "float32,operands=tf32", "float16,accumulator=float16", "float32,state=bfloat16,output=float64"]
)
def test_the_name_of_a_contract_reads_as_itself(text: str) -> None:
    contract = contract_named(text)
    assert contract_named(contract.name) == contract


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fp8", "dtype: expected one of float64, float32, float16, bfloat16, got fp8"),
        ("tf32", "dtype: expected one of float64, float32, float16, bfloat16, got tf32"),
        ("float32,tf32", "contract: expected role=format with a role of state, operands, .*, got 'tf32'"),
        ("float32,weights=tf32", "contract: expected role=format with a role of .*, got 'weights=tf32'"),
        ("float32,state=fp8", "contract: expected state in one of float64, .*tf32, float8, got fp8"),
        ("float32,state=", "contract: expected state in one of .*, got nothing"),
        ("float32,output=tf32", "contract: expected output in one of float64, float32, float16, bfloat16, got tf32"),
        ("float32,state=tf32,state=float32", "contract: expected state once, got it twice"),
    ],
)
def test_what_is_no_contract_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        contract_named(text)
    assert "\n" not in str(refusal.value)


def test_tf32_is_a_format_of_operands_and_never_of_arrays() -> None:
    assert contract_named("float32,operands=tf32").operands.u == FORMATS["float16"].u
    with pytest.raises(ValueError, match="got tf32"):
        format_named("tf32")


def test_marks_of_a_role_are_the_identity_on_plain_arrays_and_on_contracts_of_one_format() -> None:
    x = np.ones((2, 3))
    assert as_state(x) is x
    assert as_residual(x) is x
    plain = rounded(x / 3, throughout(FORMATS["float32"]).nearest())
    assert np.array_equal(as_state(plain).x, plain.x)
    state = Momentum(plain, plain)
    assert isinstance(as_state(state), Momentum)


def test_each_role_rounds_what_is_its_own_and_nothing_else() -> None:
    third = np.full((4, 4), 1 / 3)
    coarse, fine = (FORMATS[f].nearest(third) for f in ("bfloat16", "float32"))
    for role in ("state", "residual", "operands", "gate"):
        x = rounded(fine, contract_named(f"float32,{role}=bfloat16").nearest())
        xp = namespace(x)
        assert np.array_equal(as_state(x).x, coarse if role == "state" else fine)
        assert np.array_equal(as_residual(x).x, coarse if role == "residual" else fine)
        factor = coarse if role == "operands" else fine
        assert np.array_equal((x @ x).x, FORMATS["float32"].nearest(factor @ factor))
        gate = FORMATS["bfloat16" if role == "gate" else "float32"].nearest(FORMATS["float32"].nearest(np.exp(fine)))
        assert np.array_equal(xp.exp(x).x, gate)
        assert np.array_equal((x + x).x, 2 * fine), "a sum has no role"


def test_random_errors_of_a_role_have_its_size_and_spare_what_it_holds_exactly() -> None:
    noise = contract_named("float32,state=bfloat16").replicas(np.random.default_rng(0))
    third = rounded(np.full(10_000, 1 / 3), noise)
    error = as_state(third).x * 3 - 1
    u = FORMATS["bfloat16"].u
    assert np.all(np.abs(error) <= u)
    assert np.std(error) > u / 2
    assert np.array_equal(as_state(rounded(np.arange(256.0), noise)).x, np.arange(256.0))
    # After n tokens a state was rounded n times.
    many = as_state(third, 16).x * 3 - 1
    assert abs(np.std(many) / np.std(error) - 4) <= 4 * 4 / np.sqrt(third.x.size)  # four standard errors, nearly


@pytest.mark.parametrize("name", ["gated_delta_rule", "momentum_delta_rule"])
@pytest.mark.parametrize("role", ["state", "operands", "residual"])
def test_a_role_kept_more_coarsely_than_declared_is_beyond_the_bound(name: str, role: str) -> None:
    given = example(name)
    assert worst(name, given, "float32", f"float32,{role}=bfloat16") > 10
    assert worst(name, given, f"float32,{role}=bfloat16", f"float32,{role}=bfloat16") <= 1


def test_a_state_kept_in_bfloat16_against_a_contract_is_seen_under_bfloat16_operands() -> None:
    given, lost = remembering(), "bfloat16,gate=float32,residual=float32"
    assert worst("gated_delta_rule", given, KERNEL, KERNEL) <= 1
    assert worst("gated_delta_rule", given, lost, lost) <= 1
    assert worst("gated_delta_rule", given, KERNEL, lost) > 1


@pytest.mark.parametrize(
    "name", ["linear_attention", "gated_delta_rule", "mesa", "softmax_attention", "hgrn", "huber_delta_rule"]
)
@pytest.mark.parametrize("text", ["float64", "float32", "bfloat16", "float16", MIXED])
def test_a_sound_run_is_within_its_contract_and_one_precision_lower_is_not(name: str, text: str) -> None:
    given = example(name)
    assert worst(name, given, text, text) <= 1
    assert worst(name, given, text, lower(contract_named(text)).name) > 1


def test_the_ladder_goes_down_by_one_format_at_a_time() -> None:
    assert lower(FORMATS["float64"]) == throughout(FORMATS["float32"])
    assert lower(FORMATS["float32"]).name == "float32,state=tf32,operands=tf32,gate=tf32,residual=tf32"
    assert lower(FORMATS["bfloat16"]).coarsest == FORMATS["float8"]
    steps = [lower(contract_named(text)).coarsest.precision for text in ("float64", "float32", "float16", "bfloat16")]
    assert steps == [24, 11, 4, 4]


def test_a_plain_format_is_judged_as_before_the_contract_was() -> None:
    given = example("gated_delta_rule", T=24)
    as_format = tolerance.rounding(layers.gated_delta_rule, given, FORMATS["bfloat16"])
    as_contract = tolerance.rounding(layers.gated_delta_rule, given, contract_named("bfloat16"))
    assert np.array_equal(as_format.bound, as_contract.bound)


def test_check_takes_a_contract_where_it_takes_a_dtype() -> None:
    given = example("gated_delta_rule")
    kept = tolerance.run_as(layers.gated_delta_rule, given, contract_named("float32"))
    lost = tolerance.run_as(layers.gated_delta_rule, given, contract_named("float32,state=bfloat16"))
    assert check(kept, "gated_delta_rule", dtype="float32,operands=tf32", **given).word is Word.ROUNDING
    declared = check(lost, "gated_delta_rule", dtype="float32,state=bfloat16", **given)
    assert declared.word is Word.ROUNDING
    assert declared.arithmetic == "float32,state=bfloat16"
    assert check(lost, "gated_delta_rule", dtype="float32", **given).status == 1
    with pytest.raises(ValueError, match="contract: expected role=format"):
        check(kept, "gated_delta_rule", dtype="float32,tf32", **given)
