"""What a job says of a key that is none and of a value of a wrong type: in words of a configuration, not of Python."""

import pytest

from jobs import mine

NEEDED = ["--captions.format=coco", "--captions.path=captions.json", "--output=out"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--images.max_side=null", 'key "images.max_side": Expected int. Got value: null'),
        ("--images.max_side=wide", 'key "images.max_side": Expected int. Got value: wide'),
        ("--limit=few", 'key "limit": Expected int at least 1 or null. Got value: few'),
        ("--captions.columns=5", 'key "captions.columns": Expected list[str] or null. Got value: 5'),
        ("--nouns.form=lema", 'key "nouns.form": Expected one of lemma, surface, phrase. Got value: lema'),
        ("--nouns.min_cout=2", "nouns.min_cout is no key; did you mean nouns.min_count"),
    ],
)
def test_a_wrong_value_or_key_ends_with_what_is_allowed(argument, said, capsys):
    with pytest.raises(SystemExit) as caught:
        mine.main([*NEEDED, argument])
    assert caught.value.code == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "<class" not in shown


def test_a_misspelt_key_of_a_file_is_told_with_the_nearest(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("nouns: {min_cont: 2}\n")
    with pytest.raises(SystemExit) as caught:
        mine.main([*NEEDED, "--config", str(tmp_path / "mine.yaml")])
    assert caught.value.code == 2
    assert "nouns.min_cont is no key; did you mean nouns.min_count" in capsys.readouterr().err
