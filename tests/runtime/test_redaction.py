"""Redaction: no secret is left in any form, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axtui.runtime.config import Config, Policy
from axtui.runtime.config_file import load
from axtui.runtime.redaction import Redactor, redactor

KEY = "p4ss/w0rd+<&>\"'é\\x"
REDACTOR = Redactor({"MY_KEY": KEY, "OTHER": "another-value"})
MARK = "[redacted:MY_KEY]"

# Put together here, so that whoever looks for tokens in this file finds none.
WORD = "Ab1" * 12
JWT = "ey" + "JhbGciOiJIUzI1NiJ9" + ".ey" + "JzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJl"
PEM = "-----BEGIN {0}PRIVATE KEY-----{1}" + "{1}".join(["MIIEvQIBADANBgkqhkiG9w0B"] * 3) + "{1}"
TOKENS = {
    "aws-access-key": ["AKI" + "A1234567890ABCDEF", "ASI" + "A1234567890ABCDEF"],
    "github-token": [f"gh{kind}_{WORD}" for kind in "pousr"] + ["github_" + f"pat_{WORD}"],
    "slack-token": ["xox" + f"b-1234-{WORD}", "xox" + "p-1234567890"],
    "google-key": ["AIz" + f"a{WORD[:35]}"],
    "anthropic-key": ["sk-an" + f"t-api03-{WORD}-{WORD}", "sk-an" + "t-" + "abcde-" * 4 + WORD],
    "openai-key": ["sk-" + WORD, "sk-pro" + f"j-{WORD}_{WORD}"],
    "jwt": [JWT, JWT + ".more.parts"],
    "private-key": [
        *(PEM.format(kind, "\n") for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")),
        PEM.format("", r"\n"),
        PEM.format("", "\r\n"),
        PEM.format("", "\n   "),
        PEM.format("RSA ", "\n").replace(
            "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n", 1
        ),
    ],
}
NO_TOKENS = [
    "The task-force of sk-folding-cube and sk-circle1 sk-circle",
    "http://localhost:8080/path?a=b@c and https://user@example.com/",
    "postgres://${USER}:${PASSWORD}@host",
    "authorization: required; use Authorization: Bearer <token>",
    "if '-----BEGIN PRIVATE KEY-----' in text: return",
    "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END CERTIFICATE-----",
    "eyJhbGciOiJIUzI1NiJ9 and eyJhbGciOiJIUzI1NiJ9.abc.def",
    "xAKIA1234567890ABCDEF ghp_short xox-1 AIza",
    "[redacted:MY_KEY] " * 3,
    "---\nname: a\n---\n- b -- c",
]


def chunked(text: str, size: int, by: Redactor = REDACTOR) -> list[str]:
    stream = by.stream()
    return [*(stream.feed(text[at : at + size]) for at in range(0, len(text), size)), stream.end()]


def wrapped(inner: str) -> Iterator[tuple[str, str, str]]:
    for before, after in (("", ""), ("a ", "; b"), ("x='", "'"), ("(", ")."), ("\n", "\n")):
        yield before, inner, after


class TestValues:
    @pytest.mark.parametrize(
        "form",
        [
            KEY,
            json.dumps(KEY)[1:-1],
            json.dumps(KEY, ensure_ascii=False)[1:-1],
            json.dumps(KEY)[1:-1].replace("/", r"\/"),
            json.dumps(KEY)[1:-1].replace("<&>", r"\u003c\u0026\u003e"),
            quote(KEY),
            quote(KEY, safe=""),
            quote(KEY, safe="").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9").lower(),
            quote_plus(KEY),
        ],
    )
    def test_every_form_is_replaced_wherever_it_is(self, form: str) -> None:
        for before, inner, after in wrapped(form):
            text = f"{before}{inner}{after}"
            assert REDACTOR.text(text) == f"{before}{MARK}{after}"
            assert REDACTOR.text(text * 3) == f"{before}{MARK}{after}" * 3

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    def test_base64_at_every_alignment(self, encode: object) -> None:
        for secret in ("secret-of-8", "0?>~}{zzz~~~", KEY):
            hide = Redactor({"S": secret})
            for before in range(7):
                for after in range(4):
                    data = b"u" * before + secret.encode() + b"z" * after
                    text = encode(data).decode()  # type: ignore[operator]
                    left = hide.text(text).split("[redacted:S]")
                    assert len(left) == 2, (text, left)
                    # What is left are characters that have bits of the neighbours in them.
                    assert len("".join(left).rstrip("=")) <= (before + after) * 4 / 3 + 3

    def test_lines_of_a_value_are_found_by_themselves(self) -> None:
        lines = ["-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG", "9w0BAQEFAASCBKcwggSj", "short"]
        hide = Redactor({"PEM": "\n".join(lines) + "\n"}, shapes=False)
        assert hide.text("\n".join(lines)) == "[redacted:PEM]"
        assert hide.text("\r\n".join(lines)) == "[redacted:PEM]"
        assert hide.text(f"> {lines[1]}\n> {lines[2]}") == "> [redacted:PEM]\n> [redacted:PEM]"
        assert hide.text(f"{lines[0]} short") == f"{lines[0]} short"

    def test_a_longer_one_and_overlaps_leave_nothing(self) -> None:
        hide = Redactor({"A": "abcdefgh", "LONG": "abcdefghijkl", "B": "ghijklmnop"}, shapes=False)
        assert hide.text("-abcdefgh-") == "-[redacted:A]-"
        assert hide.text("-abcdefghijkl-") == "-[redacted:LONG]-"
        assert hide.text("-abcdefghijklmnop-") == "-[redacted:LONG]-"
        assert hide.text("-abcdefghabcdefgh-") == "-[redacted:A][redacted:A]-"

    def test_the_first_name_of_a_value_is_given(self) -> None:
        assert Redactor({"A": "12345678", "B": "12345678"}).text("12345678") == "[redacted:A]"

    def test_what_any_text_may_have_is_not_taken(self) -> None:
        hide = Redactor(
            {
                "SHORT": "1234567",
                "SPACES": "  1234567 \n",
                "EMPTY": "",
                "YES": "true",
                "SAME": "*" * 20,
                "WORD": "Password",
                "HOME": "~/.secrets",
                "FILE": "/var/run/secrets/token",
                "FOLDER": "/home/me/",
                "GOOD": "/s3cr3t+Key",
            }
        )
        assert list(hide.ignored) == [
            *("SHORT", "SPACES", "EMPTY", "YES", "SAME", "WORD", "HOME", "FILE", "FOLDER")
        ]
        assert hide.ignored["SHORT"] == "shorter than 8 characters"
        assert hide.text("password: /home/me/ ********") == "password: /home/me/ ********"
        assert hide.text("</s3cr3t+Key>") == "<[redacted:GOOD]>"

    def test_a_value_that_is_no_unicode_does_no_harm(self) -> None:
        assert Redactor({"A": "abcd\udcff\ud800efgh"}).text("abcd\udcff\ud800efgh") != ""


class TestShapes:
    @pytest.mark.parametrize(
        ("name", "token"), [(name, token) for name, tokens in TOKENS.items() for token in tokens]
    )
    def test_one(self, name: str, token: str) -> None:
        for before, inner, after in wrapped(token):
            found = REDACTOR.text(f"{before}{inner}{after}")
            # What may belong to the token goes with it.
            assert found.startswith(f"{before}[redacted:{name}]")
            assert found.endswith(after.strip())
            assert len(found) <= len(before + after) + len(f"[redacted:{name}]")
            assert Redactor({}, shapes=False).text(inner) == inner

    @pytest.mark.parametrize(
        "lead", ["x\n", "x\t", "x\r", "\x1b[m", "\x1b[01;31m", "\x1b[01;31m\x1b[K", "\x01"]
    )
    def test_one_behind_what_ends_in_a_letter(self, lead: str) -> None:
        for name, tokens in TOKENS.items():
            for token in tokens:
                plain = lead + token
                for text in (plain, json.dumps(plain), json.dumps({"a": json.dumps(plain)})):
                    for size in (1, 7, 1000):
                        shown = "".join(chunked(text, size))
                        assert f"[redacted:{name}]" in shown
                        assert token[:12] not in shown

    @pytest.mark.parametrize("text", NO_TOKENS)
    def test_what_only_resembles_one_stays(self, text: str) -> None:
        assert REDACTOR.text(text) == text
        assert "".join(chunked(text, 1)) == text

    def test_a_pem_block_ends_where_it_says(self) -> None:
        text = PEM.format("", "\n") + "-----END PRIVATE KEY-----\nand more"
        assert REDACTOR.text(text) == "[redacted:private-key]-----END PRIVATE KEY-----\nand more"

    @pytest.mark.parametrize(
        ("lead", "token"),
        [
            ("Authorization: Bearer ", "abc.def~ghi/+=="),
            ("authorization: basic ", "dXNlcjpwYXNz"),
            ('"Authorization": "Bearer ', "abcdefgh"),
            (r"{\"authorization\":\"Bearer ", "abcdefgh"),
            ("PROXY-authorization=Bearer  ", "abcdefgh"),
        ],
    )
    def test_what_leads_to_a_credential_stays(self, lead: str, token: str) -> None:
        for size in (1, 7, 1000):
            assert "".join(chunked(f'{lead}{token}"', size)) == f'{lead}[redacted:authorization]"'

    def test_a_password_in_a_url(self) -> None:
        for text in ("git clone https://me:{}@host/x.git", "amqp://:{}@host", "a://b:{}@c://d:{}@"):
            hidden = text.replace("{}", "[redacted:url-password]")
            assert REDACTOR.text(text.replace("{}", "s3cret:%20!")) == hidden

    def test_a_known_value_gives_the_name_before_its_shape(self) -> None:
        token = TOKENS["openai-key"][0]
        assert (
            Redactor({"OPENAI_API_KEY": token}).text(f"{token}abc") == "[redacted:OPENAI_API_KEY]"
        )


class TestValuesOfJson:
    def test_all_texts_and_keys(self) -> None:
        value = {"a": [KEY, 1, None, True, {KEY: {"b": f"<{KEY}>"}}], "c": 1.5, "d": [], "e": {}}
        before = json.dumps(value)
        redacted = REDACTOR.value(value)
        assert redacted == {
            "a": [MARK, 1, None, True, {MARK: {"b": f"<{MARK}>"}}],
            "c": 1.5,
            "d": [],
            "e": {},
        }
        assert json.dumps(value) == before
        assert REDACTOR.value(KEY) == MARK
        assert REDACTOR.value(None) is None

    def test_any_depth(self) -> None:
        deep: object = KEY
        for _ in range(20_000):
            deep = [deep]
        redacted = REDACTOR.value(deep)
        for _ in range(20_000):
            (redacted,) = redacted
            (deep,) = deep  # type: ignore[misc]
        assert (redacted, deep) == (MARK, KEY)


class TestStreams:
    @pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100])
    def test_secrets_are_found_over_chunks(self, size: int) -> None:
        tokens = [token for kind in TOKENS.values() for token in kind]
        text = "; ".join([KEY, *tokens, "https://a:b@c", "another-value", json.dumps(KEY)])
        assert "".join(chunked(text, size)) == REDACTOR.text(text)
        assert REDACTOR.text(text).count("[redacted:") == len(tokens) + 4

    def test_what_begins_no_secret_passes_at_once(self) -> None:
        stream = REDACTOR.stream()
        for chunk in (
            *("Hello", " wor", "ld, ", "see http://", "localhost/", "x\n", "Authorization: ", "é"),
            *("Authorization: Bearer ", "\n", "p4ssed ", "🦀"),
        ):
            assert stream.feed(chunk) == chunk
        assert stream.end() == ""

    def test_only_what_may_begin_a_secret_is_held_back(self) -> None:
        stream = REDACTOR.stream()
        for chunk, shown in (
            ("of p4s", "of "),
            ("s/w", ""),
            ("o!", "p4ss/wo!"),
            ("A", ""),
            ("KIAB", ""),
            (" ", "AKIAB "),
            (f"-{KEY[:-1]}", "-"),
            ("x!", f"{MARK}!"),
            ("https://me:p", "https://me:"),
            ("w", ""),
            ("@.", "[redacted:url-password]@."),
            (" g", " "),
            ("hp_", ""),
            (".", "ghp_."),
        ):
            assert (chunk, stream.feed(chunk)) == (chunk, shown)
        assert stream.feed("sk-") == ""
        assert stream.end() == "sk-"

    def test_a_secret_without_end_is_neither_held_back_nor_shown(self) -> None:
        for token in ("ghp_" + WORD, JWT, "Authorization: Bearer abcdefgh", PEM.format("", "\n")):
            stream = REDACTOR.stream()
            shown = stream.feed(token) + "".join(stream.feed("aB3d" * 50) for _ in range(50))
            assert shown.endswith("]")
            assert stream.feed("! ").endswith("! ")

    def test_what_is_held_back_is_bounded(self) -> None:
        for start in ("ey" + "J", "https://me:", "-----BEGIN ", "sk-"):
            stream = REDACTOR.stream()
            shown = stream.feed(start) + "".join(stream.feed("A" * 9) for _ in range(1000))
            assert len(shown) > 9000 - 600


PIECES = st.sampled_from(
    [
        *(KEY, KEY[:5], KEY[5:], json.dumps(KEY), "another-", "value", " ", "\n", "é", ".", "-"),
        *(
            JWT,
            JWT[:20],
            JWT[20:],
            "eyJ",
            "sk-",
            "sk-ant-",
            WORD,
            WORD[:9],
            "a1B2",
            "AKIA",
            "0" * 16,
        ),
        *("Authorization: Bearer ", "authorization", "://", "a:", "@", "x" * 300, "ghp_", "xoxb-"),
        *(
            PEM.format("", "\n"),
            "-----BEGIN ",
            "PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "\\n",
        ),
        *("abcdabcd", "abcdef", "cdabcdab", "efabcdab"),
    ]
)
SECRETS = st.lists(st.text("abcdef", min_size=8, max_size=14).filter(lambda s: len(set(s)) > 3))
CUTS = st.lists(st.integers(1, 40), min_size=1)


def cut(text: str, sizes: list[int]) -> Iterator[str]:
    at = turn = 0
    while at < len(text):
        yield text[at : at + sizes[turn % len(sizes)]]
        at += sizes[turn % len(sizes)]
        turn += 1


@given(st.lists(PIECES).map("".join), SECRETS, CUTS)
@example("abcdefabcd", ["abcdefgh"], [1])
def test_chunks_make_no_difference(text: str, secrets: list[str], sizes: list[int]) -> None:
    hide = Redactor({"MY_KEY": KEY, **{f"S{n}": secret for n, secret in enumerate(secrets)}})
    stream = hide.stream()
    shown = [stream.feed(chunk) for chunk in cut(text, sizes)]
    assert "".join(shown) + stream.end() == hide.text(text)


@given(st.text("abcdef", max_size=80), SECRETS, CUTS)
def test_exactly_what_is_part_of_a_secret_is_gone(
    text: str, secrets: list[str], sizes: list[int]
) -> None:
    hide = Redactor({str(number): secret for number, secret in enumerate(secrets)}, shapes=False)
    inside = set()
    for secret in secrets:
        for at in range(len(text)):
            if text.startswith(secret, at):
                inside |= set(range(at, at + len(secret)))
    left = "".join(char for at, char in enumerate(text) if at not in inside)
    marks = [f"[redacted:{number}]" for number in range(len(secrets))]
    redacted = hide.text(text)
    for mark in marks:
        redacted = redacted.replace(mark, "")
    assert redacted == left
    stream, fed, shown = hide.stream(), "", ""
    for chunk in cut(text, sizes):
        fed += chunk
        shown += stream.feed(chunk)
        held = max(
            (size for s in secrets for size in range(len(s)) if fed.endswith(s[:size])), default=0
        )
        whole = hide.text(fed)
        assert whole.startswith(shown)
        # A secret within the beginning of another is as long as its mark, at most.
        assert len(whole) - len(shown) <= held * 2


@pytest.mark.parametrize(
    "piece",
    [
        *("ey" + "J", "eyJaaaaaaaa.eyJaaaa ", "sk-", " sk-a1", "-----BEGIN ", "://a:", "://a:b@"),
        *("authorization: bearer ", KEY, "ghp_", "xoxb-", "AKIA", "A", " ", "\n", "-", "abc ", JWT),
        *("\\nsk-", "\\u001b[31msk-", "[m", "xsk-ant-"),
    ],
)
def test_a_megabyte_of_anything_takes_no_long_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert len("".join(chunked(text, 10_000))) == len(REDACTOR.text(text))


class TestConfiguration:
    def test_variables_are_taken_by_name(self) -> None:
        environ = {
            "OPENAI_API_KEY": "aaaabbbbcccc1111",
            "GITHUB_TOKEN": "aaaabbbbcccc2222",
            "AWS_SECRET_ACCESS_KEY": "aaaabbbbcccc3333",
            "PGPASSWORD": "aaaabbbbcccc4444",
            "npm_config_token": "aaaabbbbcccc5555",
            "MY_TOKEN": "1234",
            "TERM": "xterm-color",
        }
        hide = redactor(Config(data_dir=Path()), environ)
        for name, value in environ.items():
            expected = value if name in ("MY_TOKEN", "TERM") else f"[redacted:{name}]"
            assert hide.text(value) == expected
        assert hide.ignored == {"MY_TOKEN": "shorter than 8 characters"}

    def test_the_file_names_others(self, tmp_path: Path) -> None:
        (tmp_path / "axtui.yaml").write_text("policy: {redact: ['DB_*', pin]}")
        config = load("axtui.yaml", None, {}, tmp_path)
        assert config.policy == Policy(redact=("DB_*", "pin"))
        hide = redactor(config, {"db_url": "abcdefgh", "PIN": "12345678", "A_TOKEN": "xyzxyzabc"})
        assert hide.text("abcdefgh 12345678 xyzxyzabc") == (
            "[redacted:db_url] [redacted:PIN] xyzxyzabc"
        )
