"""What the checks of learning ask of a configuration: small networks that learn in some hundred updates."""

import dataclasses
from typing import Any

# By the names that fields have in `core.configs` and in the agents; a field of another name stays as it is.
_SMALL: dict[str, Any] = {
    "torso_layers": (32,),
    "head_layers": (32,),
    "policy_layers": (32,),
    "critic_layers": (32,),
    "value_layers": (32,),
    "lstm_size": 16,
    "batch_size": 64,
    "discount": 0.9,
    "learning_rate": 3e-3,
    "policy_learning_rate": 1e-3,
    "critic_learning_rate": 3e-3,
    "target_rate": 0.05,
    "target_update_period": 20,
}
_SMALL_ON_POLICY = {
    "unroll_length": 8,
    "batch_size": 16,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 5e-3,
}


def small(config: Any, **changes: Any) -> Any:
    """The configuration with small networks, larger learning rates and targets that follow soon.

    Fields are known by their names, such as `critic_layers`; one that is None stays None.

    Args:
      config: a dataclass.
      **changes: further fields.
    """
    fields = {field.name for field in dataclasses.fields(config)}
    values = _SMALL | _SMALL_ON_POLICY if "unroll_length" in fields else _SMALL
    known = {name: value for name, value in values.items() if name in fields and getattr(config, name) is not None}
    return dataclasses.replace(config, **(known | changes))
