"""What a YAML configuration of detectron2 may be built upon."""

import pytest

from pipeline.errors import UserError
from pipeline.proposals.detectron2_bases import check_bases


def test_files_beside_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.yaml").write_text("MODEL: {}\n")
    (tmp_path / "sub" / "middle.yaml").write_text("_BASE_: ../base.yaml\n")
    (tmp_path / "top.yaml").write_text(f"_BASE_: [sub/middle.yaml, {tmp_path}/base.yaml]\n")
    check_bases(tmp_path / "top.yaml")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("_BASE_: https://host/evil.yaml", "has to be a file on this machine"),
        ("_BASE_: [detectron2://evil.yaml]", "has to be a file on this machine"),
        ("_BASE_: {a: b}", "has to be a file on this machine"),
        ("_BASE_: base.yaml", "leads in a circle"),
        ("_BASE_: nothing.yaml", "nothing.yaml cannot be read: FileNotFoundError"),
        ("MODEL: !!python/object/apply:os.mkdir [made]", "cannot be read: "),
        ("_BASE_: [", "cannot be read: "),
    ],
)
def test_bases_that_lead_elsewhere(tmp_path, monkeypatch, base, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "top.yaml").write_text("_BASE_: base.yaml")
    with pytest.raises(UserError, match=rf"^proposals\.options\.config: .*{message}"):
        check_bases(tmp_path / "top.yaml")
    assert not (tmp_path / "made").exists()
