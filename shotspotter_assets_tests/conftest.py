"""Shared fixtures: the tests' own cities, the real alerts where they are, and an S3 server."""

import gc
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hypothesis import settings

# Containers often set it; this process and those that tests start would then compile all modules anew, for seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Workers share the processors: with threads on each of them, libraries of linear algebra use a third more CPU.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

from shotspotter_assets.city_files import PACKAGE_CITIES  # noqa: E402
from shotspotter_assets.storage.store import Store  # noqa: E402

TEST_CITIES = Path(__file__).parent / "data" / "cities"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ.pop("DAGSTER_HOME", None)

from shotspotter_assets_tests.postgres_server import postgres_server  # noqa: E402, F401
from shotspotter_assets_tests.rabbitmq_server import rabbitmq_server  # noqa: E402, F401
from shotspotter_assets_tests.s3_server import s3_server, s3_store_root  # noqa: E402, F401

MAX_NAME_LENGTH = 70
MEMORY_FOLDER = Path("/dev/shm")
MIN_MEMORY_BYTES = 8 * 2**30
MAX_WORKER_BYTES = 1.3e9
NETWORKS_LOADED = set[str]()
REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
PACKAGED_ALERTS = PACKAGE_CITIES / "washington_dc" / "alerts" / "alerts_2014_2018.parquet"


def pytest_configure() -> None:
    """Keep the folders of tests in memory: on many disks, thousands of small folders take minutes to remove."""
    gc.disable()  # modules stay, so that looking for garbage among them is a fifth of the time that collecting tests takes
    if (folder := _folder_in_memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Networks keep backups there by a hash of what they train on; two processes with equal trainings would collide."""
    with (
        tempfile.TemporaryDirectory(prefix="tests-", dir=_folder_in_memory()) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)  # database servers run as users of their own
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def _folder_in_memory() -> Path | None:
    """Return a folder in memory if there is one that is large enough."""
    is_large = MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free > MIN_MEMORY_BYTES
    return MEMORY_FOLDER if is_large and psutil.virtual_memory().available > MIN_MEMORY_BYTES else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    return installed_data()


def installed_data() -> Path:
    """Return the folder of all cities' real alerts; skip the test without it."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"needs real alerts: install Parquet files of the cities of docs/results.md in {REAL_DATA}")
    return REAL_DATA


def real_alerts(name: str) -> Path:
    """Return the file of a city's real alerts; that of Washington DC comes with the package."""
    return PACKAGED_ALERTS if name == "washington_dc" else installed_data() / f"{name}.parquet"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled, once for all workers of a run; it is not to be changed."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def tiny_city_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny city's days from 1 July 2023 to 31 March 2024, for `copy_days`."""
    from shotspotter_assets_tests.defs.chain import resources, run_days
    from shotspotter_assets_tests.instances import instance_in_memory

    def make(folder: Path) -> None:
        with instance_in_memory(folder) as instance:
            on = resources(str(folder / "store"))
            assert run_days("tiny_city", "2023-07-01", "2024-03-31", on, instance).success

    return made_once(tmp_path_factory, "tiny_city_days", make) / "store"


@pytest.fixture(scope="session")
def reported_fold(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny city's fold of 1 January 2024 and its report with a shorter horizon; not to be changed."""
    from shotspotter_assets_tests.defs.chain import report_fold

    def make(folder: Path) -> None:
        report_fold(tiny_city_days, folder / "store", ["residual_boosting"])

    return made_once(tmp_path_factory, "reported_fold", make) / "store"


# A busy machine is no fault of the code.
settings.register_profile("shared machine", deadline=None, max_examples=int(os.environ.get("EXAMPLES", "20")))
settings.load_profile("shared machine")


def pytest_collection_finish() -> None:
    gc.freeze()  # nor are modules looked at while tests run, and when they are over
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    long = {item.originalname for item in items if len(getattr(item, "originalname", "")) > MAX_NAME_LENGTH}
    if long:
        raise pytest.UsageError(f"names of tests have at most {MAX_NAME_LENGTH} characters: {', '.join(sorted(long))}")
    if "tensorflow" in sys.modules:  # every worker collects all tests, and few of them train networks
        raise pytest.UsageError("a test module imports TensorFlow when it is collected; import it inside its tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Keep workers small: only marked tests load TensorFlow, and no worker of fast tests grows beyond its limit."""
    yield
    markers = {marker.name for marker in item.iter_markers()}
    if "slow" in markers:
        return
    if "tensorflow" in sys.modules and not NETWORKS_LOADED and not markers & {"networks"}:
        pytest.fail("the test or one of its fixtures loads TensorFlow; mark it with `networks`")
    NETWORKS_LOADED.update(sys.modules.keys() & {"tensorflow"})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    is_of_several = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1
    if nextitem is None and is_of_several and peak > MAX_WORKER_BYTES:
        pytest.fail(f"this worker has used up to {peak / 1e9:.2f} GB, more than {MAX_WORKER_BYTES / 1e9:.1f} GB")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the programs and data that skipped tests need, and how to install them."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if len(report.longrepr) == 3]
    missing = Counter(reason.removeprefix("Skipped: ") for reason in skipped if "install " in reason)
    if missing:
        terminalreporter.section("skipped for lack of programs or data")
        for reason, tests in missing.most_common():
            terminalreporter.write_line(f"{tests} tests: {reason}")
