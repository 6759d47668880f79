"""The migration of a store by a person, refused while this machine's Dagster uses the store."""

import logging
import os
import time
from collections.abc import Collection, Mapping
from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFileError
from shotspotter_assets.defs.requested_runs import ACTIVE
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.migration.migrate import Migration, MigrationError
from shotspotter_assets.settings import Settings, configured_store
from shotspotter_assets.wording import number_of

log = logging.getLogger(__name__)
DAEMON_SECONDS: Final = 60  # a daemon gives a sign of life every 30 seconds


def open_migration(root: str) -> Migration:
    """Return the migration of the store at a root; raise MigrationError if it is no root."""
    try:
        return Migration(StoreResource(root=root).objects())
    except ValueError as error:
        raise MigrationError(str(error)) from error


def is_configured(migration: Migration, environ: Mapping[str, str]) -> bool:
    """Return True if the environment names the store as the one that runs use."""
    configured = open_migration(configured_store(environ)).objects.name
    return os.path.realpath(configured) == os.path.realpath(migration.objects.name)  # links lead to one store


def known_cities(environ: Mapping[str, str]) -> Collection[City]:
    """Return the cities whose files can be read; none without any, whose days are then rebuilt."""
    try:
        return Settings.from_environment(environ).cities.values()
    except CityFileError as error:
        log.warning("Days of alerts are rebuilt from their sources, because no city's file can be read: %s", error)
        return ()


def check_unused(instance: dg.DagsterInstance) -> None:
    """Raise MigrationError if a daemon of the instance lives, or if a run of it has not ended."""
    newest = max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=0.0)
    age = time.time() - newest
    if age < DAEMON_SECONDS:
        raise MigrationError(
            f"The store is in use by a daemon, seen {age:.0f} seconds ago. Stop it, and try again {DAEMON_SECONDS} seconds "
            "later."
        )
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE))
    if runs:
        raise MigrationError(
            f"The store is in use by {number_of(len(runs), 'run')} that did not end, such as {runs[0].run_id}. Wait for them, "
            "cancel them in the UI, or mark runs of an ended process as failed with `shotspotter lost-runs`."
        )
