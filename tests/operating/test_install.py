"""Installing: the environment of development, the releases of production, and make's messages."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from local import environment, install
from local.install import build_wheel, delete_old_releases, locked, new_release, point_at

ROOT = Path(__file__).parents[2]
# Not in the wheel.
FOR_DEVELOPMENT = {"tests", "benchmarks"}


def make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout."""
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("python", ["/nope/python3", "/bin/false", "no-such-python"])
def test_an_unusable_python_is_an_error(python: str) -> None:
    """The requested interpreter is used or refused, even if there is an environment already."""
    process = make("environment", f"PYTHON={python}")
    assert process.returncode != 0
    assert f"PYTHON={python} is not a usable Python 3.11 or newer" in process.stderr


def test_make_works_without_npm(tmp_path: Path) -> None:
    """It prints where GraphiQL then comes from, and does not fail."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "touch"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-lock.json").write_text("{}")
    shutil.copy(ROOT / "Makefile", tmp_path)
    process = subprocess.run(
        ["make", "web/node_modules/.package-lock.json"],
        cwd=tmp_path,
        env={"PATH": str(tools), "SHELL": "/bin/sh"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "No npm on the PATH" in process.stdout
    assert "GraphiQL then comes from a CDN" in process.stdout


def test_the_progress_of_an_installation_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of fetched packages is printed, and the last step."""
    monkeypatch.setattr(environment, "REPORT_SECONDS", -1.0)
    lines = (
        "Collecting one==1\n",
        "  Downloading one\n",
        "Collecting two==2\n",
        "Installing collected packages: one\n",
    )
    assert list(environment._reporting(lines, 2)) == list(lines)
    assert capsys.readouterr().err.splitlines() == [
        *("  1 of 2 fetched", "  1 of 2 fetched", "  2 of 2 fetched"),
        "  unpacking them",
    ]


@pytest.mark.parametrize("words", [[], ["--this-python"]])
def test_an_environment_of_another_python_is_replaced_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Without `--this-python` the existing environment is kept; with it everything is installed again."""
    steps: list[str] = []
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    environment.python_of(venv).symlink_to(sys.executable)

    def make_venv(path: Path) -> None:
        path.mkdir()
        steps.append("venv")

    monkeypatch.setattr(environment, "VENV", venv)
    monkeypatch.setattr(environment, "make_venv", make_venv)
    monkeypatch.setattr(environment, "install_locked", lambda *_: steps.append("packages"))
    monkeypatch.setattr(environment, "pip", lambda *_: steps.append("project"))
    monkeypatch.setattr(sys, "argv", ["environment", *words])
    monkeypatch.chdir(ROOT)
    environment.write_stamp(venv, {**environment._wanted(), "python": "3.10.0 /elsewhere"})
    environment.main()
    assert steps == (["venv", "packages", "project"] if words else [])
    assert environment.read_stamp(venv)["python"].startswith(sys.version.split()[0] if words else "3.10.0")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as in an installation, but with the installed setuptools."""
    scratch = tmp_path_factory.mktemp("wheel")

    def run(*argv: str, **variables: str) -> None:
        if "--target" not in argv:
            environment.run(*argv, **{name: value for name, value in variables.items() if name != "PYTHONPATH"})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(install, "run", run)
        return build_wheel(Path(sys.executable), scratch)


def test_the_wheel_contains_the_whole_product(wheel: Path) -> None:
    """All modules except tests and benchmarks, the migrations, and the files that modules read."""
    with zipfile.ZipFile(wheel) as archive:
        contents = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("the checkout is not a git repository, so its files are not known")
    expected = {
        name.removeprefix("packages/")
        for name in tracked
        if name.endswith((".py", ".html", ".sql")) and name.split("/")[0] not in FOR_DEVELOPMENT | {"docs", "web"}
    }
    assert expected - contents == set()


def test_the_product_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Outside the checkout, the command starts and finds its migrations."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        f"import sys; sys.path = [{str(tmp_path)!r}] + [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
        "import cli; assert cli.__file__.startswith(sys.path[0]), cli.__file__\n"
        "from core import revisions; print(revisions.head())\n"
        "import app; app.build_schema(); cli.cli(['secrets'])\n"
    )
    process = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    newest = max(path.stem for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py"))
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[0] == newest
    assert "NUDGE_SECURITY__SECRET_KEY=" in process.stdout


def test_the_lock_entry_of_one_package() -> None:
    """The entry with its hashes; a package that is not locked is an error."""
    text = "one==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\none-more==2 \\\n    --hash=sha256:c\n"
    assert locked("one", text) == "one==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n"
    assert "--hash" in locked(install.BUILD_PACKAGE, install.DEV_LOCK.read_text())
    with pytest.raises(LookupError):
        locked("two", text)


def release(folder: Path, name: str, *, finished: bool = True) -> Path:
    """A release as an installation creates it."""
    target = folder / "releases" / name
    target.mkdir(parents=True)
    if finished:
        environment.write_stamp(target, {"packages": "x"})
    return target


def names(folder: Path) -> Sequence[str]:
    """The existing releases."""
    return sorted(path.name for path in (folder / "releases").iterdir())


def test_a_new_release_becomes_current(tmp_path: Path) -> None:
    """`current` points to the new one; the newest three stay, unfinished ones are deleted."""
    for name in ("1", "2", "3"):
        release(tmp_path, name)
    release(tmp_path, "unfinished", finished=False)
    point_at(tmp_path, tmp_path / "releases" / "3")
    newest = release(tmp_path, "4")
    point_at(tmp_path, newest)
    delete_old_releases(tmp_path)
    assert (tmp_path / "current").resolve() == newest
    assert names(tmp_path) == ["2", "3", "4"]


def test_a_release_after_a_rollback_stays(tmp_path: Path) -> None:
    """If `current` points to an older release, that release is not deleted."""
    for name in ("1", "2", "3", "4"):
        release(tmp_path, name)
    point_at(tmp_path, tmp_path / "releases" / "1")
    delete_old_releases(tmp_path)
    assert names(tmp_path) == ["1", "3", "4"]


@pytest.mark.parametrize("content", ["pyvenv.cfg", "something.txt"])
def test_a_folder_used_for_something_else_is_refused(tmp_path: Path, content: str) -> None:
    """A shared environment, or any other folder, is refused with the reason, and not changed."""
    (tmp_path / content).write_text("")
    with pytest.raises(SystemExit, match=r"use another folder.*an environment of its own") as excinfo:
        new_release(tmp_path)
    assert "core, models" in str(excinfo.value)
    assert [path.name for path in tmp_path.iterdir()] == [content]


def test_a_second_installation_is_an_upgrade(tmp_path: Path) -> None:
    """It adds another release beside the first."""
    first = new_release(tmp_path)
    first.mkdir()
    assert new_release(tmp_path).parent == first.parent
