"""aws.yaml and aws-roles.yaml against moto's AWS: Ray's launcher starts a head and workers with what the files say."""

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.commands import _bootstrap_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND

from tests.cluster.documents import CLUSTER

REGION = "us-east-1"


@pytest.fixture
def account(monkeypatch, tmp_path):
    """An empty account, with what `aws cloudformation deploy` of aws-roles.yaml makes in it."""
    monkeypatch.setenv("HOME", str(tmp_path))  # the launcher keeps its key there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        boto3.client("cloudformation").create_stack(
            StackName="ovseg",
            TemplateBody=(CLUSTER / "aws-roles.yaml").read_text(),
            Parameters=[{"ParameterKey": "Bucket", "ParameterValue": "bucket"}],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        yield


@pytest.fixture
def resolved(account) -> dict:
    """aws.yaml as `ray up` resolves it. moto looks machine images up by number only: one of its own stands in."""
    config = yaml.safe_load((CLUSTER / "aws.yaml").read_text())
    image = boto3.client("ec2").describe_images()["Images"][0]["ImageId"]
    for node_type in config["available_node_types"].values():
        assert node_type["node_config"]["ImageId"].startswith("resolve:ssm:/aws/service/")
        node_type["node_config"]["ImageId"] = image
    return _bootstrap_config(config, no_config_cache=True)


def test_machines_are_started_as_the_file_says(resolved):
    provider = AWSNodeProvider(resolved["provider"], resolved["cluster_name"])
    for name, node_type in resolved["available_node_types"].items():
        kind = "head" if name == resolved["head_node_type"] else "worker"
        provider.create_node(node_type["node_config"], {TAG_RAY_NODE_KIND: kind}, 1)
    reservations = boto3.client("ec2").describe_instances()["Reservations"]
    machines = {machine["InstanceType"]: machine for found in reservations for machine in found["Instances"]}
    declared = {kind["node_config"]["InstanceType"]: kind for kind in resolved["available_node_types"].values()}
    assert set(machines) == set(declared)
    for name, machine in machines.items():
        is_head = name == resolved["available_node_types"]["head"]["node_config"]["InstanceType"]
        assert machine.get("InstanceLifecycle") == (None if is_head else "spot")
        profile = "ovseg-head" if is_head else "ovseg-worker"
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{profile}")


def test_resources_are_those_of_the_machines(resolved):
    for name, node_type in resolved["available_node_types"].items():
        if name == "head":
            continue
        [machine] = boto3.client("ec2").describe_instance_types(
            InstanceTypes=[node_type["node_config"]["InstanceType"]]
        )["InstanceTypes"]
        gpus = sum(gpu["Count"] for gpu in machine.get("GpuInfo", {}).get("Gpus", []))
        assert node_type["resources"]["CPU"] == machine["VCpuInfo"]["DefaultVCpus"], name
        assert node_type["resources"].get("GPU", 0) == gpus, name


def test_only_the_head_may_start_machines_and_none_reaches_other_buckets(account):
    iam = boto3.client("iam")
    actions = {}
    for profile in ("ovseg-head", "ovseg-worker"):
        [role] = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        actions[profile] = []
        for policy in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
            document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]
            for statement in document["Document"]["Statement"]:
                wanted = statement["Action"]
                wanted = [wanted] if isinstance(wanted, str) else wanted
                actions[profile] += wanted
                if any(action.startswith("s3:") for action in wanted):
                    assert statement["Resource"].startswith("arn:aws:s3:::bucket")
    assert "ec2:RunInstances" in actions["ovseg-head"]
    assert actions["ovseg-worker"]
    assert all(action.startswith("s3:") for action in actions["ovseg-worker"])


def test_the_template_is_valid_cloudformation():
    cfnlint = pytest.importorskip("cfnlint.api", reason="cfn-lint comes with moto[server]")
    matches = cfnlint.lint_all((CLUSTER / "aws-roles.yaml").read_text())
    # The rest is information.
    assert [match for match in matches if match.rule.id[0] in "EW"] == []
