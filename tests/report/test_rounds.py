"""The rounds of a chain as cells of a table."""

from pipeline.report.rounds import COLUMNS, round_cells

LABELLED = {"right": 3, "right_kept": 2, "wrong": 1, "wrong_left": 1, "precision": [0.5, 0.75]}
DECISION = {"number": 1, "stops": True, "eligible": True, "reasons": ["accuracy -2.0 points against the best before"]}
LATER = {
    "number": 1,
    "pairs": 12345,
    "nouns": 42,
    "accuracy": 0.5,
    "regions": 0,
    "retention": 0.35,
    "agreement": 0.8,
    "surviving_nouns": 1.0,
    "labelled": LABELLED,
    "miou": None,
    "decision": DECISION,
}
FIRST = LATER | {
    "number": 0,
    "agreement": None,
    "surviving_nouns": None,
    "labelled": LABELLED | {"right_kept": 3, "wrong_left": 0, "precision": [0.625, 0.625]},
    "accuracy": 0.52,
    "decision": {"number": 0, "stops": False, "eligible": True, "reasons": []},
}
RESULT = {"best": 0, "chosen_by": "accuracy", "original": {"retention": 0.4}, "rounds": [FIRST, LATER]}


def cells(row: dict, result: dict = RESULT) -> dict[str, str]:
    return dict(zip(COLUMNS, round_cells(row, result), strict=True))


def test_a_round_in_words():
    assert cells(LATER) == {
        "round": "1",
        "pairs": "12,345",
        "nouns": "42",
        "precision": "50.0–75.0 %",
        "agreement": "80.0 %",
        "nouns kept": "100.0 %",
        "retention": "35.0 % (-5.0)",
        "accuracy": "50.0 %",
        "mIoU": "–",
        "decision": "accuracy -2.0 points against the best before; stop",
    }


def test_what_is_not_known_is_a_dash():
    found = cells(FIRST)
    assert (found["precision"], found["agreement"], found["decision"]) == ("62.5 %", "–", "best")
    unknown = cells(LATER | {"labelled": None, "retention": None})
    assert (unknown["precision"], unknown["retention"]) == ("–", "–")
    assert cells(LATER, RESULT | {"original": {"retention": None}})["retention"] == "35.0 %"
