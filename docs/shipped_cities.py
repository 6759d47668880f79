"""The table of shipped cities in `data.md`, made from their files: `python -m docs.shipped_cities` prints it."""

from shotspotter_assets.city_files import load_cities


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| city | alert service | sources | first day | automation |", "| --- | --- | --- | --- | --- |"]
    for name, city in load_cities().items():
        sources = ", ".join(source.kind for source in city.all_sources)
        lines.append(f"| {name} | {city.service} | {sources} | {city.start} | {city.automation} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
