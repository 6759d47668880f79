"""The resources of assets; what reads, writes and simulates is imported by runs, so that definitions load quickly."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import PrivateAttr

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.alerts.sources.side_settings import sections_of, table_site
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.settings import Settings

if TYPE_CHECKING:
    from shotspotter_assets.alerts.days.day_words import WordFolder
    from shotspotter_assets.alerts.sources.snapshot import Snapshot
    from shotspotter_assets.automation.notifications import Notifier
    from shotspotter_assets.storage import store as storage
    from shotspotter_assets.storage.objects import Objects

    Store = storage.Store
else:
    Store = Any  # loading the class takes seconds, and annotations are all that need it

Log = dg.DagsterLogManager

RUN_ATTEMPTS: Final = 12  # attempts of each S3 request in a run; their waits add up to a minute or two
TICK_ATTEMPTS: Final = 3  # attempts in sensors, whose ticks end after a minute and come again


class S3User(dg.ConfigurableResource):
    """A resource that may be on S3; a run waits longer for it than a tick."""

    _is_in_run: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note whether a run or a tick begins."""
        self._is_in_run = context.run is not None

    def _client(self) -> Any:
        """Return a boto3 client with the credentials, region and endpoint of the usual AWS environment or configuration."""
        from dagster_aws.s3 import S3Resource

        return S3Resource(max_attempts=RUN_ATTEMPTS if self._is_in_run else TICK_ATTEMPTS).get_client()


class StoreResource(S3User):
    """The store that all assets read from and write to: `root` is a folder or `s3://bucket/prefix`."""

    root: str

    def open(self) -> Store:
        """Return the store; raise FormatError if it is in another format."""
        from shotspotter_assets.storage.store import Store

        return Store(self.root, self._client_of_root()).checked()

    def objects(self) -> "Objects":
        """Return the files of a store in any format."""
        from shotspotter_assets.storage.objects import objects_at

        return objects_at(self.root, self._client_of_root())

    def _client_of_root(self) -> Any:
        return self._client() if self.root.startswith("s3://") else None


class SourcesResource(S3User):
    """Sources of each city's alerts; landing folders are below `landing_root`, a folder or `s3://bucket/prefix`."""

    landing_root: str

    def readers(self, site: Site, store: Store) -> list[AlertSource]:
        """Return the reader of each source; the store keeps what was received."""
        access = Access(store, self.landing_root, os.environ, self._client)
        return [source.open(site, access) for source in site.sources]

    def snapshot(
        self,
        city: City,
        store: Store,
        now: datetime,
        *,
        poll_seconds: float | None,
        max_seconds: float = float("inf"),
    ) -> "Snapshot":
        """Return what the sources hold and a person has written, see `take_snapshot`; live ones answer within a tick."""
        from shotspotter_assets.alerts.sources.snapshot import impatient, take_snapshot

        site = impatient(city.site)
        return take_snapshot(
            site,
            self.readers(site, store),
            store,
            now,
            poll_seconds=poll_seconds,
            max_seconds=max_seconds,
            words=self.words(city).read(),
        )

    def look_at_tables(
        self,
        city: City,
        store: Store,
        now: datetime,
        *,
        poll_seconds: float | None,
        max_seconds: float = float("inf"),
    ) -> None:
        """Store the present state of the city's side tables, see `look_at_table`; live ones answer within a tick."""
        from shotspotter_assets.alerts.sources.side_tables import look_at_table
        from shotspotter_assets.alerts.sources.snapshot import impatient

        for section in sections_of(city):
            site = impatient(table_site(city, section))
            readers = self.readers(site, store)
            look_at_table(site, readers, store, now, poll_seconds=poll_seconds, max_seconds=max_seconds)

    def words(self, city: City) -> "WordFolder":
        """Return the folder of a person's words about the city's days."""
        from shotspotter_assets.alerts.days.day_words import WordFolder
        from shotspotter_assets.storage.objects import objects_at

        client = self._client() if self.landing_root.startswith("s3://") else None
        return WordFolder(city, objects_at(self.landing_root, client))


class NoticesResource(dg.ConfigurableResource):
    """Receivers of notices, read when one may have to be sent, so that a mistake in them stops nothing else."""

    ui_url: str

    def open(self) -> "Notifier | None":
        """Return the notifier; None without a receiver."""
        from shotspotter_assets.automation.notifications import Notifier

        notifier = Notifier.from_environment(os.environ)
        return notifier if notifier.services else None

    def run_url(self, run_id: str) -> str:
        """Return the address of a run in the UI."""
        return f"{self.ui_url.rstrip('/')}/runs/{run_id}"


class PagesResource(dg.ConfigurableResource):
    """Address at which a web server shows the store's folder `city_pages`."""

    url: str  # empty without a web server; the pages then open from the disk

    def link(self, path: str, folder: str, name: str = "page") -> dict[str, dg.MetadataValue[Any]]:
        """Return panel entries with the path of a first page, and its address if a web server shows it."""
        file = path.rpartition("/")[2]
        address = f"{self.url.rstrip('/')}/city={folder}/{file}"
        link = {name: dg.MetadataValue.url(address)} if self.url else {}
        return link | {f"{name}_path": dg.MetadataValue.path(path)}


class SageMakerResource(dg.ConfigurableResource):
    """AWS training jobs for the search of settings: their `role` and `image`, empty without such jobs."""

    role: str
    image: str
    poll_s: float = 15.0  # seconds between two polls of a tuning job

    def client(self) -> Any:
        """Return a SageMaker client with the credentials, region and endpoint of the usual AWS environment or configuration."""
        import boto3
        from botocore.config import Config

        return boto3.client("sagemaker", config=Config(retries={"mode": "adaptive", "max_attempts": 10}))


def resources(settings: Settings) -> dict[str, Any]:
    """Return the resources by name."""
    return {
        "store": StoreResource(root=settings.store_root),
        "sources": SourcesResource(landing_root=settings.landing_root),
        "notices_to": NoticesResource(ui_url=settings.ui_url),
        "pages": PagesResource(url=settings.pages_url),
        "sagemaker": SageMakerResource(role=settings.sagemaker_role, image=settings.sagemaker_image),
    }
