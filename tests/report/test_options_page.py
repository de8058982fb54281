"""What options of mining add to a dataset's page: against DuckDB on the same tables, and in a browser."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from tests.report.made_dataset import make_dataset
from tests.report.made_options import BACKENDS, SHARDS, VERIFIERS, make_dataset_with_options
from tests.report.page_data import page_json
from tests.second_opinions import write_random_opinions

if TYPE_CHECKING:
    from playwright.sync_api import Page

AGREES = '("{0}_mask_rank" + "{0}_noun_rank" = 0)'
"""Null without an opinion."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset_with_options(folder)
    return folder


@pytest.fixture(scope="module")
def report(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report") / "pairs.html"
    return Path(write_dataset_report(str(dataset), str(to), DatasetReportOptions(samples=500)))


@pytest.fixture
def page(browser_page: "Page", report: Path) -> "Page":
    """The page, showing all pairs."""
    browser_page.on("dialog", lambda dialog: pytest.fail(f"a script of the data ran: {dialog.message}"))
    browser_page.goto(report.as_uri())
    browser_page.get_by_label("Show").select_option("all")
    return browser_page


def query(dataset: Path, what: str, condition: str = "true") -> list[tuple]:
    """Of the pairs with what verifiers say of them."""
    verified = f"read_parquet('{dataset}/verified/*.parquet', union_by_name=true)"
    opinions = f"(select columns('^key$|_rank$|_score$') from {verified} where key is not null)"
    tables = f"'{dataset}/manifests/*.parquet' left join {opinions} using (key)"
    return duckdb.sql(f"select {what} from {tables} where {condition}").fetchall()


def fixed(value: float) -> str:
    """Three digits, as the page has them: of the value with six."""
    return f"{round(value, 6):.3f}"


def number_shown(page: "Page") -> int:
    found = re.search(r"of ([0-9,]+) pairs|No pair fits", page.locator("#status").text_content() or "")
    assert found
    return int(found[1] or 0)


def section(report: Path, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', report.read_text(), re.DOTALL)
    assert found
    return found[0]


def test_rows_are_those_of_the_tables(dataset: Path, report: Path) -> None:
    rows = {row["key"]: row for row in page_json(report, "rows")}
    expected = pq.read_table(dataset / "manifests").to_pylist()
    assert rows.keys() == {row["key"] for row in expected}
    for row in expected:
        shown = rows[row["key"]]
        assert shown["text"] == row["phrase"] == shown["caption"][1]
        assert shown.get("attributes", []) == row["attributes"]
        assert shown.get("negatives", []) == row["negatives"]
        assert shown["backend"] == row["backend"]
        assert shown.get("prompt") == row["prompted_by"]
        assert shown.get("prompt_score") == (row["prompted_by"] and pytest.approx(row["prompt_score"], abs=1e-4))
    columns = ", ".join(f'"{name}_{part}"' for name in VERIFIERS for part in ("score", "mask_rank", "noun_rank"))
    none = 0
    assert page_json(report, "offered")["verifiers"] == sorted(VERIFIERS)
    for key, *said in query(dataset, f"key, {columns}"):
        opinions = [tuple(said[start : start + 3]) for start in (0, 3)]
        by_name = dict(zip(VERIFIERS, opinions, strict=True))
        for name, shown in zip(sorted(VERIFIERS), rows[key]["opinions"], strict=True):
            none += shown is None
            assert shown == (None if by_name[name][0] is None else pytest.approx(by_name[name], abs=1e-4))
    assert none == 40 + SHARDS + SHARDS - 1  # a shard; and of each table one pair


def test_all_opinions_are_counted(dataset: Path, report: Path) -> None:
    text = section(report, "scores")
    for name, escaped in zip(VERIFIERS, ("so400m", "&lt;img src=x onerror=alert(7)&gt;"), strict=True):
        known = f'"{name}_mask_rank" is not null'
        found = re.search(rf'<th scope="row">{re.escape(escaped)}</th>(.*?)</tr>', text)
        assert found
        [[pairs]] = query(dataset, "count(*)", known)
        shares = [
            query(dataset, f"avg(({condition})::int)", known)[0][0]  # the unknown one has a rank of its noun
            for condition in (AGREES.format(name), f'"{name}_mask_rank" > 0', f'"{name}_noun_rank" > 0')
        ]
        expected = [str(pairs), *(f"{100 * share:.1f}\u00a0%" for share in shares)]
        assert re.findall(r'<td class="number">(.*?)</td>', found[1]) == expected
    [notice] = re.findall(r'<p class="notice">.*', text)
    assert "onerror=alert(7)&gt; has no opinion on 1 of 3 shards" in notice


def test_nouns_that_nothing_answers_are_counted(report: Path) -> None:
    assert '<dt>nouns not found</dt><dd class="value">6</dd>' in section(report, "overview")
    table = section(report, "work").partition("<h3>Nouns not found</h3>")[2]
    names = re.findall(r'<td>(.*?)</td>\s*<td class="number">3</td>', table)
    assert names == ["&lt;/script&gt;&lt;script&gt;alert(5)&lt;/script&gt;", "hope"]


def test_who_labels_is_not_told(dataset: Path, tmp_path: Path) -> None:
    page = write_dataset_report(str(dataset), str(tmp_path), DatasetReportOptions(samples=1, label=3))
    pairs = page_json(page, "label-data")["pairs"]
    assert set().union(*pairs) == {"key", "noun", "text", "caption", "stratum", "picture"}


def test_filters(page: "Page", dataset: Path) -> None:
    def ask(condition: str) -> int:
        [[count]] = query(dataset, "count(*)", condition)
        assert 0 < count < 120
        return count

    assert number_shown(page) == 120
    reset = page.get_by_role("button", name="Reset").click
    so400m, other = (AGREES.format(name) for name in VERIFIERS)
    chosen: list[tuple[str, Callable[[str], object], str, str]] = [
        ("Attribute", page.get_by_label("Attribute").fill, "RED", "list_has_any(attributes, ['red', 'dark red'])"),
        ("Negatives", page.get_by_label("Hard negatives").select_option, "without", "len(negatives) = 0"),
        ("Backend", page.get_by_label("Mask of").select_option, BACKENDS[2], f"backend = '{BACKENDS[2]}'"),
    ]
    verdicts = {
        "all verifiers agree": f"coalesce({so400m}, {other}) and coalesce({other}, true) and coalesce({so400m}, true)",
        "a verifier disagrees": f"not coalesce({so400m}, true) or not coalesce({other}, true)",
        "so400m agrees": so400m,
        f"{VERIFIERS[1]} disagrees": f"not {other}",
    }
    chosen += [
        ("Verdict", page.get_by_label("Second opinion").select_option, text, condition)
        for text, condition in verdicts.items()
    ]
    for name, choose, value, condition in chosen:
        choose(value)
        assert number_shown(page) == ask(condition), (name, value)
        reset()
        page.get_by_label("Show").select_option("all")
        assert number_shown(page) == 120
    for _, choose, value, _ in (*chosen[:2], chosen[4]):
        choose(value)
    assert number_shown(page) == ask(f"{chosen[0][3]} and {chosen[1][3]} and ({chosen[4][3]})")


def test_cards_say_it_in_words(page: "Page", dataset: Path) -> None:
    page.get_by_label("Sort by").first.select_option("prompt score")
    page.get_by_label("Per page").select_option("96")
    parts = ("key", "attributes", "negatives", "proposer")
    cards = page.locator("#cards > li").evaluate_all(
        """(cards, parts) => cards.map((card) => [
            ...parts.map((name) => card.querySelector(`p[data-of=${name}]:not([hidden])`)?.textContent ?? ""),
            [...card.querySelectorAll("tbody tr")].map((line) => [...line.cells].map((cell) => cell.textContent)),
        ])""",
        parts,
    )
    names = sorted(VERIFIERS)
    columns = ", ".join(f'"{name}_{part}"' for name in names for part in ("score", "mask_rank", "noun_rank"))
    what = f"key, noun, attributes, negatives, backend, prompted_by, prompt_score, clip_score, noun_margin, {columns}"
    expected = {row[0]: row[1:] for row in query(dataset, what)}
    scores = []
    for key, attributes, negatives, proposer, opinions in cards:
        noun, words, texts, backend, prompt, score, own, margin, *said = expected[key.split(" ")[0]]
        assert attributes == (f"Attributes of {noun}: {words[0]}" if words else "")
        assert negatives == (f"Hard negatives: {', '.join(texts)}" if texts else "")
        asked = f"asked for by “{prompt}”: {score:.3f}" if prompt else "not asked for by a name"
        assert proposer == f"Mask of {backend}, {asked}"
        scores.append(score)
        first, *others = opinions
        assert first == ["CLIP", fixed(own), "best", "not best" if margin < 0 else "best", ""]
        for name, found, start in zip(names, others, (0, 3), strict=True):
            value, *ranks = said[start : start + 3]
            if value is None:
                assert found == [name, "–", "–", "–", "no opinion"]
                continue
            verdict = "disagrees" if any(ranks) else "agrees"
            better = [f"{rank} better" if rank else "best" for rank in ranks]
            assert found == [name, fixed(value), *better, verdict]
    known = sorted((score for score in scores if score is not None), reverse=True)
    assert scores == known + [None] * (len(scores) - len(known))
    assert page.locator("#cards script, #cards p img, #cards table img").count() == 0


def test_without_options_a_page_has_nothing_of_them(browser_page: "Page", tmp_path: Path) -> None:
    plain = {"backend": "segments"}
    make_dataset(tmp_path, ["dog", "cat", "sky", "bus"], shards=1, images_per_shard=4, options=lambda row: plain)
    page = Path(write_dataset_report(str(tmp_path)))
    browser_page.goto(page.as_uri())
    assert browser_page.locator("#cards > li").count() == 12
    assert browser_page.locator("#attribute, #negatives, #backend, #verdict, .opinions").count() == 0
    assert set(browser_page.locator("#cards p:visible").evaluate_all("(all) => all.map((one) => one.dataset.of)")) <= {
        None,
        "others",
        "key",
    }
    assert "not found" not in page.read_text().lower()


def test_tables_of_other_pairs_are_no_opinion_and_other_clips_are_told(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["dog", "cat", "sky", "bus"], shards=3, images_per_shard=4)
    for shard in range(3):
        write_random_opinions(tmp_path, shard, shard, so400m={"sha256": str(shard)})
    shutil.copy(tmp_path / "verified" / "000001.parquet", tmp_path / "verified" / "000002.parquet")
    text = section(Path(write_dataset_report(str(tmp_path))), "scores")
    assert "so400m has no opinion on 1 of 3 shards" in text
    assert "so400m is not the same CLIP in all shards" in text
    (tmp_path / "verified" / "000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"verified/000000\.parquet is damaged"):
        write_dataset_report(str(tmp_path))
