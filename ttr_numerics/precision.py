"""Number formats by name, and the precision contract: which format each role of a layer's numbers has."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

import gfloat
import gfloat.formats as formats
import numpy as np

from ttr_numerics.arrays.arithmetic import Nearest, Stochastic
from ttr_numerics.arrays.nearest import to_nearest
from ttr_numerics.arrays.roles import Role

__all__ = [
    "DTYPES",
    "FORMATS",
    "MAGNIFIED",
    "MAGNIFIED_BITS",
    "Contract",
    "Format",
    "contract_named",
    "format_named",
    "lower",
    "throughout",
]

MAGNIFIED_BITS = 4
MAGNIFIED = 2**MAGNIFIED_BITS  # errors of float64 replicas in units of float64's own


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with `precision` significant bits and smallest normal number 2^min_exponent.

    `accumulator` is the format in which matrix units sum products of this one.
    """

    name: str
    precision: int
    min_exponent: int
    accumulator: str
    info: Any

    @property
    def u(self) -> float:
        """Unit roundoff 2^-precision."""
        return 2.0**-self.precision

    @property
    def tiny(self) -> float:
        """Smallest normal number."""
        return 2.0**self.min_exponent

    @property
    def floor(self) -> float:
        """What one operation may lose to underflow: the smallest normal number where units flush to zero.

        float16 underflows gradually on every unit, so it loses half a subnormal spacing: 2^-25.
        """
        return self.tiny * self.u if self.min_exponent > -100 else self.tiny

    @property
    def largest(self) -> float:
        """Largest finite number."""
        return float(self.info.max)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """`x` (float64) correctly rounded to this format, as float64."""
        return to_nearest(np.asarray(x, dtype=np.float64), self.info)

    def replicas(self, rng: np.random.Generator) -> Stochastic:
        """Random errors of this format throughout: see `Contract.replicas`."""
        return throughout(self).replicas(rng)


def _own(name: str, bits: int, precision: int) -> Any:
    """A format with float32's range and fewer bits."""
    like = formats.format_info_binary32
    return gfloat.FormatInfo(
        name=name,
        k=bits,
        precision=precision,
        bias=like.bias,
        has_nz=True,
        domain=like.domain,
        num_high_nans=2 ** (precision - 1) - 1,
        has_subnormals=True,
        is_signed=True,
        is_twos_complement=False,
    )


FORMATS = {
    f.name: f
    for f in (
        Format("float64", 53, -1022, "float64", formats.format_info_binary64),
        Format("float32", 24, -126, "float32", formats.format_info_binary32),
        Format("float16", 11, -14, "float32", formats.format_info_binary16),
        Format("bfloat16", 8, -126, "float32", formats.format_info_bfloat16),
        Format("tf32", 11, -126, "float32", _own("tf32", 19, 11)),
        # Four bits, as e4m3 has, with a scale that keeps all in range, as it is used: nothing overflows by itself.
        Format("float8", 4, -126, "float32", _own("float8", 12, 4)),
    )
}
DTYPES = ("float64", "float32", "float16", "bfloat16")  # the formats that arrays come in
_LOWER = {"float64": "float32", "float32": "tf32"} | dict.fromkeys(("tf32", "float16", "bfloat16"), "float8")


def format_named(name: str) -> Format:
    """The format of arrays called `name`, or a ValueError that lists them."""
    if name not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {name}")
    return FORMATS[name]


@dataclass(frozen=True)
class Contract:
    """The format of each role: what an implementation promises to keep, and where it may round more coarsely.

    `state` is what the recurrence hands on from token to token (a chunked form: from chunk to chunk); `operands` is
    what enters a matrix product, q, k and v among it; `gate` what exp gives; `residual` v_t - e_t S; `accumulator` that
    of sums; `output` that of o. All else is held in the finest of them (`finest`): a kernel that keeps one of these in
    float32 has the registers for the rest.
    """

    state: Format
    operands: Format
    gate: Format
    residual: Format
    accumulator: Format
    output: Format

    @property
    def _stored(self) -> tuple[Format, ...]:
        return self.output, self.state, self.operands, self.gate, self.residual

    @property
    def finest(self) -> Format:
        """The format of every intermediate without a role: the most precise but for the accumulator."""
        return max(self._stored, key=lambda f: (f.precision, -f.min_exponent))

    @property
    def coarsest(self) -> Format:
        """The least precise format but for the accumulator: what dominates the error."""
        return min(self._stored, key=lambda f: f.precision)

    @property
    def u(self) -> float:
        """The largest unit roundoff of any role."""
        return self.coarsest.u

    @property
    def precision(self) -> int:
        """The fewest significant bits of any role."""
        return self.coarsest.precision

    @property
    def floor(self) -> float:
        """The most that one operation may lose to underflow in any role."""
        return max(f.floor for f in self._stored)

    @property
    def largest(self) -> float:
        """The largest number that every role can hold."""
        return min(f.largest for f in self._stored)

    @property
    def is_plain(self) -> bool:
        """Whether one format serves throughout, with its own accumulator."""
        return self == throughout(self.output)

    @property
    def name(self) -> str:
        """The text that `contract_named` reads: the commonest format, then every role that has another."""
        base = FORMATS[Counter(f.name for f in self._stored if f.name in DTYPES).most_common(1)[0][0]]
        plain = throughout(base)
        differing = (f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name))
        return ",".join([base.name, *(f"{role}={getattr(self, role).name}" for role in differing)])

    @property
    def magnified(self) -> int:
        """How many times its own size the errors of replicas have: 1, and `MAGNIFIED` in float64 throughout.

        Errors are added in float64, which cannot hold an error of u|x| in a float64 x: half a spacing is u times the
        power of two below |x|, so that an error next to a power of two would always be rounded away. The error of an
        output is linear in the errors made to first order, so it is as many times as large; terms of second order are
        overstated. An error uniform in ±16 m u, rounded to spacings of 2u for a significand m in [1, 2), keeps its
        variance to 1 part in 16² m².
        """
        return MAGNIFIED if self.coarsest.precision >= 53 else 1

    def replicas(self, rng: np.random.Generator) -> Stochastic:
        """Random errors of each role's size, sums accumulated in the accumulator."""
        size = self.magnified
        roles = {role: f.u for role, f in self._coarser()}
        return Stochastic(size * self.finest.u, size * self.accumulator.u, rng, roles)

    def nearest(self) -> Nearest:
        """Every operation rounded to nearest in the finest format, every role to its own."""
        return Nearest(self.finest.info, {role: f.info for role, f in self._coarser()})

    def _coarser(self) -> list[tuple[Role, Format]]:
        """Roles whose format is not the finest."""
        given = [(role, getattr(self, role.value)) for role in Role]
        return [(role, f) for role, f in given if f != self.finest]

    def arriving(self, name: str) -> Format:
        """The format in which the input `name` arrives: operands' for q, k and v, else the finest."""
        return self.operands if name in ("q", "k", "v") else self.finest


_ROLES = tuple(f.name for f in fields(Contract))


def throughout(format: Format) -> Contract:
    """One format in every role, sums in its own accumulator."""
    return Contract(**dict.fromkeys(_ROLES, format) | {"accumulator": FORMATS[format.accumulator]})


def contract_named(text: str) -> Contract:
    """A format's name, then overrides: "bfloat16", or "bfloat16,state=float32,residual=float32".

    Raises ValueError, in one sentence, for anything else.

    >>> contract_named("bfloat16,state=float32").finest.name
    'float32'
    """
    first, *others = (part.strip() for part in text.split(","))
    contract, seen = throughout(format_named(first)), set()
    for part in others:
        role, equals, name = part.partition("=")
        if role not in _ROLES or not equals:
            raise ValueError(f"contract: expected role=format with a role of {', '.join(_ROLES)}, got {part!r}")
        if role in seen:
            raise ValueError(f"contract: expected {role} once, got it twice")
        possible = DTYPES if role == "output" else tuple(FORMATS)
        if name not in possible:
            raise ValueError(f"contract: expected {role} in one of {', '.join(possible)}, got {name or 'nothing'}")
        seen.add(role)
        contract = replace(contract, **{role: FORMATS[name]})
    return contract


def lower(contract: Contract | Format) -> Contract:
    """The next lower contract, whose use in place of `contract` must be noticed: every role one step down.

    float64 → float32 throughout, its output and accumulator too: a secretly narrower dtype. Below, arrays and sums stay
    what they are, as in matrix units, and so do output and accumulator: float32 → tf32, the first format under it that
    hardware has, and tf32, float16, bfloat16 → float8. (float16 → bfloat16, a factor 8, is no step down: a tolerance
    that one sound run in 1 000 may reach is as wide.)
    """
    if isinstance(contract, Format):
        contract = throughout(contract)
    if contract.is_plain and contract.output.name == "float64":
        return throughout(FORMATS["float32"])
    lowest = {r: getattr(contract, r) for r in ("state", "operands", "gate", "residual")}
    return replace(contract, **{r: FORMATS[_LOWER.get(f.name, f.name)] for r, f in lowest.items()})
