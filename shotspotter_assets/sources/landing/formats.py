"""The file formats of the landing folder: the reader of each ending. A new format is a module and a row here."""

from typing import Final

from shotspotter_assets.sources.landing.csv_files import read_csv
from shotspotter_assets.sources.landing.file_readers import FileReader
from shotspotter_assets.sources.landing.json_files import read_geojson, read_json_lines
from shotspotter_assets.sources.landing.parquet_files import read_parquet
from shotspotter_assets.sources.landing.shapefiles import read_shapefile
from shotspotter_assets.sources.landing.xlsx_files import read_xlsx

READERS: Final[dict[str, FileReader]] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".geojson": read_geojson,
    ".xlsx": read_xlsx,
    ".zip": read_shapefile,
}
