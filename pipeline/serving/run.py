"""Starting and ending the server on the Ray cluster that this process is connected to."""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import ray
from ray import serve
from ray.serve.config import ControllerOptions, HTTPOptions
from ray.serve.schema import LoggingConfig

from pipeline.errors import IncompleteError, UserError
from pipeline.execution.image_groups import worker_gpus
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.loading import check_models
from pipeline.serving.config import ServerConfig
from pipeline.serving.guard import proxy_environment
from pipeline.serving.hosts import is_loopback, is_name
from pipeline.serving.ingress import Ingress
from pipeline.serving.model_deployment import ModelDeployment

_APPLICATION = "segmentation"
# Ray Serve counts a request among the queued while it looks for the request's worker. What comes at one moment has to
# fit, or Serve refuses it with a text of its own in place of this project's JSON.
_BURST = 100


@contextmanager
def running(config: ServerConfig) -> Iterator[str]:
    """A server that takes requests while the context is open; yields its URL.

    Raises:
        UserError: the configuration or the environment has to be changed; said before anything is started.
        IncompleteError: Ray Serve could not start the workers.
    """
    config, gpus = _checked(config)
    limits, host = config.serve, config.serve.host
    log = LoggingConfig(log_level="WARNING", enable_access_log=False)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # in this process
    # mypy does not know that a decorator makes another thing of a class.
    models = ModelDeployment.options(  # type: ignore[attr-defined]
        num_replicas=limits.replicas,
        ray_actor_options={"num_cpus": config.clip.threads, "num_gpus": gpus},
        # While one batch is in the models, the next one already lies beside them.
        max_ongoing_requests=2 * limits.batch_size,
        max_queued_requests=limits.queue,
        max_constructor_retry_count=1,
    ).bind(config, gpu=gpus > 0)
    inside = 2 * limits.batch_size * limits.replicas + limits.queue
    # Twice as many as can wait for the models: those over the limit are told so here, and the page still opens.
    ingress = Ingress.options(  # type: ignore[attr-defined]  # likewise
        ray_actor_options={"num_cpus": 0}, max_ongoing_requests=2 * inside, max_queued_requests=2 * inside + _BURST
    ).bind(limits, models)
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options=HTTPOptions(host=host, port=limits.port),
            # The proxy is started by the controller, and with its environment.
            controller_options=ControllerOptions(runtime_env={"env_vars": proxy_environment(host, limits.hosts)}),
            logging_config=log,
        )
        try:
            serve.run(ingress, name=_APPLICATION, logging_config=log)
        except RuntimeError as error:
            raise IncompleteError(f"Ray Serve could not start the workers: {error}") from error
        yield f"http://{f'[{host}]' if ':' in host else host}:{limits.port}/"
    finally:
        serve.shutdown()


def _checked(config: ServerConfig) -> tuple[ServerConfig, float]:
    """The configuration with absolute paths, and the GPUs of a replica."""
    config.serve.check()
    config = _with_own_names(config.resolved())
    classes = parse_classes(config.serve.classes, "serve.classes")
    names = sum(map(len, classes))
    if names > config.serve.max_names:
        raise UserError(f"serve.classes has {names} names, but serve.max_names is {config.serve.max_names}")
    if "ground_truth" in (name for name, _ in config.proposals.each()):
        raise UserError("proposals.backend: ground_truth knows annotated images only; choose one that looks at images")
    gpus = worker_gpus(config.gpus)
    cluster = ray.cluster_resources()
    for what, each in (("GPU", gpus), ("CPU", config.clip.threads)):
        needed, available = each * config.serve.replicas, cluster.get(what, 0)
        if needed > available:
            raise UserError(
                f"serve.replicas: {config.serve.replicas} with {each:g} {what}s each need {needed:g}; the Ray cluster "
                f"has {available:g}"
            )
    _check_address(config.serve.host, config.serve.port)
    status = serve.status()
    if status.proxies or status.applications:
        running = ", ".join(status.applications) or "no application"
        raise UserError(
            f"Ray Serve already runs on this cluster ({running}), with an address of its own; `serve shutdown` ends it"
        )
    check_models(config, classes)
    return config, gpus


def _with_own_names(config: ServerConfig) -> ServerConfig:
    """The names of this machine belong to a server that others can reach."""
    if is_loopback(config.serve.host):
        return config
    names = dict.fromkeys((*config.serve.hosts, socket.gethostname(), socket.getfqdn()))
    return replace(config, serve=replace(config.serve, hosts=[name for name in names if is_name(name)]))


def _check_address(host: str, port: int) -> None:
    """Ray Serve itself would share a port with another program and get some of its requests."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UserError(f"serve.port: {port} cannot be used at {host}: {error.strerror}; choose another") from None
        raise UserError(f"serve.host: {host!r} is not an address of this machine: {error}") from None
