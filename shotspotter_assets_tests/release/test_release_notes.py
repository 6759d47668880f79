import pytest

from docs.release_notes import release_notes

CHANGELOG = """# Changelog

## Unreleased

## 1.0.0 (2026-12-01)

- Stored data last.

## 0.2.0 (2026-11-29)

- Pages.
"""


def test_notes_are_the_section_of_the_version() -> None:
    assert release_notes("v1.0.0", "1.0.0", CHANGELOG) == "- Stored data last."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "says"),
    [
        ("v1.0.1", "1.0.0", CHANGELOG, "pyproject.toml has version 1.0.0"),
        ("v1.1.0", "1.1.0", CHANGELOG, "no section '## 1.1.0"),
        ("v1.0.0", "1.0.0", CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n- A line.\n"), "unreleased lines"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(tag: str, version: str, changelog: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.").replace("(", r"\(")):
        release_notes(tag, version, changelog)
