"""The library of hostile files, with the columns of the tests' cities."""

from functools import partial

from shotspotter_assets.rehearsal.chaos import hostile_files as library

COLUMNS = ("when", "lon", "lat", "kind", "rounds", "id")
GOOD_CSV = "when,lon,lat,kind,rounds,id\n2024-03-02T17:00:00Z,-76.5,38.5,Single_Gunshot,1,good\n"

workbook = partial(library.workbook, columns=COLUMNS)
equal_rows = partial(library.equal_rows, columns=COLUMNS)
