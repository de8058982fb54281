"""A mined dataset in the formats of other programs: COCO's JSON, Hugging Face `datasets`, FiftyOne."""
