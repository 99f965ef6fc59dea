"""CCA's learner: one gradient step on a batch of unrolls, whose returns are judged by what came later."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.agents.cca import losses
from acme_agents.agents.cca.config import Config
from acme_agents.agents.cca.networks import Networks
from acme_agents.agents.vmpo import networks as policies
from acme_agents.agents.vmpo.networks import ActorParams
from acme_agents.core import laws, masks, normalising, returns, running, training
from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Unroll


class Trained(NamedTuple):
    """What is learned; each part has an optimiser of its own."""

    network: Params  # of policy and value
    hindsight: tuple[Params, Params]  # of the statistic, and of the baseline or critic that sees it
    classifier: Params


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    params: Trained
    optimizers: tuple[optax.OptState, ...]  # of each part of the parameters
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns so far


class Looked(NamedTuple):
    """What is said of the rows of a batch in which there may be an action, all but the last."""

    logits: Array  # [B, T, A] float32, of the policy
    value: Array  # [B, T] float32, V(x)
    returns: Array  # [B, T] float32, G, up to the unroll's end and V from there
    estimates: Array  # [B, T, A] Q(x, a, phi), or [B, T, 1] V(x, phi)
    classified: Array  # [B, T, A] float32, logits of h, without gradient to the statistic
    seen_through: Array  # [B, T, A] float32, the same with gradient to the statistic alone


def look(
    config: Config,
    policy: policies.Networks,
    nets: Networks,
    params: Trained,
    observation: Observation,
    reward: Array,
    batch: Unroll,
) -> Looked:
    """What all networks say of a batch.

    Args:
      config: the agent's.
      policy: the networks of policy and value.
      nets: the others.
      params: of all of them.
      observation: the batch's, [B, T + 1, *O], normalised.
      reward: [B, T] float32, normalised.
      batch: the batch.
    """
    steps, stop = batch.steps, jax.lax.stop_gradient
    outputs = policies.unroll(policy, params.network, observation, batch)
    logits, value = outputs.law[:, :-1], outputs.value[:, :-1]
    advantage = returns.generalised_advantages(
        reward,
        steps.discount[:, :-1],
        stop(outputs.value),
        ~steps.last[:, :-1],
        gamma=config.discount,
        trace_decay=config.trace_decay,
    )
    of_statistic, of_critic = params.hindsight
    phi = nets.statistic(of_statistic, observation, steps.action[:, :-1], reward, steps.last[:, :-1])
    features = stop(outputs.features[:, :-1])
    return Looked(
        logits,
        value,
        advantage + stop(value),
        stop(value)[..., None] + nets.critic(of_critic, features, phi),
        stop(logits) + nets.classifier(params.classifier, features, stop(phi)),
        stop(logits) + nets.classifier(stop(params.classifier), features, phi),
    )


def losses_of(looked: Looked, action: Array, valid: Array, *, estimator: str) -> dict[str, Array]:
    """Every loss of a batch by its name, [] each; `action` and `valid` are [B, T]."""
    if estimator == "critic":
        estimate = jnp.take_along_axis(looked.estimates, action[..., None], axis=-1)[..., 0]
        policy_loss = losses.all_actions_loss(looked.logits, looked.estimates, valid)
    else:
        estimate = looked.estimates[..., 0]
        policy_loss = losses.single_action_loss(looked.logits, action, looked.returns - estimate, valid)
    return {
        "policy_loss": policy_loss,
        "value_loss": losses.regression_loss(looked.value, looked.returns, valid),
        "hindsight_loss": losses.regression_loss(estimate, looked.returns, valid),
        "classifier_loss": losses.classifier_loss(looked.classified, action, valid),
        "independence_loss": losses.independence_loss(looked.seen_through, looked.logits, valid),
        "entropy": masks.mean_where(laws.CATEGORICAL.entropy(looked.logits), valid),
    }


def make_learner(config: Config, policy: policies.Networks, nets: Networks, spec: EnvironmentSpec) -> LearnerCore:
    """Makes the learner's functions; their state is a `TrainingState`."""
    optimizers = tuple(
        training.clipped_adam(rate, config.max_gradient_norm)
        for rate in (config.learning_rate, config.hindsight_learning_rate, config.classifier_learning_rate)
    )

    def init(key: Key) -> TrainingState:
        network_key, key = jax.random.split(key)
        *hindsight, classifier = nets.init(key)
        params = Trained(policy.init(network_key), tuple(hindsight), classifier)
        return TrainingState(
            params,
            tuple(optimizer.init(part) for optimizer, part in zip(optimizers, params)),
            normalising.init_moments(spec, enabled=config.normalise_observations),
            running.init(()),
        )

    def update(state: TrainingState, batch: Unroll) -> tuple[TrainingState, UpdateOutput]:
        steps, valid = batch.steps, ~batch.steps.last[:, :-1]  # [B, T + 1], [B, T]
        reward, scale, moments = normalising.rewards(
            state.returns, steps, gamma=config.discount, enabled=config.normalise_rewards
        )
        seen = normalising.normalise(steps.observation, normalising.scale_of(state.observations, spec))
        action = steps.action[:, :-1]

        def loss(params: Trained) -> tuple[Array, dict[str, Array]]:
            looked = look(config, policy, nets, params, seen, reward, batch)
            found = losses_of(looked, action, valid, estimator=config.estimator)
            # Policy and value, the statistic and what sees it, and the classifier have no parameters in common.
            total = (
                (found["policy_loss"] + config.value_weight * found["value_loss"])
                - config.entropy_weight * found["entropy"]
                + (found["hindsight_loss"] + config.independence_weight * found["independence_loss"])
                + found["classifier_loss"]
            )
            log_prob = laws.CATEGORICAL.log_prob(looked.logits, action)
            found["kl_acted"] = laws.kl_from_acted(log_prob - steps.extras.log_prob[:, :-1], valid)
            return total, found | {"loss": total, "value": masks.mean_where(looked.value, valid) * scale}

        gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
        metrics |= {"gradient_norm": optax.global_norm(gradient.network), "reward_scale": scale}
        parts = zip(state.params, gradient, state.optimizers, optimizers)
        params, states = zip(*(training.descend(*part) for part in parts))
        observations = normalising.add_to_moments(state.observations, steps.observation)
        return TrainingState(Trained(*params), states, observations, moments), UpdateOutput(metrics)

    def params(state: TrainingState) -> ActorParams:
        return ActorParams(state.params.network, normalising.scale_of(state.observations, spec))

    return LearnerCore(init, update, params)
