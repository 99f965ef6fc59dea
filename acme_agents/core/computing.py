"""How a learner's updates are computed: in which precision, and on how many devices."""

import contextvars
import types
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from acme_agents.core import errors
from acme_agents.core.interfaces import LearnerCore, TrainingState, UpdateOutput
from acme_agents.core.types import Array, Key

Precision = Literal["default", "float32", "bfloat16"]

_BATCH = "batch"  # the mesh's only axis
_MESH: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar("mesh", default=None)  # of the update being traced
_PRODUCTS: Mapping[str, str] = types.MappingProxyType({"float32": "float32", "bfloat16": "BF16_BF16_F32"})


def with_precision(core: LearnerCore, precision: Precision) -> LearnerCore:
    """The learner whose updates multiply matrices in another precision; all arrays and sums stay float32.

    Args:
      core: the agent's functions.
      precision: of the factors: "bfloat16"; "float32", exactly; or "default", the device's, which is tf32 on NVIDIA's
        GPUs and float32 on CPUs. Convolutions stay in the default with "bfloat16".

    Raises:
      UserError: the precision is bfloat16, and the learner computes on the CPU, for which XLA has no such products.
    """
    if precision == "default":
        return core
    if precision == "bfloat16" and jax.default_backend() == "cpu":
        raise errors.UserError(
            "--precision bfloat16 needs a GPU or a TPU, and the learner computes on the CPU: leave it out."
        )

    def update(state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        with jax.default_matmul_precision(_PRODUCTS[precision]):  # It holds for what is traced within.
            return core.update(state, batch)

    return core._replace(update=update)


def split(core: LearnerCore, num_devices: int) -> LearnerCore:
    """The learner whose updates divide their batches over devices; every device has the whole training state.

    XLA sums what the devices make of their parts (GSPMD, arXiv 2105.04663), so that an update computes what it does on
    one device but for the order of sums. What goes in must be on all of these devices, as `replicate` puts it, or come
    from the host.

    Args:
      core: the agent's functions; every leaf of a batch is [B, ...].
      num_devices: to divide over, which divides B.

    Raises:
      UserError: there are fewer devices.
    """
    if num_devices == 1:
        return core
    mesh = _mesh(num_devices)
    parts, whole = NamedSharding(mesh, PartitionSpec(_BATCH)), NamedSharding(mesh, PartitionSpec())

    def init(key: Key) -> TrainingState:
        return jax.lax.with_sharding_constraint(core.init(key), whole)

    def update(state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        before = _MESH.set(mesh)
        try:
            results = core.update(state, jax.lax.with_sharding_constraint(batch, parts))
        finally:
            _MESH.reset(before)
        return jax.lax.with_sharding_constraint(results, whole)

    return LearnerCore(init, update, core.params)


def divided(arrays: Any, axis: int) -> Any:
    """Arrays that an update made of its batch, divided again along an axis; as they are where `split` divides nothing.

    It is for rows that were put in another order, of which XLA would otherwise give each device all. Call it within
    `update`, outside of loops. An axis that the number of devices does not divide is left whole.
    """
    mesh = _MESH.get()
    if mesh is None:
        return arrays
    parts = NamedSharding(mesh, PartitionSpec(*[None] * axis, _BATCH))

    def divide(x: Array) -> Array:
        return x if x.shape[axis] % mesh.size else jax.lax.with_sharding_constraint(x, parts)

    return jax.tree.map(divide, arrays)


def replicate(arrays: Any, num_devices: int) -> Any:
    """Arrays of which each of the devices that `split` divides over has a copy; with one device, the arrays.

    Raises:
      UserError: there are fewer devices.
    """
    if num_devices == 1:
        return arrays
    return jax.device_put(arrays, NamedSharding(_mesh(num_devices), PartitionSpec()))


def _mesh(num_devices: int) -> Mesh:
    """The first devices of this process, in one line."""
    devices = jax.local_devices()
    if num_devices > len(devices):
        raise errors.UserError(
            f"The learner is to use {num_devices} devices, and has {len(devices)} ({devices[0].device_kind}): give at "
            "most as many --learner-devices."
        )
    return Mesh(np.array(devices[:num_devices]), (_BATCH,))
