"""The HTTP side as a Ray Serve deployment."""

import asyncio

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ReplicaState

from pipeline.serving.app import build_app
from pipeline.serving.config import ServeConfig
from pipeline.serving.model_deployment import ModelDeployment, Reply
from pipeline.serving.models import Classes, Request


@serve.deployment
@serve.ingress()
class Ingress:
    """Passes images on to the models. Its options are set in `pipeline.serving.run`."""

    def __init__(self, config: ServeConfig, models: DeploymentHandle):
        self._config = config
        self._models = models

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve."""
        return build_app(self._config, self._ask, self._ready)

    async def _ask(self, jpeg: bytes, classes: Classes, sha256: str) -> Reply:
        response = self._models.segment.remote(Request(jpeg, classes, sha256))
        try:
            return await response
        except asyncio.CancelledError:  # it took too long, or who asked has gone
            response.cancel()
            raise

    async def _ready(self) -> bool:
        status = await asyncio.to_thread(serve.status)
        application = serve.get_replica_context().app_name
        # mypy does not know that a decorator makes another thing of a class.
        deployment = status.applications[application].deployments[ModelDeployment.name]  # type: ignore[attr-defined]
        return deployment.replica_states.get(ReplicaState.RUNNING, 0) > 0
