"""Secrets are found, and code that only speaks of them is not."""

import pytest

from automl.record.secrets import line_with_secret

KEY = "abcd" + "1234efgh" + "5678ijkl"


@pytest.mark.parametrize(
    "line",
    [
        "url = 'https://me:hunter2@example.com/x'",
        "https://host/x?sig=abc",
        f"password = '{KEY}'",
        f"aws_secret_access_key: {KEY}",
        f'"api_key": "{KEY}",',
        f"MLFLOW_TRACKING_TOKEN={KEY}",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "id = AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 20,
        "hf_" + "A1" * 20,
        "key = the-value-of-the-environment",
    ],
)
def test_line_with_secret__finds(line):
    text = f"one\n+{line}\nthree\n"
    assert line_with_secret(text, {"MY_TOKEN": "the-value-of-the-environment"}) == 2


@pytest.mark.parametrize(
    "line",
    [
        "password = without_secrets(text)",
        "token = next(tokens)",
        "tokens: list[str] = []",
        "https://example.com/a/b.git and mail a@b.c",
        "secret_values = _secret_values(environment)",
        "key = 'automl.dataset_digest'",
        f"sha256 = '{'ab12' * 16}'",
        'f"https://{user}:{password}@{host}"',
        "PATH=/usr/bin",
    ],
)
def test_line_with_secret__leaves_code_alone(line):
    assert line_with_secret(line, {"TOKENIZERS_PARALLELISM": "false", "SECRET_FILE": "/etc/x"}) == 0
