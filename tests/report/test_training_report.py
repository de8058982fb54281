"""The page of a training run: its numbers against the run's own tables, and what it does where something is missing."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import UserError
from pipeline.report.training import write_training_report
from pipeline.report.training.reading import changes, noun_gains, read_run
from tests.report.made import HOSTILE, STEPS, made_run
from tests.report.page_data import assert_fits


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A complete run. Tests only read it."""
    return made_run(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def page(run, tmp_path_factory) -> Path:
    """Its report, with two examples of each kind."""
    return Path(write_training_report(str(run), str(tmp_path_factory.mktemp("page")), examples=2))


def joined(run: Path) -> duckdb.DuckDBPyRelation:
    """What each region was nearest to before training, and after it."""
    before, after = (f"{run}/nearest/{name}.parquet" for name in ("full-0000000", "mask_prompt-0000020"))
    return duckdb.sql(
        "SELECT key, b.noun AS noun, b.nearest AS before, a.nearest AS after, b.rank AS was, a.rank AS becomes "
        f"FROM '{before}' b JOIN '{after}' a USING (key)"
    )


def test_gains_of_nouns(run):
    validations = read_run(str(run)).validations
    gains = noun_gains(validations[0].regions, validations[-1].regions)
    expected = joined(run).aggregate(
        "noun, count(*), count(*) FILTER (before = noun), count(*) FILTER (after = noun)", "noun"
    )
    assert {(row.noun, row.regions, row.before, row.after) for row in gains} == set(expected.fetchall())
    won = [row.after - row.before for row in gains]
    assert won == sorted(won, reverse=True)


def test_regions_that_changed(run):
    validations = read_run(str(run)).validations
    learnt, lost = changes(validations[0].regions, validations[-1].regions)
    for found, condition, rank in (
        (learnt, "before != noun AND after = noun", "was"),
        (lost, "before = noun AND after != noun", "becomes"),
    ):
        expected = joined(run).filter(condition).order(f"{rank} DESC, key").project(f"key, noun, before, after, {rank}")
        assert [(row.key, row.noun, row.before, row.after, row.rank) for row in found] == expected.fetchall()
        assert found


def test_steps_are_counted_over_all_stages(run):
    totals = [row["total"] for row in read_run(str(run)).metrics if row["loss"] is not None]
    assert totals == list(range(5, sum(STEPS.values()) + 1, 5))


def test_what_the_page_says(run, page):
    html = page.read_text()
    first, *_, last = read_run(str(run)).validations
    for validation in (first, last):
        assert f"{100 * validation.top1:.1f}\N{NO-BREAK SPACE}%" in html
    for now, right in ((True, "rightly"), (False, "wrongly")):
        count = len(joined(run).filter(f"(after = noun) = {now} AND (before = noun) != {now}").fetchall())
        assert f"{right} after it: {count} held-out regions" in html
    assert html.count('<article class="card"') == 4
    assert html.count("data:image/webp;base64,") == 8
    assert "25.0 % of the time went into waiting for data" in html
    assert HOSTILE not in html


def test_the_same_page_again(run, page, tmp_path):
    assert Path(write_training_report(str(run), str(tmp_path / "a.html"), examples=2)).read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("run/nearest", "This run was made by an older version"),
        ("pairs", "The regions cannot be shown"),
        ("run/samples.parquet", "The regions cannot be shown"),
    ],
)
def test_what_is_not_there_any_more_is_said(tmp_path, gone, said):
    run, path = made_run(tmp_path), tmp_path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    html = Path(write_training_report(str(run), str(tmp_path / "page"))).read_text()
    assert said in html
    assert '<article class="card"' not in html


def test_nothing_held_out(tmp_path):
    html = Path(write_training_report(str(made_run(tmp_path, held_out_share=0.0)), str(tmp_path / "page"))).read_text()
    assert "This run held no regions out" in html
    assert re.search(r"<h3>Loss</h3>", html)


def test_a_run_that_is_not_complete(tmp_path):
    run = made_run(tmp_path)
    (run / "result.json").unlink()
    with pytest.raises(UserError, match=r"no result\.json: the run is not complete"):
        write_training_report(str(run), str(tmp_path / "page"))


def test_the_table_sorts_and_filters(run, page, browser_page):
    browser_page.goto(page.as_uri())
    table = browser_page.locator("#noun-table")
    rows = {row[0]: row[1] for row in joined(run).aggregate("noun, count(*)", "noun").fetchall()}

    def column(number: int) -> list[str]:
        return table.locator(f"tbody tr:visible > :nth-child({number})").all_text_contents()

    assert sorted(column(1)) == sorted(rows)  # the hostile noun is there, as text
    table.get_by_role("button", name="regions").click()
    assert [int(count) for count in column(2)] == sorted(rows.values(), reverse=True)
    table.get_by_role("button", name="regions").press("Enter")
    assert [int(count) for count in column(2)] == sorted(rows.values())
    browser_page.get_by_label("Find a noun").fill("ZEB")
    assert column(1) == ["zebra"]
    assert browser_page.get_by_text(f"1 of {len(rows)} rows").is_visible()


@pytest.mark.parametrize("width", [360, 1920])
def test_it_fits(page, browser_page, width):
    assert_fits(page, browser_page, width)


def test_what_was_kept_of_whole_images_and_between_the_weights(tmp_path):
    """Curves of every set, the trade between gain and loss, and the share that was chosen."""
    run = made_run(tmp_path)
    path = run / "result.json"
    result = json.loads(path.read_text()) | {"fingerprint": "this one"}
    result["retention"] = [
        {
            "after": after,
            "epoch": epoch,
            "retention": top1,
            "sets": {f"imagenet/{HOSTILE}": {"top1": top1, "images": 9}},
        }
        for after, epoch, top1 in (("original", 0, 0.61234), ("full", 1, 0.5), ("full", 2, 0.41))
    ]
    path.write_text(json.dumps(result))
    html = Path(write_training_report(str(run), str(tmp_path / "page"))).read_text()
    assert "Whole images" in html
    assert "61.2" in html
    assert HOSTILE not in html
    assert "Gain against what is kept" not in html

    points = [
        {"alpha": alpha, "accuracy": accuracy, "miou": None, "retention": kept, "lost": 61 - 100 * kept, "sets": {}}
        for alpha, accuracy, kept in ((0.0, 0.3, 0.61), (0.5, 0.45, 0.605), (1.0, 0.47, 0.41))
    ]
    interpolated = {"rule": "most of it", "gain": "accuracy", "chosen": 0.5, "points": points}
    (run / "interpolation").mkdir()
    for fingerprint, shown in (("this one", True), ("of an earlier run", False)):
        content = json.dumps(interpolated | {"fingerprint": fingerprint})
        (run / "interpolation" / "result.json").write_text(content)
        html = Path(write_training_report(str(run), str(tmp_path / "page"))).read_text()
        assert ("Gain against what is kept" in html) == shown
        assert ("Chosen: most of it" in html) == shown
        assert ("0.5, chosen" in html) == shown
        assert ("+20.00" in html) == shown
