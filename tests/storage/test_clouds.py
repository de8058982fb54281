"""Storage whose libraries are optional: what is said without them. With them, `place` of the other files has it."""

import importlib.util

import pytest

from pipeline import storage
from pipeline.errors import UserError
from tests.storage.conftest import cloud_environment


@pytest.mark.parametrize(
    ("uri", "library", "extra"),
    [
        ("gs://bucket/a", "gcsfs", "gcs"),
        ("az://container/a", "adlfs", "azure"),
        ("abfs://container@account.dfs.core.windows.net/a", "adlfs", "azure"),
        ("zip://a::gs://bucket/b.zip", "gcsfs", "gcs"),
    ],
)
def test_what_is_not_installed_is_named_with_the_command(uri: str, library: str, extra: str) -> None:
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    with pytest.raises(UserError, match=rf"^some\.key: .*pip install 'ovseg-pipeline\[{extra}\]'"):
        storage.check_readable(uri, "some.key")


def test_azure_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs", reason="adlfs not installed: pip install 'ovseg-pipeline[azure]'")
    for name in ("ACCOUNT_NAME", "CONNECTION_STRING"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    with pytest.raises(UserError, match=r"some\.key: .*Azure's account is not known.*AZURE_STORAGE_ACCOUNT_NAME"):
        storage.check_readable("az://elsewhere/a", "some.key")


def test_azure_with_a_wrong_key(azure: dict[str, str]) -> None:
    name = "AZURE_STORAGE_CONNECTION_STRING"
    with (
        cloud_environment("az", {name: azure[name].replace("AccountKey=E", "AccountKey=F")}),
        pytest.raises(UserError, match=r"some\.key: .*storage denies access \(HTTP status 403"),
    ):
        storage.check_readable("az://test/a", "some.key")
