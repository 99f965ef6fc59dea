"""How a learner's updates are computed: in which precision."""

import types
from collections.abc import Mapping
from typing import Any, Literal

import jax

from acme_agents.core.interfaces import LearnerCore, TrainingState, UpdateOutput

Precision = Literal["default", "float32", "bfloat16"]

_PRODUCTS: Mapping[str, str] = types.MappingProxyType({"float32": "float32", "bfloat16": "BF16_BF16_F32"})


def with_precision(core: LearnerCore, precision: Precision) -> LearnerCore:
    """The learner whose updates multiply matrices in another precision; all arrays and sums stay float32.

    Args:
      core: the agent's functions.
      precision: of the factors: "bfloat16"; "float32", exactly; or "default", the device's, which is tf32 on NVIDIA's
        GPUs and float32 on CPUs. Convolutions stay in the default with "bfloat16", and CPUs compute in float32 always.
    """
    if precision == "default":
        return core

    def update(state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        with jax.default_matmul_precision(_PRODUCTS[precision]):  # It holds for what is traced within.
            return core.update(state, batch)

    return core._replace(update=update)
