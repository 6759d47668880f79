import re
import subprocess
from pathlib import Path

import pytest

from docs.versions import build_site, release_tags
from shotspotter_assets.settings import CHECKOUT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with our configuration of documents, one page, and two releases."""
    folder = tmp_path / "repository"
    (folder / "docs" / "pictures").mkdir(parents=True)
    for name in ("conf.py", "data_dictionary.py", "templates"):
        (folder / "docs" / name).symlink_to(CHECKOUT / "docs" / name)
    (folder / "shotspotter_assets").symlink_to(CHECKOUT / "shotspotter_assets")
    commands = ["git init --quiet", "git config user.name tests", "git config user.email tests@example.org"]
    for version in ("1.9.0", "1.10.0"):
        (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        (folder / "docs" / "index.md").write_text(f"# Page of {version}\n")
        commands += ["git add --all", f"git commit --quiet --message {version}", f"git tag v{version}"]
        subprocess.run(["bash", "-ec", "\n".join(commands)], cwd=folder, check=True)
        commands = []
    subprocess.run(["git", "tag", "vnext"], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_each_release_has_its_documentation_and_links_to_the_others(repository: Path, tmp_path: Path) -> None:
    tags = release_tags(repository)
    assert tags == ["v1.10.0", "v1.9.0"]
    site = tmp_path / "site"
    build_site(repository, tags, site)
    assert "url=1.10.0/index.html" in (site / "index.html").read_text()
    for version in ("1.9.0", "1.10.0"):
        page = (site / version / "index.html").read_text()
        assert f"Page of {version}" in page
        assert f"<title>shotspotter_assets {version}</title>" in page
        links = re.findall(r'href="(\S+)">1\.\d+\.0</a>', page)
        assert [(site / version / link).resolve().is_file() for link in links] == [True, True]
