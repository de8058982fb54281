"""Secrets in addresses: which forms are found, what is left of them, and what is none."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.storage.secrets import has_login, has_secret, redacted

TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ3sT"
KEY = "AKIAIOSFODNN7EXAMPLE"

# What is there, what is shown, and what must not be seen any more.
FORMS = {
    "password": ("https://user:pass@host/a.jpg", "https://…@host/a.jpg", "pass"),
    "password without a user": ("https://:s3same@host/a.jpg", "https://…@host/a.jpg", "s3same"),
    "token before the host": ("https://TOKEN@host/a.jpg", "https://…@host/a.jpg", "TOKEN"),
    "token and no password": ("https://TOKEN:@host/a.jpg", "https://…@host/a.jpg", "TOKEN"),
    "password of odd characters": ("https://u:p%40s%3As%2F#?!@host/a.jpg", "https://…@host/a.jpg", "p%40s"),
    "password with an at": ("https://user:p@ss/word@host/a.jpg", "https://…@host/a.jpg", "word"),
    "percent-encoded colon": ("https://user%3Asesame@host/a.jpg", "https://…@host/a.jpg", "sesame"),
    "AWS keys": (f"s3://{KEY}:wJalrXUtnFEMI@bucket/a.jpg", "s3://…@bucket/a.jpg", "wJalr"),
    "AWS keys, slashes": (f"s3://{KEY}:wJalr/K7MDENG/bPx@bucket/a", "s3://…@bucket/a", "MDENG"),
    "AWS keys, slashes after digits": (f"s3://{KEY}:77/K7MDENG@bucket/a", "s3://…@bucket/a", "MDENG"),
    "AWS version 4": (
        "https://b.s3.amazonaws.com/a.jpg?X-Amz-Credential=AKIA%2F2026&X-Amz-Date=1&X-Amz-Signature=c0ffee",
        "https://b.s3.amazonaws.com/a.jpg?X-Amz-Credential=…&X-Amz-Date=1&X-Amz-Signature=…",
        "c0ffee",
    ),
    "AWS version 2": (
        f"https://b.s3.amazonaws.com/a.jpg?AWSAccessKeyId={KEY}&Expires=1&Signature=vjbyPx%3D",
        "https://b.s3.amazonaws.com/a.jpg?AWSAccessKeyId=…&Expires=1&Signature=…",
        "vjbyPx",
    ),
    "AWS session": ("https://h/a?x-amz-security-token=FwoGZ", "https://h/a?x-amz-security-token=…", "FwoGZ"),
    "Google": (
        "https://storage.googleapis.com/b/a?X-Goog-Credential=me%40p&X-Goog-Signature=4f2a",
        "https://storage.googleapis.com/b/a?X-Goog-Credential=…&X-Goog-Signature=…",
        "4f2a",
    ),
    "Azure": (
        "https://x.blob.core.windows.net/c/a?sv=2024&sp=r&sig=Zm9v%3D",
        "https://x.blob.core.windows.net/c/a?sv=2024&sp=r&sig=…",
        "Zm9v",
    ),
    "CloudFront": ("https://h/a?Policy=eyJ&Key-Pair-Id=K2", "https://h/a?Policy=…&Key-Pair-Id=…", "K2"),
    "token=": ("https://h/a.jpg?size=1&token=abc#top", "https://h/a.jpg?size=1&token=…", "abc"),
    "access_token=": ("https://h/a.jpg?access_token=abc", "https://h/a.jpg?access_token=…", "abc"),
    "api_key=": ("https://h/a.jpg?api_key=abc&w=2", "https://h/a.jpg?api_key=…&w=2", "abc"),
    "apiKey= after #": ("https://h/a.jpg#apiKey=abc", "https://h/a.jpg#apiKey=…", "abc"),
    "password=": ("https://h/a.jpg?user=me&password=abc", "https://h/a.jpg?user=me&password=…", "abc"),
    "escaped name": ("https://h/a.jpg?%74oken=abc", "https://h/a.jpg?%74oken=…", "abc"),
    "Hugging Face token as login": (f"hf://{TOKEN}@datasets/o/r/a.jpg", "hf://…@datasets/o/r/a.jpg", TOKEN),
    "Hugging Face token": (f"hf://datasets/o/{TOKEN}/a.jpg", "hf://datasets/o/…/a.jpg", TOKEN),
    "a shell's variable": ("AWS_SECRET_ACCESS_KEY=wJalr/K7", "…", "wJalr"),
    "a shell's variable among others": ("A=1 HF_TOKEN=abcd B=2", "A=1 … B=2", "abcd"),
    "Azure's connection string": ("AccountName=a;AccountKey=Zm9v==;Suffix=x", "AccountName=a;…;Suffix=x", "Zm9v"),
    "OpenAI": ("https://h/a?k=sk-proj-aB3dE5gH7jK9mN1pQ3sT", "https://h/a?k=…", "aB3dE5gH7jK9mN1pQ3sT"),
    "Slack's hook": ("https://hooks.slack.com/services/T0/B0/aB3dE5gH7jK9mN1p", "https://…", "aB3dE5gH7"),
    "in an archive's address": ("zip://d::https://u:pass@h/a.zip", "zip://d::https://…@h/a.zip", "pass"),
    "in a chain": (f"simplecache::s3://{KEY}:se/cret@b/a", "simplecache::s3://…@b/a", "cret"),
    "inside a parameter": (
        "https://h/resize?w=2&url=https%3A%2F%2Fu%3Apass%40other%2Fa.jpg",
        "https://h/resize?w=2&url=…",
        "pass",
    ),
}

HARMLESS = [
    "data/val2017/000000000139.jpg",
    "/data/token=abc/a&sig=b?password=c.jpg",
    "https://host:8080/photos/a@2x.jpg",
    "https://host/@user/a.jpg?w=200&key=17&design=flat&author=x&tokenless",
    "https://host/a.jpg?token=&sig=",
    "http://[2001:db8::1]:8080/a@2x.jpg",
    "s3://bucket/a:b/c.jpg",
    "/data/sk-learn-photographs-of-2024/a.jpg",
    "AccountKey=",
    "abfs://container@account.dfs.core.windows.net/a.jpg",
    "sftp://git@host/a.jpg",
    "hf://datasets/org/repo@main/a.jpg",
    "zip://a:1@2x.jpg::/data/a.zip",
    "zip://train::s3://bucket/train.zip",
    "local-dir:/models/hf_clip",
    "",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_secrets(form):
    uri, shown, hidden = FORMS[form]
    assert has_secret(uri)
    assert redacted(uri) == shown
    assert hidden not in redacted(uri)


@pytest.mark.parametrize("uri", HARMLESS)
def test_addresses_without_secrets_stay(uri):
    assert not has_secret(uri)
    assert redacted(uri) == uri


def test_a_signature_is_no_login():
    assert has_login(FORMS["AWS keys, slashes"][0])
    assert has_login(FORMS["in an archive's address"][0])
    assert not has_login(FORMS["AWS version 4"][0])
    assert not has_login(FORMS["inside a parameter"][0])


PARTS = [
    "https://",
    "s3://",
    "zip://",
    "::",
    ":",
    "@",
    "/",
    "?",
    "&",
    "=",
    "#",
    "token",
    "sig",
    "%40",
    "%3A",
    "…",
    "h",
    "9",
]


@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join) | st.text(max_size=40))
@example("https://u:p@h/?url=https%3A%2F%2Fu%3Ap%40h&token=…")
def test_what_is_redacted_has_no_secret(uri):
    assert not has_secret(redacted(uri))
    assert (redacted(uri) != uri) == has_secret(uri)
