"""The catalogue as Table Schema, for programs that read neither Python nor Markdown."""

import re

from docs.table_schema import PACKAGE, data_package, paths, text
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.views import TABLES, view_name

# Of https://datapackage.org/standard: names of resources, relative paths, and types of fields.
NAME = r"[-a-z0-9._/]+"
PATH = r"(?!/)(?!.*\.\.)[^:]+"
TYPES = {"string", "number", "integer", "boolean", "object", "array", "list", "datetime", "date", "time", "year",
         "yearmonth", "duration", "geopoint", "geojson", "any"}  # fmt: skip
MATCHES = {"exact", "equal", "subset", "superset", "partial"}


def test_the_package_is_that_of_the_catalogue() -> None:
    assert PACKAGE.read_text() == text(), "run python -m docs.public_surface"
    resources = {resource["name"]: resource for resource in data_package()["resources"]}
    assert [*resources] == [view_name(table) for table in TABLES]
    for table in TABLES:
        fields = {field["name"]: field for field in resources[view_name(table)]["schema"]["fields"]}
        assert [*fields] == [*table.key_types, *table.own_columns]
        for name, column in table.own_columns.items():
            assert fields[name]["description"] == column.meaning
            assert fields[name]["constraints"]["required"] is column.required


def test_the_package_has_the_form_of_the_standard() -> None:
    package = data_package()
    assert package["resources"]
    for resource in [package, *package["resources"]]:
        assert re.fullmatch(NAME, resource["name"])
    for resource in package["resources"]:
        assert re.fullmatch(PATH, resource["path"])
        schema = resource["schema"]
        names = [field["name"] for field in schema["fields"]]
        assert len({*names}) == len(names)
        assert {field["type"] for field in schema["fields"]} <= TYPES
        assert schema["fieldsMatch"] in MATCHES


def test_the_guide_lists_the_path_of_each_table() -> None:
    page = (CHECKOUT / "docs" / "how-to" / "read_the_data.md").read_text()
    assert paths() in page, "paste what python -m docs.table_schema --paths prints"
