"""`python -m jobs.inspect report`: what it recognises, what it refuses, and that a report is no part of a dataset."""

import shutil
from pathlib import Path

import pytest

from jobs import inspect as inspect_job
from pipeline import storage
from pipeline.configuration.overwriting import clear
from pipeline.dataset import layout as dataset_layout
from pipeline.inspection.verify import verify
from pipeline.report.directory import kind_of_output
from pipeline.report.overview import Work, write_overview
from pipeline.training import run_directory as training_layout
from tests.report.made import made_evaluation, made_run


@pytest.fixture(scope="module")
def outputs(mined, world, tmp_path_factory) -> dict[str, Path]:
    """By kind, an output directory. Tests only read them."""
    folder = tmp_path_factory.mktemp("outputs")
    return {
        "dataset": mined,
        "training": made_run(folder),
        "evaluation": made_evaluation(world, folder / "evaluated", 0.3),
    }


def test_what_lies_there_is_recognised(outputs):
    assert {kind: kind_of_output(str(path)) for kind, path in outputs.items()} == {kind: kind for kind in outputs}


def test_the_command_writes_a_page_into_the_directory(outputs, tmp_path, capsys):
    for kind, path in outputs.items():
        output = Path(shutil.copytree(path, tmp_path / kind))
        assert inspect_job.main(["report", str(output)]) == 0
        assert capsys.readouterr().out.strip() == f"{output}/report/index.html"
        assert "<!doctype html>" in (output / "report" / "index.html").read_text()
    assert verify(str(tmp_path / "dataset")) == []
    clear(str(tmp_path / "dataset"), "mine", dataset_layout.OWN_FILES)
    clear(str(tmp_path / "training"), "train", training_layout.OWN_FILES)
    for kind in ("dataset", "training"):
        assert not (tmp_path / kind / "report").exists()


@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_a_report_on_s3_is_shown_as_s3_hands_it_out(s3, s3_uri, outputs, browser_page, capsys):
    for path in outputs["dataset"].rglob("*.*"):
        storage.upload(path, f"{s3_uri}/mined/{path.relative_to(outputs['dataset'])}")
    assert inspect_job.main(["report", f"{s3_uri}/mined"]) == 0
    assert capsys.readouterr().out.strip() == f"{s3_uri}/mined/report/index.html"
    place = {"Bucket": s3_uri.removeprefix("s3://"), "Key": "mined/report/index.html"}
    browser_page.goto(s3.client().generate_presigned_url("get_object", Params=place))
    noun = storage.read_table(f"{s3_uri}/mined/manifests/000000.parquet")["noun"][0].as_py()
    browser_page.get_by_label("Noun", exact=True).fill(f'"{noun}"')
    assert set(browser_page.locator("#cards h3 bdi").all_text_contents()) == {noun}
    assert browser_page.locator("#cards img").first.evaluate("image => image.decode().then(() => image.naturalWidth)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{dataset}", "{training}"], "only evaluations can be shown side by side"),
        (["a={evaluation}", "b={evaluation}"], "say with --output where it goes"),
        (["{training}", "--annotations=panoptic.json"], "--annotations: they belong to a mined dataset"),
        (["{evaluation}", "--samples=0"], "--samples is 0"),
        (["{training}", "--label=50"], "--label: pairs of a mined dataset are labelled"),
        (["{dataset}", "--label=0"], "--label is 0"),
        (["{nothing}"], "no config.yaml"),
        (["/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_is_refused(outputs, tmp_path, arguments, message, capsys):
    places = {**outputs, "nothing": tmp_path}
    assert inspect_job.main(["report", *(argument.format(**places) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_pages_of_jobs_that_belong_together(outputs, world, tmp_path, browser_page):
    better = made_evaluation(world, tmp_path / "better", 0.1)
    work = Work(
        title="All of it",
        mined=str(outputs["dataset"]),
        trained={"full": str(outputs["training"])},
        evaluated=[("CLIP", str(outputs["evaluation"])), ("CLIP", str(better))],
        annotations=str(world / "panoptic.json"),
    )
    browser_page.goto(Path(write_overview(work, str(tmp_path / "report"))).as_uri())
    pairs = str(sum(len(storage.read_table(str(path))) for path in (outputs["dataset"] / "manifests").iterdir()))
    assert pairs in browser_page.locator(".figures .value").all_text_contents()
    assert browser_page.get_by_role("rowheader", name="CLIP, better").is_visible()
    for link in ("Look at the pairs", "full", "Look at classes and images"):
        browser_page.get_by_role("link", name=link).click()
        browser_page.get_by_role("heading", level=1).wait_for()
        assert "All of it" not in browser_page.title()
        browser_page.go_back()
    assert browser_page.title() == "All of it"
