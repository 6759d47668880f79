"""How `make notebook` starts JupyterLab: on loopback alone, asking no other host, and saving notebooks without outputs."""

from typing import Any


def without_outputs(model: dict[str, Any], **_: object) -> None:
    """Take the outputs out of a notebook before it is saved: they are large, and of one's own city."""
    if model["type"] == "notebook":
        for cell in model["content"]["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None


def without_announcements(_: object, page_config: dict[str, Any]) -> dict[str, Any]:
    """JupyterLab's page without the part that offers to fetch news and looks for newer versions."""
    disabled = [*page_config.get("disabledExtensions", []), "@jupyterlab/apputils-extension:announcements"]
    return page_config | {"disabledExtensions": disabled}


c = get_config()  # type: ignore[name-defined]  # noqa: F821  # Jupyter gives it to its configuration files
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.tornado_settings = {"page_config_hook": without_announcements}
c.LabApp.extension_manager = "readonly"
c.FileContentsManager.pre_save_hook = without_outputs
