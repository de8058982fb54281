"""The YAMLs of Ray's cluster launcher: Ray takes them, and they do what cluster/README.md says."""

import re

import pytest
import yaml
from ray.autoscaler._private.commands import warn_about_bad_start_command
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.documents import CLUSTER

CLOUDS = ("aws", "gcp")


def read(name: str) -> dict:
    return yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())


@pytest.fixture(params=[*CLOUDS, "on-premise"])
def prepared(request) -> dict:
    """A configuration as `ray up` completes it."""
    return prepare_config(read(request.param))


def test_ray_takes_it(prepared, capsys):
    validate_config(prepared)
    warn_about_bad_start_command(prepared["head_start_ray_commands"])
    assert capsys.readouterr().out == ""


def test_nothing_of_rays_defaults_is_installed(prepared):
    commands = [
        command
        for key in ("setup_commands", "head_setup_commands", "worker_setup_commands", "initialization_commands")
        for command in prepared[key]
    ]
    assert not [command for command in commands if "ray-wheels" in command or "pip install -U" in command]


def test_the_token_is_on_every_machine_and_in_no_file(prepared):
    assert prepared["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [*prepared["head_start_ray_commands"], *prepared["worker_start_ray_commands"]]
    starts = [command for command in starts if "ray start" in command]
    assert len(starts) == 2
    # In the image it is set for everything.
    assert prepared["docker"] or all("RAY_AUTH_MODE=token" in command for command in starts)


def test_the_dashboard_listens_on_loopback_only(prepared):
    assert not [command for command in prepared["head_start_ray_commands"] if "dashboard-host" in command]


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_are_spot_and_come_from_nothing(name):
    config = prepare_config(read(name))
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["max_workers"] == 0
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert "scheduling" not in head["node_config"]
    assert any(kind["resources"].get("GPU") for kind in types.values())
    for kind in types.values():
        node = kind["node_config"]
        assert kind["min_workers"] == 0
        assert (
            node.get("InstanceMarketOptions") == {"MarketType": "spot"}
            or node["scheduling"]["provisioningModel"] == "SPOT"
        )
        # Storage by the role of the machine.
        assert node.get("IamInstanceProfile") or node["serviceAccounts"]
    assert sum(kind["max_workers"] for kind in types.values()) <= config["max_workers"]


def test_the_project_of_google_cloud_is_the_same_everywhere():
    text = (CLUSTER / "gcp.yaml").read_text()
    project = read("gcp")["provider"]["project_id"]
    assert set(re.findall(r"@([a-z-]+)\.iam\.gserviceaccount\.com", text)) == {project}


def test_unknown_keys_are_refused():
    with pytest.raises(Exception, match="max_worker' was unexpected"):
        validate_config(prepare_config({**read("aws"), "max_worker": 3}))
