"""Emulators of storage that is not S3, on loopback: Azurite for Azure, gcp-storage-emulator for Google Cloud."""

import contextlib
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

from tests.servers.ports import free_port

# Every Azurite has this account and this key: https://github.com/Azure/Azurite#default-storage-account
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def missing_for_azure() -> str | None:
    """What is not installed, and how it comes; None if all is there."""
    if not _importable("adlfs"):
        return "adlfs not installed: pip install 'ovseg-pipeline[azure]'"
    if shutil.which("azurite-blob") is None:
        return "azurite-blob not on the PATH: npm install azurite"
    return None


def missing_for_google() -> str | None:
    """As `missing_for_azure`."""
    if not _importable("gcsfs"):
        return "gcsfs not installed: pip install 'ovseg-pipeline[gcs]'"
    if not _importable("gcp_storage_emulator"):
        return "gcp-storage-emulator not installed: pip install gcp-storage-emulator"
    return None


def _importable(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def azurite() -> Iterator[dict[str, str]]:
    """A server with the container `test`; yields the environment to use it with."""
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    options = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    command = ["azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(server, f"http://127.0.0.1:{port}/")
            connection = (
                f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
                f"BlobEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
            )
            BlobServiceClient.from_connection_string(connection).create_container("test")
            yield {"AZURE_STORAGE_CONNECTION_STRING": connection}
        finally:
            server.terminate()


@contextlib.contextmanager
def google() -> Iterator[dict[str, str]]:
    """A server with the bucket `test`; yields the environment to use it with."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="test")
    server.start()
    try:
        # NO_GCE_CHECK: nobody is asked whether this is a machine of Google's.
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}
    finally:
        server.stop()


def _wait_for(server: subprocess.Popen, address: str) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(address).close()
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            continue
        return
    raise RuntimeError(f"{server.args} ended with {server.returncode}")
