"""Why a pair differs, as far as the tables of both datasets tell: `explained`, a row for each pair that differs.

A pair of one dataset alone is looked for in the other, step by step as mining goes: the image in the source, the noun
in its captions, the vocabulary, the candidates. A pair that moved is looked for among the other's candidates, whose
masks are known by box and area.
"""

from pipeline.differences.loading import Loaded
from pipeline.differences.workspace import Workspace

REASONS = {
    "image_absent": "the other source does not have the image",
    "image_not_yet": "the other dataset is not complete, and the image is in none of its committed shards",
    "image_rejected": "the image was rejected there",
    "caption_differs": "the image has other captions there, and the noun is in none of them",
    "noun_not_found": "the same captions gave no such noun, or phrase, there",
    "another_phrase": "one of the two has phrases, and the other one's noun is compared with the first of them",
    "noun_not_kept": "the noun is not in the vocabulary there",
    "below_threshold": "the noun has a best mask there, which did not pass the thresholds",
    "image_differs": "the image file has another content there",
    "image_size_differs": "the image was mined at another size there",
    "other_mask_won": "A's mask is among B's candidates for the noun, and another one scored higher",
    "mask_not_among_candidates": "A's mask was not proposed in B, or is not among its best few for the noun",
    "mask_differs": "the masks are not quite the same",
    "other_scores": "the scores are those of another CLIP, or of regions that were cut otherwise",
    "unexplained": "the tables do not say",
}
"""What each code means."""

_EVERY_IMAGE = """
CREATE TABLE images_{side} AS SELECT image_id, any_value(captions) AS captions, min(reason) AS rejected,
    bool_or(has_pairs) AS has_pairs FROM (
    SELECT image_id, captions, CAST(NULL AS VARCHAR) AS reason, false AS has_pairs FROM captions_{side}
    UNION ALL SELECT image_id, NULL, reason, false FROM rejects_{side}
    UNION ALL SELECT DISTINCT image_id, NULL, NULL, true FROM pairs_{side}
) GROUP BY image_id
"""
# Of a pair of one dataset, `here`, that the other one has not.
_MISSING = """
SELECT own.image_id, own.noun, own.entry,
    CASE WHEN other_image.image_id IS NULL THEN '{absent}'
    WHEN {mixed} AND own.entry <> '1' THEN 'another_phrase'
    WHEN best.image_id IS NOT NULL THEN 'below_threshold'
    WHEN other_image.rejected IS NOT NULL AND NOT other_image.has_pairs THEN 'image_rejected'
    WHEN other_image.captions IS NOT NULL AND named.image_id IS NULL
        THEN CASE WHEN other_image.captions <> own_image.captions THEN 'caption_differs' ELSE 'noun_not_found' END
    WHEN {has_vocabulary} AND NOT coalesce(vocabulary.kept, false) THEN 'noun_not_kept'
    ELSE 'unexplained' END AS reason,
    CASE reason WHEN 'below_threshold' THEN format('clip_score {{:.3f}}', best.score)
    WHEN 'image_rejected' THEN other_image.rejected
    WHEN 'noun_not_kept' THEN format('in the captions of {{}} images', coalesce(vocabulary.images, 0))
    ELSE '' END AS detail
FROM compared own
LEFT JOIN images_{here} own_image ON own.image_id = own_image.image_id
LEFT JOIN images_{there} other_image ON own.image_id = other_image.image_id
LEFT JOIN (SELECT DISTINCT image_id, noun, {phrase} AS phrase FROM named_{there}) named
    ON own.image_id = named.image_id AND own.noun = named.noun AND {same_phrase} = named.phrase
LEFT JOIN (SELECT noun, max(images) AS images, bool_or(kept) AS kept FROM vocabulary_{there} GROUP BY noun) vocabulary
    ON own.noun = vocabulary.noun
LEFT JOIN (
    SELECT image_id, noun, {phrase} AS phrase, max(score) AS score FROM candidates_{there} WHERE rank = 0 GROUP BY ALL
) best ON own.image_id = best.image_id AND own.noun = best.noun AND {same_phrase} = best.phrase
WHERE category = '{category}'
"""
_MOVED = """
SELECT own.image_id, own.noun, own.entry,
    CASE WHEN image_changed THEN 'image_differs' WHEN NOT same_frame THEN 'image_size_differs'
    WHEN there.rank IS NOT NULL THEN 'other_mask_won'
    WHEN {has_candidates} THEN 'mask_not_among_candidates' ELSE 'unexplained' END AS reason,
    CASE reason WHEN 'other_mask_won' THEN format('rank {{}} in B', there.rank) ELSE '' END AS detail
FROM compared own
LEFT JOIN (
    SELECT moved.image_id, moved.noun, moved.entry, min(rank) AS rank FROM compared moved JOIN candidates_b found
    ON moved.image_id = found.image_id AND moved.noun = found.noun AND x0_a = x0 AND y0_a = y0 AND x1_a = x1
    AND y1_a = y1 AND area_a = found.area AND {same_phrase} WHERE category = 'moved' GROUP BY ALL
) there ON own.image_id = there.image_id AND own.noun = there.noun AND own.entry = there.entry
WHERE category = 'moved'
"""
_SHIFTED = """
SELECT image_id, noun, entry, CASE WHEN image_changed THEN 'image_differs' WHEN NOT same_frame THEN 'image_size_differs'
    WHEN {other_scores} THEN 'other_scores' WHEN NOT same_mask THEN 'mask_differs' ELSE 'unexplained' END AS reason,
    '' AS detail
FROM compared WHERE category = 'shifted'
"""


def explain(workspace: Workspace, a: Loaded, b: Loaded, *, comparable: bool) -> None:
    """Make `explained`: image_id, noun, entry, reason and detail of each pair that is not the same.

    Args:
        comparable: whether the scores of both are of one CLIP.
    """
    for side in ("a", "b"):
        workspace.connection.execute(_EVERY_IMAGE.format(side=side))
    # Only where both have phrases can one be looked for; else the noun is.
    both = a.phrases and b.phrases
    by_phrase = {"phrase": "phrase", "same_phrase": "own.phrase"} if both else {"phrase": "''", "same_phrase": "''"}
    same_phrase = "moved.phrase = found.phrase" if both else "true"
    parts = [
        _MISSING.format(
            category=category,
            here=here,
            there=there,
            absent="image_absent" if other.dataset.complete else "image_not_yet",
            has_vocabulary=_sql("vocabulary" not in other.missing),
            mixed=_sql(a.phrases != b.phrases),
            **by_phrase,
        )
        for category, here, there, other in (("lost", "a", "b", b), ("added", "b", "a", a))
    ]
    parts.append(_MOVED.format(has_candidates=_sql("candidates" not in b.missing), same_phrase=same_phrase))
    parts.append(_SHIFTED.format(other_scores=_sql(not comparable)))
    workspace.connection.execute(
        "CREATE TABLE explained (image_id VARCHAR, noun VARCHAR, entry VARCHAR, reason VARCHAR, detail VARCHAR)"
    )
    for part in parts:
        workspace.connection.execute(f"INSERT INTO explained {part}")


def _sql(value: bool) -> str:
    return "true" if value else "false"
