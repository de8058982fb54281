"""What `ray job submit --working-dir .` uploads, packed by Ray's own code."""

import zipfile

import pytest
from ray._private.runtime_env.packaging import create_package

from tests.cluster.documents import REPOSITORY


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("upload") / "package.zip"
    create_package(str(REPOSITORY), target, include_gitignore=True)
    with zipfile.ZipFile(target) as archive:
        yield archive


def test_the_code_and_nothing_else(uploaded):
    names = uploaded.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops <= {"pipeline", "jobs", "schemas", "cluster", "pyproject.toml", "README.md", "LICENSE", "NOTICE"}
    assert {"jobs/run.py", "jobs/mine.yaml", "pipeline/nouns/english/tok2vec/model", "schemas/__init__.py"} <= set(
        names
    )
    assert [name for name in names if name.startswith("cluster/")] == ["cluster/wait_for.py"]
    assert not [name for name in names if "__pycache__" in name]


def test_it_is_small(uploaded):
    # The largest part is the English pipeline, 4 MB; the code is 3 MB.
    assert sum(file.file_size for file in uploaded.infolist()) < 8e6
