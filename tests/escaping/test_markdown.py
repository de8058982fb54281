"""Data in Markdown stays text."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.dataset.layout import Layout
from pipeline.dataset.opening import MinedDataset
from pipeline.escaping.markdown import code, escaped
from pipeline.export.card import dataset_card as exported_card
from pipeline.mining.summary import dataset_card

HOSTILE = (
    "[a](http://evil.example)", "<script>alert(1)</script>", "![x](y.png)", "x | y", "`", "a``b", "\\", "# a",
    "\n# a\n", "*a*", "_a_", "~~a~~", "<http://a.b>", "&lt;", "---", "\n---\nlicense: x\n---\n", "1. a", "- a", "> a",
    "|---|", "https://a.b", "www.evil.example", "\u2028# a", "a\tb", "[x]: http://a.b", "\u202ea", "",
)  # fmt: skip
parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
texts = st.text(st.one_of(st.sampled_from("[](){}<>`*_|#\\!&~-=+:.\n\r\t /"), st.characters()), max_size=30)


def tokens(markdown: str) -> list:
    found = []
    for token in parser.parse(markdown):
        found += [token, *(token.children or [])]
    return found


@given(texts)
def test_text_stays_text(text):
    for content in (escaped(text), f"before {escaped(text)} after"):
        assert {token.type for token in tokens(content)} <= {
            "paragraph_open",
            "inline",
            "text",
            "text_special",
            "paragraph_close",
        }
    shown = "".join(token.content for token in tokens("x" + escaped(text) + "x") if token.type.startswith("text"))
    assert [character for character in shown[1:-1] if character.isalnum()] == [c for c in text if c.isalnum()]


@given(texts)
def test_code_is_one_piece_of_code(text):
    found = [token for token in tokens(f"before {code(text)} after") if token.type not in ("text", "inline")]
    assert [token.type for token in found] == ["paragraph_open", "code_inline", "paragraph_close"]


@given(texts)
def test_a_cell_of_a_table_stays_one(text):
    table = f"| a | b |\n|---|---|\n| {escaped(text)} | {code(text, in_table=True)} |\n"
    assert [token.type for token in tokens(table)].count("td_open") == 2
    assert [token.type for token in tokens(table)].count("code_inline") == 1


def test_no_data_becomes_a_link_a_heading_or_html_in_a_dataset_card():
    plain, hostile = structure("data"), [structure(text) for text in HOSTILE if text]
    assert all(found == plain for found in hostile)
    assert not {"link_open", "html_inline", "html_block", "image"} & {kind for kind, _ in plain}


def structure(text: str) -> list:
    """What the cards of a dataset consist of, all of whose texts are this one."""
    description = {
        "configuration": {
            "captions": {"format": text, "path": text}, "captions_per_image": text, "proposals": {"backend": text},
            "clip": {"architecture": text, "weights": text, "templates": text},
        },
        "models": {"nouns": {"name": text}, "proposals": {"name": text}, "clip": {"sha256": text}},
        "fingerprint": text,
    }  # fmt: skip
    totals = {"pairs": 1, "nouns": 1, "images": 1, "images_with_pairs": 1, "shards": 1}
    card = dataset_card(totals | {"top_nouns": {text: 1}, "rejected": {f"images: {text}": 1}}, description)
    exported = exported_card(MinedDataset(Layout("mined"), description, [0], complete=True), 1)
    assert card.startswith("---\ntags: [mask-adapted-clip, region-text, webdataset]\n---\n# Region")
    kinds = []
    for written in (card, exported):
        kinds += [(token.type, token.tag) for token in tokens(written.split("\n---\n", 1)[1])]
    return [kind for kind in kinds if kind[0] not in ("text", "text_special", "softbreak")]
