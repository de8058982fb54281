"""SQL expressions of configurations: one value for each pair, the same every time, and nothing but the pairs."""

import numpy as np
import pyarrow as pa
import pytest

import schemas
from pipeline.errors import UserError
from pipeline.training.condition import filter_pairs
from pipeline.training.expression import parse_expression

PAIRS = 4000


def pairs(seed: int = 0) -> pa.Table:
    """Few nouns and scores, so that many are equal."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "key": [f"{number:06d}-00000-000" for number in range(PAIRS)],
            "noun": rng.choice(["dog", "cat", "sky"], PAIRS, p=[0.7, 0.2, 0.1]),
            "clip_score": (rng.integers(0, 9, PAIRS) / 8).astype(np.float32),
            "mask_margin": pa.array(rng.random(PAIRS), mask=rng.random(PAIRS) < 0.3),
        }
    )


def kept(table: pa.Table, where: str) -> np.ndarray:
    return filter_pairs(table, parse_expression("data.where", where))["key"].to_numpy()


def test_the_best_of_each_noun():
    frame = pairs().to_pandas()
    ranks = frame.groupby("noun")["clip_score"].rank(method="min", ascending=False) - 1
    counts = frame.groupby("noun")["key"].transform("count")
    where = "percent_rank() over (partition by noun order by clip_score desc) < 0.6"
    assert list(kept(pairs(), where)) == list(frame["key"][ranks / (counts - 1) < 0.6])


def test_a_window_over_neighbours_and_nouns_that_are_frequent():
    frame = pairs().to_pandas()
    mean = frame.groupby("noun")["clip_score"].transform("mean")
    frequent = frame.groupby("noun")["key"].transform("count") > 500
    where = "clip_score > avg(clip_score) over (partition by noun) and count(*) over (partition by noun) > 500"
    assert list(kept(pairs(), where)) == list(frame["key"][(frame["clip_score"] > mean) & frequent])
    named = "noun in (select noun from pairs group by noun having count(*) > 500)"
    assert list(kept(pairs(), named)) == list(frame["key"][frequent])


def test_null_is_false():
    table = pairs()
    known = table.filter(pa.compute.greater(table["mask_margin"], 0.5))["key"].to_pylist()
    assert list(kept(table, "mask_margin > 0.5")) == known
    both = len(known) + len(kept(table, "not mask_margin > 0.5"))
    assert both == PAIRS - table["mask_margin"].null_count


@pytest.mark.parametrize(
    "where",
    [
        "row_number() over (partition by noun order by clip_score desc) <= 100",
        "ntile(7) over (order by clip_score) = 3",
        "sum(mask_margin) over (order by clip_score rows between 9 preceding and current row) > 3.5",
        "noun = first_value(noun) over (partition by clip_score)",
        "key in (select key from pairs order by clip_score limit 50)",
    ],
)
def test_what_sql_leaves_open_is_the_same_every_time(where):
    found = [kept(pairs(), where) for _ in range(3)]
    assert 0 < len(found[0]) < PAIRS
    assert (np.diff(np.unique(found[0], return_index=True)[1]) > 0).all()  # sorted by key
    for again in found[1:]:
        assert list(again) == list(found[0])


def test_ties_can_be_broken_by_key():
    frame = pairs().to_pandas().sort_values(["clip_score", "key"], ascending=[False, True])
    where = "row_number() over (partition by noun order by clip_score desc, key) <= 100"
    assert sorted(frame.groupby("noun").head(100)["key"]) == list(kept(pairs(), where))


@pytest.mark.parametrize(
    "text",
    [
        "true) from pairs where (true",
        "true) from pairs --",
        "true), (false",
        "true, false",
        "true as kept",
        "kept: true",
        "distinct true",
        "true from pairs",
        "true where false",
        "true group by all",
        "true limit 1",
        "true qualify true",
        "true using sample 5",
        "true union all select true",
        "true; select true",
        "true; drop table pairs",
        "true) ; drop table pairs; select (true",
        "true /*",
        "true --\n, false",
        "rank() over w < 3 window w as (order by key)",
        "$1",
        "?",
        "*",
        "columns('clip.*|mask.*') > 0",
        "unnest([true, true])",
        "",
        "-- nothing",
        "\x00",
        "\udcff = 'x'",
        "not " * 5000 + "true",
        "(" * 3000 + "true" + ")" * 3000,
    ],
)
def test_what_is_not_one_expression_is_refused(text):
    with pytest.raises(UserError, match=r"(?s)^data\.weight: .* is no expression over the pairs: .*columns: key, "):
        parse_expression("data.weight", text).over(pairs(), "boolean")


def test_comments_are_no_harm():
    assert len(kept(pairs(), "clip_score > 0.5 -- the better half")) == len(kept(pairs(), "clip_score > /* */ 0.5"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("random() over () < 1", "random"),
        ("sum(random()) over (partition by noun) < 5", "random"),
        ("rank() over (order by random()) < 5", "random"),
        ("rank() over (partition by noun order by clip_score + random()) < 5", "random"),
        ("clip_score > (select avg(random()) from pairs)", "random"),
        ("exists (select * from query('select 1 where random() < 0.5'))", "query"),
        ("(select count(*) from query_table('pairs')) > 5", "query_table"),
        ("ago(interval 1 day) > timestamp '2020-01-01'", "ago"),
        ("list_transform([1], lambda x: random())[1] < 0.5", "random"),
        ("current_setting('threads')::int > 1", "current_setting"),
        ("key in (select key from (select * from pairs using sample 10%))", "tablesample"),
        ("case when now() > '2020-01-01' then 1 else 2 end", "now"),
    ],
)
def test_what_is_something_else_every_time_is_refused(text, named):
    with pytest.raises(UserError, match=rf"(?s)^data\.weight: .* uses {named}, which gives other pairs every time"):
        parse_expression("data.weight", text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(select max(1) from read_csv('/etc/passwd')) > 0", "file system operations are disabled"),
        ("(select count(*) from '/etc/passwd') over () > 0", "Parser Error"),
        ("count(*) over (partition by (select 1 from glob('/*') limit 1)) > 0", "file system operations are disabled"),
        ("exists (select * from samples)", "does not exist"),
        ("noun", "Conversion Error"),
        ("count(*) > 1", "aggregates need a window"),
        ("max(clip_score) over (partition by nuon) > 0", '"nuon" not found.*columns: key, .*, and p_right where'),
        ("p_right > 0.5", '"p_right" not found.*python -m jobs.inspect quality'),
    ],
)
def test_it_sees_the_pairs_and_nothing_else(text, reason):
    samples = pairs()
    assert len(samples)
    with pytest.raises(UserError, match=rf"(?s)^data\.where: .*{reason}"):
        kept(pairs(), text)


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("p_right > 0.5", True),
        ("P_Right > 0.5", True),
        ("rank() over (order by pairs.p_right) < 9", True),
        ('key in (select p.key from pairs p where p."p_right" > 0.5)', True),
        ("noun <> 'p_right'", False),
        ("clip_score > 0.5 -- p_right", False),
    ],
)
def test_it_is_known_whether_it_names_a_column(text, judged):
    assert ("p_right" in parse_expression("data.where", text).names) == judged


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("clip_score > 0.5 and hash(Key) % 2 = 0", {"clip_score", "key"}),
        ("count(*) over (partition by noun order by mask_margin) > 2", {"noun", "mask_margin"}),
        ("clip_score > (select 0.5)", None),
        ("max(columns('clip.*')) over () > 0.5", None),
        ("hash(pairs) % 2 = 0", None),
        ("pairs.clip_score > 0", None),
        ("list_sum(list_transform([clip_score], lambda x: x)) > 0", None),
    ],
)
def test_only_the_columns_that_it_needs_are_read(text, columns):
    assert parse_expression("data.where", text).columns == (columns or {*schemas.MANIFEST.names, "p_right"})
