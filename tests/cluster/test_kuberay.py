"""cluster/kuberay/ against the fields of KubeRay that it uses, and against KubeRay's own definitions where they are.

OVSEG_KUBERAY_CRDS names a folder with KubeRay's ray-operator/config/crd/bases/*.yaml (7 MB, not part of this project).
"""

import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cluster.documents import CLUSTER
from tests.cluster.kuberay_schema import SCHEMAS

FILES = sorted((CLUSTER / "kuberay").glob("*.yaml"))
CRDS = os.environ.get("OVSEG_KUBERAY_CRDS")


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def cluster_spec(document: dict) -> dict:
    return document["spec"].get("rayClusterSpec", document["spec"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fields_are_known(path):
    document = read(path)
    jsonschema.validate(document, SCHEMAS[document["kind"]])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_kuberay_takes_it(path):
    if not CRDS:
        pytest.skip("OVSEG_KUBERAY_CRDS does not name a folder with KubeRay's custom resource definitions")
    document = read(path)
    definition = next(
        found
        for crd in Path(CRDS).glob("*.yaml")
        if (found := yaml.load(crd.read_text(), yaml.CSafeLoader))["spec"]["names"]["kind"] == document["kind"]
    )
    [version] = [version for version in definition["spec"]["versions"] if version["name"] == "v1"]
    jsonschema.validate(document, strict(version["schema"]["openAPIV3Schema"]))


def strict(schema: dict) -> dict:
    """A definition that refuses what the API server would prune: fields that it does not know."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if "apiVersion" in schema["properties"]:  # of the object itself, which every definition leaves open
            schema["properties"]["metadata"] = {"type": "object"}
    if "items" in schema:
        schema["items"] = strict(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = strict(schema["additionalProperties"])
    if schema.pop("x-kubernetes-int-or-string", False):
        schema["type"] = ["integer", "string"]
    return schema


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_groups_fit_together(path):
    spec = cluster_spec(read(path))
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        for container in group["template"]["spec"]["containers"]:
            wanted = container["resources"]
            # GPUs cannot be asked for in part.
            assert wanted["requests"].get("nvidia.com/gpu") == wanted["limits"].get("nvidia.com/gpu")
    if spec.get("enableInTreeAutoscaling"):
        assert {group["minReplicas"] for group in spec["workerGroupSpecs"]} == {0}


def test_both_jobs_have_the_same_machines():
    mine, train = (cluster_spec(read(CLUSTER / "kuberay" / f"rayjob-{job}.yaml")) for job in ("mine", "train"))
    for spec in (mine, train):
        for group in spec["workerGroupSpecs"]:
            del group["replicas"], group["minReplicas"], group["maxReplicas"]
    assert mine == train


@pytest.mark.parametrize("job", ["mine", "train"])
def test_a_job_waits_for_the_gpus_that_its_cluster_has(job):
    spec = read(CLUSTER / "kuberay" / f"rayjob-{job}.yaml")["spec"]
    words = spec["entrypoint"].split()
    [group] = spec["rayClusterSpec"]["workerGroupSpecs"]
    gpus = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert int(words[words.index("--gpus") + 1]) == group["replicas"] * gpus
    if job == "train":
        assert int(words[words.index("--workers.count") + 1]) == group["replicas"] * gpus


def test_a_misspelt_field_is_noticed():
    document = read(CLUSTER / "kuberay" / "raycluster.yaml")
    document["spec"]["headGroupSpec"]["template"]["spec"]["serviceAcountName"] = "ovseg"
    with pytest.raises(jsonschema.ValidationError, match="serviceAcountName"):
        jsonschema.validate(document, SCHEMAS["RayCluster"])
