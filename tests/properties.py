"""How many examples a property is tried with: few in `make test`, many in `make differential` and `make faults`.

`pytest --hypothesis-profile=long` chooses the many. No test sets a number of examples in another way.
"""

from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

QUICK, LONG = "quick", "long"
MAX_QUICK_EXAMPLES: Final = 50
LONG_EXAMPLES: Final = 1_000
# How long drawing takes says more of the machine than of the test, and servers are shared by the examples on purpose.
SUPPRESSED: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


def register_profiles() -> None:
    """Make both profiles known to Hypothesis, and the quick one the default."""
    for name, number in ((QUICK, MAX_QUICK_EXAMPLES), (LONG, LONG_EXAMPLES)):
        settings.register_profile(name, max_examples=number, deadline=None, suppress_health_check=SUPPRESSED)
    settings.load_profile(QUICK)


def is_long() -> bool:
    """Whether this is a run of the long forms."""
    return settings.get_current_profile_name() == LONG


def examples(
    quick: int = MAX_QUICK_EXAMPLES, *, long: int = LONG_EXAMPLES, shrink: bool = True, steps: int = 50
) -> settings:
    """The settings of a property whose examples are dearer than others', or worth more of them in the long form.

    Args:
        quick: Examples in `make test`, where a property may take three seconds on a quiet core.
        long: Examples in the long form.
        shrink: Whether to look for a smaller example of a failure; useless where the examples are drawn by a seed.
        steps: Most steps of an example of a state machine.

    Raises:
        ValueError: there would be too many for `make test`.
    """
    if quick > MAX_QUICK_EXAMPLES:
        raise ValueError(f"{quick} examples are too many for `make test`: give at most {MAX_QUICK_EXAMPLES}")
    phases = [phase for phase in Phase if shrink or phase not in {Phase.shrink, Phase.explain}]
    return settings(max_examples=long if is_long() else quick, phases=phases, stateful_step_count=steps)


def later(*values: object) -> list[object]:
    """Values of a test's parameter that only `make faults` tries; a tuple stands for several parameters."""
    marks = (pytest.mark.slow, pytest.mark.faults)
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks) for value in values]
