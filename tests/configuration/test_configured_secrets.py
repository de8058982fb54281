"""No job takes a secret in its configuration, wherever it stands, and none shows it."""

from pathlib import Path

import pytest

from jobs import demo, evaluate, export, inspect, mine, run, segment, serve, train
from pipeline import storage
from pipeline.configuration.paths import refuse_secrets_in
from pipeline.errors import UserError
from pipeline.storage.errors import plain_errors

SECRET = "wJalr/K7MDENG+bPx"
FORMS = [
    f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/x",
    f"https://{SECRET.replace('/', '')}@host/x",
    f"https://user:{SECRET}@host/x",
    f"https://host/x?token={SECRET}",
    f"https://host/x?X-Amz-Signature={SECRET}",
    f"https://host/x?X-Goog-Signature={SECRET}",
    f"https://x.blob.core.windows.net/c/x?sv=2024&sig={SECRET}",
    f"zip://a::s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/x.zip",
]
# Each key of each job that takes an address, in dotted form, or the arguments themselves.
CONFIGURED = [
    *((mine, f"--{key}") for key in (
        "output", "captions.path", "captions.images", "clip.architecture", "clip.weights", "proposals.options.weights",
        "proposals.options.config", "proposals.options.annotations",
    )),
    *((train, f"--{key}") for key in (
        "dataset", "output", "model.architecture", "model.weights", "validation.dataset", "data.cache",
    )),
    *((evaluate, f"--{key}") for key in ("output", "dataset.root", "clip.weights", "proposals.options.weights")),
    *((segment, f"--{key}") for key in ("output", "images", "classes_file", "clip.weights")),
    *((serve, f"--{key}") for key in ("clip.architecture", "clip.weights", "proposals.options.weights")),
    *((run, f"--{key}") for key in ("output", "mine.clip.weights", "train.model.weights", "mine.captions.path")),
    (demo, "--output"), (export, "--to"), (export, "--images"),
]  # fmt: skip
NEEDED = {
    mine: ["--output=o", "--captions.path=c", "--captions.format=coco"],
    train: ["--dataset=d", "--output=o"],
    evaluate: ["--output=o", "--dataset.kind=voc_20", "--dataset.root=r"],
    segment: ["--output=o", "--classes=dog", "photo.jpg"],
    serve: [],
    run: ["--output=o", "--mine.captions.path=c", "--mine.captions.format=coco"],
    demo: [],
    export: ["mined", "--format=coco", "--to=pairs.json"],
}


def refused(job, arguments: list[str], capsys) -> str:
    """Exit code 2 and nothing of the secret; returns what was said."""
    try:
        code = job.main(arguments)
    except SystemExit as stopped:  # as for other arguments that cannot be
        code = stopped.code
    shown = capsys.readouterr()
    assert code == 2
    assert "contains a secret" in shown.err, shown.err
    for part in (SECRET, "MDENG"):
        assert part not in shown.out + shown.err
    return shown.err


@pytest.mark.parametrize(("job", "option"), CONFIGURED, ids=lambda value: getattr(value, "__name__", value))
def test_every_key_is_asked(job, option, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for form in FORMS[:2]:
        assert option.strip("-") in refused(job, [*NEEDED[job], f"{option}={form}"], capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form, capsys):
    said = refused(train, ["--dataset=d", f"--output={form}"], capsys)
    for variable in ("AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_", "HF_TOKEN"):
        assert variable in said


@pytest.mark.parametrize(
    ("job", "arguments"),
    [
        (segment, ["--output=o", "--classes=dog", "photo.jpg", FORMS[0]]),
        (export, [FORMS[0], "--format=coco", "--to=x.json"]),
        (export, ["mined", "--format=coco", "--to", FORMS[0]]),
        (inspect, [FORMS[0], "--verify"]),
        (inspect, ["report", f"before={FORMS[0]}"]),
        (inspect, ["report", "mined", "--output", FORMS[3]]),
        (inspect, ["proposals", *NEEDED[mine], "--annotations", FORMS[3]]),
        (evaluate, ["compare", f"mined={FORMS[0]}"]),
        (train, ["export", FORMS[0], "--layout=openai", "--output=x.pt"]),
        (demo, ["--output", FORMS[0]]),
        (mine, [*NEEDED[mine], "--simulate", f"nodes=2,images=3,measured={FORMS[0]}"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_arguments_are_asked_too(job, arguments, capsys):
    refused(job, arguments, capsys)


def test_lists_and_files_are_asked_too(tmp_path, capsys):
    (tmp_path / "job.yaml").write_text(f"output: o\nclasses: dog\nimages: [a.jpg, '{FORMS[0]}']\n")
    assert "images[1] contains a secret" in refused(segment, ["--config", str(tmp_path / "job.yaml")], capsys)
    with pytest.raises(UserError, match=r"^a\.b\[0\]\.c contains a secret"):
        refuse_secrets_in({"a": {"b": [{"c": Path("x"), "d": 3}, "y"]}, "e": None} | {"a": {"b": [{"c": FORMS[0]}]}})


@pytest.mark.parametrize("uri", FORMS)
def test_errors_of_storage_show_no_secret(uri):
    for error in (FileNotFoundError(uri), OSError(f"cannot reach {uri}"), PermissionError(13, "no", uri)):
        error.__cause__ = ValueError()
        with pytest.raises(OSError) as raised, plain_errors(uri):  # noqa: PT011
            raise error
        assert "MDENG" not in str(raised.value)
    with pytest.raises(UserError) as told:
        storage.check_writable(uri.replace("s3://", "unknown://"), "output")
    assert "MDENG" not in str(told.value)
