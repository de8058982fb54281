"""JSON schemas of the part of KubeRay's v1 objects that cluster/kuberay/ uses; anything else is refused.

Written from KubeRay's API reference (RayCluster and RayJob, ray.io/v1) and Kubernetes' (PodTemplateSpec, core/v1).
"""

from typing import Any

STRING = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
# Kubernetes takes whole CPUs and GPUs as strings only in `limits` and `requests` written like this.
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}
STRINGS = {"type": "object", "additionalProperties": STRING}


def fields(required: str = "", **properties: Any) -> dict:
    """An object with these properties and no others; `required` names those that must be there."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def items(schema: dict) -> dict:
    return {"type": "array", "items": schema, "minItems": 1}


RESOURCES = fields(
    "requests limits",
    requests={"type": "object", "additionalProperties": QUANTITY},
    limits={"type": "object", "additionalProperties": QUANTITY},
)
CONTAINER = fields(
    "name image resources",
    name=STRING,
    image=STRING,
    envFrom=items(fields("secretRef", secretRef=fields("name", name=STRING, optional={"type": "boolean"}))),
    ports=items(fields("name containerPort", name=STRING, containerPort=COUNT)),
    resources=RESOURCES,
    volumeMounts=items(fields("name mountPath", name=STRING, mountPath=STRING)),
)
TOLERATION = fields(
    "key operator effect",
    key=STRING,
    operator={"enum": ["Exists", "Equal"]},
    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
)
VOLUME = fields("name emptyDir", name=STRING, emptyDir=fields("", medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY))
POD = fields(
    "spec",
    spec=fields(
        "containers",
        serviceAccountName=STRING,
        containers=items(CONTAINER),
        tolerations=items(TOLERATION),
        volumes=items(VOLUME),
    ),
)
CLUSTER_SPEC = fields(
    "rayVersion headGroupSpec workerGroupSpecs authOptions",
    rayVersion=STRING,
    authOptions=fields("mode", mode={"enum": ["token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=fields(version={"enum": ["v1", "v2"]}, idleTimeoutSeconds=COUNT, resources=RESOURCES),
    headGroupSpec=fields("rayStartParams template", rayStartParams=STRINGS, template=POD),
    workerGroupSpecs=items(
        fields(
            "groupName rayStartParams template replicas minReplicas maxReplicas",
            groupName=STRING,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=STRINGS,
            template=POD,
        )
    ),
)
METADATA = fields("name", name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47})
SCHEMAS = {
    "RayCluster": fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": "RayCluster"},
        metadata=METADATA,
        spec=CLUSTER_SPEC,
    ),
    "RayJob": fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": "RayJob"},
        metadata=METADATA,
        spec=fields(
            "entrypoint rayClusterSpec",
            entrypoint=STRING,
            backoffLimit=COUNT,
            shutdownAfterJobFinishes={"type": "boolean"},
            rayClusterSpec=CLUSTER_SPEC,
        ),
    ),
}
