"""What captions hold beside words must neither become a noun nor move the places of the others."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.nouns import NounExtractor, union
from pipeline.nouns.text import tagger_text


@pytest.fixture(scope="module")
def extractor() -> NounExtractor:
    return NounExtractor("bundled")


CAPTIONS = [
    # Entities, also escaped twice, without a semicolon, in capitals, and those of invisible characters.
    ("a dog &amp; a cat", ["dog", "cat"]),
    ("&quot;a dog&quot; on the grass", ["dog", "grass"]),
    ("a dog&amp;quot;on grass", ["dog", "grass"]),
    ("a dog &amp;amp;amp; a cat", ["dog", "cat"]),
    ("the dog&#39;s bowl &ndash; a cat", ["dog", "bowl", "cat"]),
    ("the dog&#x2019;s bowl&mdash;a cat", ["dog", "bowl", "cat"]),
    ("TWO DOGS &AMP; A CAT &NBSP; ON GRASS", ["dog", "cat", "grass"]),
    ("a dog &ndash a cat&nbsp", ["dog", "cat"]),
    ("a table with caf&eacute; chairs", ["table", "café", "chair"]),
    ("a foot&shy;ball on grass&#x200b;", ["football", "grass"]),
    ("a fire&nbsp;hydrant&hellip;a bench", ["fire hydrant", "bench"]),
    ("a dog &#99999999999999999999; &#xFFFFFFFFFF; a cat", ["dog", "cat"]),
    # Tags, whole and cut off; what looks like one and is none.
    ("<p>A dog</p><br/>on grass", ["dog", "grass"]),
    ("a dog<br>a cat", ["dog", "cat"]),
    ('<a href="http://a.b/bird.jpg" title="a bird">A dog</a> on grass', ["dog", "grass"]),
    ("a dog <img src=x onerror=alert(1)> on the grass", ["dog", "grass"]),
    ("<script>var bird = 1;</script><!-- a bird -->a dog", ["dog"]),
    ("&lt;b&gt;a dog&lt;/b&gt; on grass", ["dog", "grass"]),
    ('a dog on grass <a href="http://a.b', ["dog", "grass"]),
    ("a dog on grass</", ["dog", "grass"]),
    ("a dog <bird> on the grass", ["dog", "bird", "grass"]),
    ("a <thing>dog</thing> on the grass", ["dog", "grass"]),
    ("a dog < the cat > a bird", ["dog", "cat", "bird"]),
    ("<|endoftext|>a dog<s>", ["dog"]),
    # Characters that nobody sees.
    ("\ufeffa dog\u200b on \u202egrass\u202c", ["dog", "grass"]),
    ("a dog\u200bcat", ["dog", "cat"]),  # a place to break a line between words
    ("a foot\u00adball, a d\u200co\u2060g", ["football", "dog"]),
    ("a dog\x00cat\x07horse", ["dog", "cat", "horse"]),
    ("a dog\U000e0041 and a cat\ufe0f", ["dog", "cat"]),
    # Letters written in other ways.
    ("a cafe\u0301 beside a café", ["café", "café"]),
    ("d\u0337o\u0337g\u0337 on grass", ["dog", "grass"]),
    ("ａ ｄｏｇ；ａ ｃａｔ", ["dog", "cat"]),
    ("a 𝐝𝐨𝐠 and a 𝓬𝓪𝓽 with a ﬁsh", ["dog", "cat", "fish"]),
    ("the dog\u2019s bowl and a tee\u2011shirt", ["dog", "bowl", "tee shirt"]),
    # Punctuation without a space.
    ("a red dog;a cat", ["dog", "cat"]),
    ("a dog!A cat?a bird", ["dog", "cat", "bird"]),
    ("two dog(s)?a cat", ["dog", "cat"]),
    ("a dog(a cat)[a bird]{a horse}", ["dog", "cat", "bird", "horse"]),
    ("a dog.A cat.a bird...a horse", ["dog", "cat", "bird", "horse"]),
    ('a "dog"and a "cat"', ["dog", "cat"]),
    ("a dog|a cat\\a bird*a horse", ["dog", "cat", "bird", "horse"]),
    ("a dog,a cat:a bird/a horse", ["dog", "cat", "bird", "horse"]),
    ("*a dog* _a cat_ `a bird` ~a horse~", ["dog", "cat", "bird", "horse"]),
    ("a dog…a cat•a bird—a horse", ["dog", "cat", "bird", "horse"]),
    ("a dog&cat, a dog+cat, a dog=cat", ["dog", "cat"] * 3),
    ("a dog™ and a cat® for $5", ["dog", "cat"]),
    ("a dog -cat", ["dog", "cat"]),
    ("a .dog and a cat..", ["dog", "cat"]),
    # Titles out of addresses, and file names.
    ("red%20dog+on+grass", ["dog", "grass"]),
    ("a%20dog%2C%20a%2520cat%20in%20a%20caf%C3%A9", ["dog", "cat", "café"]),
    ("a red%20dog near a cat", ["dog", "cat"]),
    ("red_dog_on_grass_01.jpg", ["dog", "grass"]),
    ("dog-on-the-grass.JPEG", ["dog", "grass"]),
    ("a dog IMG_1234.jpg on grass DSC00012", ["dog", "grass"]),
    ("IMG_1234.jpg", []),
    ("a caf\\u00e9\\nwith a dog", ["café", "dog"]),
    # Addresses, people, labels, pictures.
    ("a dog http://a.b/bird?cat=horse&amp;x=1 on grass", ["dog", "grass"]),
    ("a dog (www.birds.com) on birds.co.uk/cat grass", ["dog", "grass"]),
    ("a dog by me.too@birds.org and @bird_man", ["dog"]),
    ("a dog on grass #bird #birds_of_instagram", ["dog", "grass"]),
    ("a #dog on the #grass today with my #cat", ["dog", "grass", "today", "cat"]),
    ("a dog🐕cat 🐈‍⬛ on grass 🌿", ["dog", "cat", "grass"]),
    # What must stay as it is.
    ("a dog in an AT&T shirt", ["dog", "shirt"]),
    ("a black & white dog", ["dog"]),
    ("a rock 'n' roll band", ["rock", "roll", "band"]),
    ("a t-shirt at 9 o'clock", ["t shirt", "o'clock"]),
    ("a 3.5 inch screen in the U.S. at 10:30, e.g. a tv", ["inch", "screen", "tv"]),
    ("a t.v. on a table", ["tv", "table"]),
    ("1/2 of 3,000 dogs, 100% cats", ["dog", "cat"]),
    ("a man w/ a dog", ["man", "dog"]),
]


@pytest.mark.parametrize(("caption", "expected"), CAPTIONS)
def test_nouns_of_captions_as_they_are_found(extractor: NounExtractor, caption: str, expected: list[str]) -> None:
    [nouns] = extractor.extract([caption])
    assert [noun.lemma for noun in nouns] == expected
    check_nouns(extractor, caption)


def test_places_are_those_of_the_caption_with_its_markup(extractor: NounExtractor) -> None:
    caption = "&quot;a <b>dog</b>&quot; in a caf&eacute;, a cafe\u0301 and two fire&nbsp;hy\u00addrants"
    [nouns] = extractor.extract([caption])
    assert [(noun.lemma, noun.surface) for noun in nouns] == [
        ("dog", "dog"),
        ("café", "caf&eacute;"),
        ("café", "cafe\u0301"),
        ("fire hydrant", "fire&nbsp;hy\u00addrants"),
    ]
    assert [noun.start for noun in nouns] == [caption.index(noun.surface) for noun in nouns]
    assert [noun.name("surface") for noun in nouns] == ["dog", "café", "café", "fire hydrants"]
    assert [noun.lemma for _, noun in union([nouns])] == ["dog", "café", "fire hydrant"]


def test_plain_captions_are_left_alone() -> None:
    for caption in ("A man's red bus, parked in a lot.", "a T-shirt - and 2 dogs", "Dr. Who"):
        assert tagger_text(caption) == (caption, None)


PIECES = [
    "dog", "Cats", "fire", "hydrant", "café", "e\u0301", "a", "red", "IMG_1234", "www.", ".com", ".jpg", "http://", "@",
    "#", "&amp;", "&amp;quot;", "&#x200b;", "&ndash", "&", ";", "<b>", "</b>", "<br", "<", ">", "=", "%20", "%C3%A9",
    "%", "+", "_", "-", "--", "'", "’", "\"", "(s)", "(", ")", "!", "?", ".", "...", ",", ":", "/", "\\", "\\n", "|",
    "*", "\u200b", "\u00ad", "\ufeff", "\u202e", "\u0301", "\ufe0f", "\u00a0", "\n", "\x00", "\ud83d", "🐕", "™", "½",
    "ﬁ", "𝐝𝐨𝐠", "İ", "狗", "कु", "1234", "3.5",
]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "", " "])), max_size=14))
@example([("İ", ""), ("\u0301", ""), ("dog", "")])
def test_no_noun_holds_what_is_no_word(extractor: NounExtractor, pieces: list[tuple[str, str]]) -> None:
    check_nouns(extractor, "".join(piece + space for piece, space in pieces))


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_noun_of_any_text_holds_what_is_no_word(extractor: NounExtractor, text: str) -> None:
    check_nouns(extractor, f"a dog{text}cat")


def check_nouns(extractor: NounExtractor, caption: str) -> None:
    [nouns] = extractor.extract([caption])
    end = 0
    for noun in nouns:
        assert end <= noun.start < noun.end <= len(caption)
        assert noun.surface == caption[noun.start : noun.end]
        end = noun.end
        for name in (noun.name("lemma"), noun.name("surface")):
            assert all(char.isalpha() or char.isdecimal() or char in "'- " for char in name)
            assert name == name.lower().strip()
            assert any(char.isalpha() for char in name)
