"""The fixture `hub`: a stand-in for the Hugging Face hub, which this process uses in place of huggingface.co."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.servers.hub import Hub, hub_server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Without datasets. Nobody is logged in; large files go by git's protocol, not by Xet's."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with hub_server() as server:
        # What HF_ENDPOINT would have set when huggingface_hub was imported.
        template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


@pytest.fixture
def writer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of somebody who is logged in, and may write in the namespace `org`."""
    token = "hf_" + "w" * 20
    hub.writers[token] = {"org"}
    monkeypatch.setenv("HF_TOKEN", token)
    return token
