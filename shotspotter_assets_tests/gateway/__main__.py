"""Answer as recorded at the address of the example city, until interrupted."""

import logging
import threading
from contextlib import suppress

from shotspotter_assets_tests.alerts.sources.api.api_server import Recorded, serving
from shotspotter_assets_tests.gateway.recording import PORT, exchanges

if __name__ == "__main__":
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())  # half a page is an error to the server
    with suppress(KeyboardInterrupt), serving(Recorded(exchanges()).routes, port=PORT) as gateway:
        print(f"The recorded gateway answers at {gateway.url}/v2/alerts; Ctrl-C ends it.", flush=True)  # noqa: T201
        threading.Event().wait()
